"""The settings: what opens the house, and what is said when it stays shut."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.environment import SettingsError, env_example, load_settings, settings_page
from app.settings import MODELS_EXAMPLE, Settings

ROOT = Path(__file__).parent.parent
# The first test vector of BIP-39; it holds no money.
SEED = "abandon " * 11 + "about"
REQUIRED = {
    "UPSTREAM_BASE_URL": "https://upstream.example/v1",
    "CASHU_MINTS": "https://mint.example",
    "WALLET_SEED": SEED,
}


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which only the required variables are set."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for variable, value in REQUIRED.items():
        monkeypatch.setenv(variable, value)
    return monkeypatch


def fault(environ: pytest.MonkeyPatch, variable: str, value: str) -> str:
    """What is said about `value`; the one line must be about `variable`."""
    environ.setenv(variable, value)

    with pytest.raises(SettingsError) as caught:
        load_settings(env_file=None)

    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(variable + " ")
    return line


def test_three_settings_are_enough(environ: pytest.MonkeyPatch) -> None:
    settings = load_settings(env_file=None)

    assert settings.upstream_base_url == "https://upstream.example/v1"
    assert settings.cashu_mints == ("https://mint.example",)
    assert settings.database_url == "sqlite:///tallystick.db"
    assert settings.exchange_fee == Decimal("1.005")


def test_every_missing_setting_has_its_line(environ: pytest.MonkeyPatch) -> None:
    for variable in REQUIRED:
        environ.delenv(variable)

    with pytest.raises(SettingsError) as caught:
        load_settings(env_file=None)

    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines] == list(REQUIRED)
    assert all("is missing; set it in the environment or in .env" in line for line in lines)


def test_an_empty_variable_is_a_missing_one(environ: pytest.MonkeyPatch) -> None:
    assert "is missing" in fault(environ, "UPSTREAM_BASE_URL", "")


def test_the_environment_goes_before_the_file(
    environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=9000\nname=From the file\n")
    environ.setenv("PORT", "9001")

    settings = load_settings(env_file=file)

    assert settings.port == 9001
    assert settings.name == "From the file"


def test_prices_are_exact(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("COST_PER_1K_INPUT_TOKENS", "0.1")

    assert load_settings(env_file=None).cost_per_1k_input_tokens == Decimal("0.1")


def test_relays_are_written_in_one_way(environ: pytest.MonkeyPatch) -> None:
    environ.setenv(
        "RELAYS", "WSS://Relay.Example:443/, wss://relay.example,ws://127.0.0.1:7000"
    )

    relays = load_settings(env_file=None).relays

    assert relays == ("wss://relay.example", "ws://127.0.0.1:7000")


def test_onion_services_need_a_proxy_and_no_tls(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("CASHU_MINTS", "http://mint.onion")

    with pytest.raises(SettingsError, match=r"^TOR_PROXY_URL is missing, and CASHU_MINTS"):
        load_settings(env_file=None)
    environ.setenv("TOR_PROXY_URL", "socks5h://user:a-password@127.0.0.1:9050")
    settings = load_settings(env_file=None)

    assert settings.cashu_mints == ("http://mint.onion",)
    assert "a-password" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("UPSTREAM_BASE_URL", "upstream.example", "https://"),
        ("UPSTREAM_BASE_URL", "https://a:b@upstream.example", "without user"),
        ("UPSTREAM_BASE_URL", "https://upstream.example:port", "must be a URL"),
        ("HTTP_URL", "ftp://house.example", "https://"),
        ("CASHU_MINTS", " , ", "at least one mint"),
        ("CASHU_MINTS", "http://mint.example", "must be https"),
        ("CASHU_MINTS", "https://mint.example,http://10.0.0.1", "must be https"),
        ("MINIMUM_PAYOUT", "-1", "greater than or equal to 0"),
        ("GUARD_ALLOW", "http://127.0.0.1:80", "match pattern"),
        ("GUARD_ALLOW", "127.0.0.1", "match pattern"),
        ("DATABASE_URL", "mysql://house", "sqlite:/// or postgresql://"),
        ("DATABASE_URL", "sqlite:///:memory:", "must name a file"),
        ("DATABASE_URL", "sqlite+aiosqlite:///keys.db", "names a database of Routstr"),
        ("DATABASE_URL", "sqlite://", "sqlite:/// or postgresql://"),
        ("MODELS_PATH", "/nowhere/models.json", "not there"),
        ("COST_PER_REQUEST", "-1", "greater than or equal to 0"),
        ("COST_PER_REQUEST", "nan", "finite"),
        ("COST_PER_REQUEST", "1e999999", "digits"),
        ("EXCHANGE_FEE", "0.5", "greater than or equal to 1"),
        ("BTC_USD", "0", "greater than 0"),
        ("RATE_STALE_AFTER_S", "59", "RATE_UPDATE_INTERVAL_S"),
        ("MISSING_USAGE", "gratis", "'estimate', 'max' or 'free'"),
        ("NPUB", "nsec1secret", "match pattern"),
        ("NSEC", "npub1secret", "must be a private key"),
        ("RELAYS", "https://relay.example", "wss://"),
        ("RELAYS", "relay.example", "wss://"),
        ("RELAYS", "ws://relay.example", "must be wss"),
        ("RELAYS", "wss://user@relay.example", "without user"),
        ("RELAYS", ",".join(f"wss://r{n}.example" for n in range(21)), "at most 20"),
        ("PROVIDER_ID", "two words", "match pattern"),
        ("TOR_PROXY_URL", "http://127.0.0.1:9050", "socks5h://"),
        ("TOR_PROXY_URL", "socks5h://127.0.0.1", "socks5h://"),
        ("TOR_PROXY_URL", "socks5h://[::1:9050", "socks5h://"),
        ("PORT", "65536", "less than or equal to 65535"),
        ("PORT", "http", "valid integer"),
        ("WORKERS", "0", "greater than or equal to 1"),
        ("LOG_LEVEL", "loud", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("MODEL_BASED_PRICING", "perhaps", "valid boolean"),
        ("MINT_TIMEOUT_S", "inf", "less than or equal to 86400"),
        ("ADMIN_PASSWORD", "short", "at least 12 characters"),
        ("FREE_GET_PATHS", "/generation,key", "paths such as /generation"),
        ("FREE_GET_PATHS", "/v1/generation", "without /v1"),
        ("FREE_GET_PATHS", "/a/../key", "paths such as /generation"),
        ("WALLET_SEED", "abandon about", "must have 12"),
        ("WALLET_SEED", "abandon " * 12, "not a BIP-39 seed phrase"),
    ],
)
def test_what_makes_no_sense_is_named(
    environ: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    assert said in fault(environ, variable, value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WALLET_SEED", "zebra " * 12),
        ("WALLET_SEED", "zebra"),
        ("ADMIN_PASSWORD", "zebra"),
        ("DATABASE_URL", "mysql://user:zebra@host"),
        ("UPSTREAM_BASE_URL", "https://user:zebra@host"),
        ("CASHU_MINTS", "http://zebra.example"),
    ],
)
def test_no_fault_repeats_a_value(
    environ: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    assert "zebra" not in fault(environ, variable, value)


def test_secrets_are_not_in_the_repr(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("UPSTREAM_API_KEY", "canary-key")
    environ.setenv("ADMIN_PASSWORD", "canary-password")
    environ.setenv("DATABASE_URL", "postgresql://user:canary@host/name")

    shown = repr(load_settings(env_file=None))

    assert "canary" not in shown
    assert "abandon" not in shown


def test_settings_do_not_change(environ: pytest.MonkeyPatch) -> None:
    settings = load_settings(env_file=None)

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 9000  # type: ignore[misc]


def test_urls_are_written_in_one_way_and_once(environ: pytest.MonkeyPatch) -> None:
    environ.setenv(
        "CASHU_MINTS",
        "https://Mint.Example/, https://mint.example:443,http://localhost:3338/,http://[::1]:1",
    )

    mints = load_settings(env_file=None).cashu_mints

    assert mints == ("https://mint.example", "http://localhost:3338", "http://[::1]:1")


def test_hosts_are_allowed_with_their_ports(environ: pytest.MonkeyPatch) -> None:
    assert load_settings(env_file=None).guard_allow == ()
    environ.setenv("GUARD_ALLOW", "127.0.0.1:3338, [::1]:80,umbrel.local:443")

    assert load_settings(env_file=None).guard_allow == (
        "127.0.0.1:3338",
        "[::1]:80",
        "umbrel.local:443",
    )


def test_a_seed_phrase_is_read_as_people_write_it(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("WALLET_SEED", "  " + SEED.upper().replace(" ", "  "))

    assert load_settings(env_file=None).wallet_seed.get_secret_value() == SEED


def test_models_fall_back_to_the_example(environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environ.chdir(tmp_path)

    before = load_settings(env_file=None).models_file
    Path("models.json").write_text("{}")
    after = load_settings(env_file=None).models_file

    assert (before, after) == (MODELS_EXAMPLE, Path("models.json"))


def test_models_of_another_name_are_taken(environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text("{}")
    environ.setenv("MODELS_PATH", str(file))

    assert load_settings(env_file=None).models_file == file


def test_every_setting_says_what_it_is_for() -> None:
    silent = [name for name, info in Settings.model_fields.items() if not info.description]

    assert silent == []


def test_the_example_file_knows_every_setting_and_no_other() -> None:
    written = (ROOT / ".env.example").read_text()

    assert written == env_example(), "make fmt writes it anew"


def test_the_page_of_settings_knows_every_setting_and_no_other() -> None:
    written = (ROOT / "docs" / "settings.md").read_text()

    assert written == settings_page(), "make fmt writes it anew"


def test_the_example_file_filled_in_opens_the_house(
    environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = env_example()
    for variable, value in REQUIRED.items():
        environ.delenv(variable)
        text = text.replace(f"\n{variable}=\n", f"\n{variable}={value}\n")
    file = tmp_path / ".env"
    file.write_text(text.replace("\n# PORT=", "\nPORT="))

    assert load_settings(env_file=file) == Settings(
        _env_file=None,
        upstream_base_url=REQUIRED["UPSTREAM_BASE_URL"],
        cashu_mints=(REQUIRED["CASHU_MINTS"],),
        wallet_seed=SEED,
    )


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("off", ()),
        ("ANY", None),
        (
            "https://a.example/, http://127.0.0.1:3338",
            ("https://a.example", "http://127.0.0.1:3338"),
        ),
    ],
)
def test_foreign_mints_are_none_any_or_named(
    environ: pytest.MonkeyPatch, text: str, urls: tuple[str, ...] | None
) -> None:
    environ.setenv("FOREIGN_MINTS", text)

    assert load_settings(env_file=None).foreign_urls == urls


def test_a_foreign_mint_must_be_a_url(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("FOREIGN_MINTS", "on")

    with pytest.raises(SettingsError, match="FOREIGN_MINTS must be a URL"):
        load_settings(env_file=None)
