"""How the house is found: what the settings come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.announcing import create_publisher, keeps_directory, listing_of
from app.environment import SettingsError, load_settings
from app.public import npub_of, onion_url_of
from app.settings import Settings
from tests.store.places import SqlitePlace

if TYPE_CHECKING:
    from pathlib import Path

# The first test vector of BIP-39, and the example of NIP-19; neither holds any money.
SEED = "abandon " * 11 + "about"
NSEC = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"
NPUB = "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg"
RELAY = "wss://relay.example.com"
ONION = "a" * 55 + "d.onion"


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.setenv("UPSTREAM_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("CASHU_MINTS", "https://mint.example.com")
    monkeypatch.setenv("WALLET_SEED", SEED)
    monkeypatch.setenv("ONION_HOSTNAME_FILE", f"{tmp_path}/*/hostname")
    return monkeypatch


def with_(environ: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        environ.setenv(name, value)
    return load_settings(env_file=None)


def test_the_public_key_follows_from_the_private_one(environ: pytest.MonkeyPatch) -> None:
    assert npub_of(with_(environ)) is None
    assert npub_of(with_(environ, NPUB=NPUB)) == NPUB
    assert npub_of(with_(environ, NSEC=NSEC)) == NPUB
    environ.delenv("NPUB")
    assert npub_of(with_(environ)) == NPUB


def test_a_public_key_of_another_private_one_is_refused(environ: pytest.MonkeyPatch) -> None:
    other = "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6"
    settings = with_(environ, NSEC=NSEC, NPUB=other)

    with pytest.raises(SettingsError, match=r"^NPUB") as caught:
        npub_of(settings)

    assert NSEC not in str(caught.value)


def test_a_private_key_with_a_slip_of_the_pen_is_refused(environ: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"^NSEC"):
        npub_of(with_(environ, NSEC=NSEC[:-1] + "6"))


def test_the_listing_says_where_others_reach_us(
    environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "hostname").write_text(ONION)

    listing = listing_of(
        with_(environ, NAME="Shop", DESCRIPTION="Words", HTTP_URL="https://shop.example.com")
    )

    assert listing.urls == ("https://shop.example.com", f"http://{ONION}")
    assert listing.mints == ("https://mint.example.com",)
    assert listing.content == '{"name":"Shop","about":"Words"}'
    assert onion_url_of(with_(environ, ONION_URL="http://b.onion")) == "http://b.onion"


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://10.0.0.1", "http://house"])
def test_an_address_at_home_is_nobody_elses_business(
    environ: pytest.MonkeyPatch, url: str
) -> None:
    assert listing_of(with_(environ, HTTP_URL=url)).urls == ()


def test_a_mint_at_home_is_not_told_of_to_others(environ: pytest.MonkeyPatch) -> None:
    mints = "https://mint.example.com,http://127.0.0.1:3338"

    assert listing_of(with_(environ, CASHU_MINTS=mints)).mints == ("https://mint.example.com",)


def test_nothing_is_done_on_nostr_unless_it_is_asked_for(
    environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = SqlitePlace(tmp_path)
    store = place.open()

    assert not keeps_directory(with_(environ))
    assert create_publisher(with_(environ, NSEC=NSEC), store) is None
    assert keeps_directory(with_(environ, RELAYS=RELAY))
    assert create_publisher(with_(environ), store) is not None
    assert not keeps_directory(with_(environ, PROVIDERS_REFRESH_INTERVAL_S="0"))
    environ.delenv("NSEC")
    assert create_publisher(with_(environ), store) is None
    place.close()
