from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.environment import SettingsError, load_settings
from app.house import read_prices
from app.settings import MODELS_EXAMPLE, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[..., Any]

# The first test vector of BIP-39; it holds no money.
SEED = "abandon " * 11 + "about"
MODEL = {"id": "gpt-x", "pricing": {"prompt": "0.000001", "completion": "0.000002"}}
OPEN_APP = """
from app.main import create_app
client = create_app().test_client()
print(client.get("/v1/models").status_code, client.get("/v1/info").status_code)
"""
OPEN_OFFICES = """
import json, os
from app.office import create_back_office
from app.environment import load_settings
def jobs():
    return [job.name for job in create_back_office(load_settings(env_file=None))._jobs]
asking = jobs()
os.environ["BTC_USD"] = "50000"
print(json.dumps([asking, jobs()]))
"""
OPEN_OFFICE_OF_AN_OWNER = """
import json, os
from app.office import create_back_office
from app.environment import SettingsError, load_settings
os.environ["RECEIVE_LN_ADDRESS"] = "owner@pay.example"
names = [job.name for job in create_back_office(load_settings(env_file=None))._jobs]
os.environ["RECEIVE_LN_ADDRESS"] = "owner@127.0.0.1"
try:
    create_back_office(load_settings(env_file=None))
except SettingsError as error:
    names.append(str(error))
print(json.dumps(names))
"""


OPEN_WITH_ANOTHER_SEED = """
import os
from app.main import create_app
from app.environment import SettingsError, load_settings
from app.gateways.mint.crypto import Seed
from app.office import create_sealing
settings = load_settings(env_file=None)
create_app(settings)
seed = Seed.from_mnemonic(settings.wallet_seed.get_secret_value())
create_sealing(settings, seed).seal()
create_app(settings)
os.environ["WALLET_SEED"] = "zoo " * 11 + "wrong"
try:
    create_app(load_settings(env_file=None))
except SettingsError as error:
    print(error)
"""


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The settings that are required, and a database of the test's own."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.setenv("UPSTREAM_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("CASHU_MINTS", "http://127.0.0.1:9")
    monkeypatch.setenv("WALLET_SEED", SEED)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db")
    return monkeypatch


@pytest.fixture
def read(environ: pytest.MonkeyPatch, tmp_path: Path) -> Read:
    """How to read the prices of a models.json with this content."""

    def read(content: str | dict[str, Any], **variables: str) -> Any:
        path = tmp_path / "models.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        environ.setenv("MODELS_PATH", str(path))
        for name, value in variables.items():
            environ.setenv(name, value)
        return read_prices(load_settings(env_file=None))

    return read


def last_line(program: str, tmp_path: Path) -> str:
    """Return what `program` prints last, run in a process of its own."""
    root = Path(__file__).parent.parent
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode().splitlines()[-1]


def test_prices_are_raised_by_both_fees(read: Read) -> None:
    models, book = read({"models": [MODEL]}, EXCHANGE_FEE="1.1", UPSTREAM_PROVIDER_FEE="1.2")

    assert models == [MODEL]
    price = book.find("gpt-x")
    assert price.currency == "usd"
    assert price.prompt == Fraction("0.000001") * Fraction("1.32")
    assert price.completion == Fraction("0.000002") * Fraction("1.32")


def test_fixed_prices_are_the_same_for_every_model(read: Read) -> None:
    models, book = read(
        {"models": [MODEL]},
        MODEL_BASED_PRICING="false",
        COST_PER_REQUEST="2",
        COST_PER_1K_INPUT_TOKENS="3",
        COST_PER_1K_OUTPUT_TOKENS="0.5",
    )

    assert models == [MODEL]
    price = book.find("anything")
    assert (price.currency, price.request) == ("msat", 2_000)
    assert (price.prompt, price.completion) == (3, Fraction(1, 2))


@pytest.mark.usefixtures("environ")
def test_the_example_is_read_where_there_is_no_list() -> None:
    settings = load_settings(env_file=None)

    models, book = read_prices(settings)

    assert settings.models_file == MODELS_EXAMPLE
    assert {model["id"] for model in models} == set(book.models)


FAULTS = {
    "no JSON": ("{", "line 1"),
    "another shape": ("{}", "no list 'models'"),
    "text": ('"models"', "no list 'models'"),
    "no id": ({"models": [{}]}, "'id'"),
    "no price": ({"models": [{"id": "x", "pricing": {"prompt": "1"}}]}, "'pricing.completion'"),
    "a price below zero": (
        {"models": [{"id": "x", "pricing": {"prompt": "-1", "completion": "1"}}]},
        "'pricing.prompt'",
    ),
    "twice the same": ({"models": [MODEL, MODEL]}, "occurs twice"),
}


@pytest.mark.parametrize(("content", "words"), FAULTS.values(), ids=FAULTS)
def test_a_price_list_that_makes_no_sense_is_named_with_its_fault(
    read: Read, tmp_path: Path, content: Any, words: str
) -> None:
    with pytest.raises(SettingsError) as fault:
        read(content)

    message = str(fault.value)
    assert message.startswith(f"MODELS_PATH: {tmp_path / 'models.json'}: ")
    assert words in message


def test_a_price_list_that_is_gone_is_named(
    environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "models.json"
    path.write_text("{}")
    environ.setenv("MODELS_PATH", str(path))
    settings = load_settings(env_file=None)
    path.unlink()

    with pytest.raises(SettingsError, match=r"MODELS_PATH: .*No such file"):
        read_prices(settings)


def test_a_worker_opens_its_doors(environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environ.setenv("BTC_USD", "50000")

    statuses = last_line(OPEN_APP, tmp_path)

    assert statuses == "200 200"


@pytest.mark.usefixtures("environ")
def test_the_back_office_asks_for_a_rate_only_if_one_is_needed(tmp_path: Path) -> None:
    asking, fixed = json.loads(last_line(OPEN_OFFICES, tmp_path))

    assert "rate" in asking
    assert "rate" not in fixed
    assert {"orphaned holds", "unfinished movements", "tokens collected"} <= set(fixed)


@pytest.mark.usefixtures("environ")
def test_an_owner_is_paid_who_has_an_address_that_can_be(tmp_path: Path) -> None:
    *names, fault = json.loads(last_line(OPEN_OFFICE_OF_AN_OWNER, tmp_path))

    assert "payouts to the owner" in names
    assert fault.startswith("RECEIVE_LN_ADDRESS: no connection is made there")


@pytest.mark.usefixtures("environ")
def test_a_process_with_another_seed_than_the_others_does_not_open(tmp_path: Path) -> None:
    fault = last_line(OPEN_WITH_ANOTHER_SEED, tmp_path)

    assert fault.startswith("WALLET_SEED: the books at DATABASE_URL were signed with another")
