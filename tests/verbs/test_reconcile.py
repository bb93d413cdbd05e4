"""`tallystick reconcile`, as an accountant runs it."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.gateways.mint import crypto
from domain.reconcile import Reconciled
from tests.cashier.house import SEED, House, MoodyMint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.store.places import Place

WORDS = "abandon " * 11 + "about"


@pytest.fixture
def mint() -> Iterator[MoodyMint]:
    with MoodyMint(fee_ppk=0) as mint:
        yield mint


@pytest.fixture
def house(sqlite_place: Place, mint: MoodyMint) -> Iterator[House]:
    house = House(sqlite_place.open(), [mint])
    house.deposit(mint.fund(100))
    yield house
    house.close()


def run(place: Place, mint: MoodyMint, *words: str) -> Result:
    environ = {
        "UPSTREAM_BASE_URL": "http://127.0.0.1:9/v1",
        "CASHU_MINTS": mint.url,
        "WALLET_SEED": WORDS,
        "DATABASE_URL": f"sqlite:///{place.where}",
    }
    return CliRunner().invoke(main, ["reconcile", *words], env=environ)


def lose_a_proof(house: House, mint: MoodyMint) -> str:
    (key, *_) = house.store.holdings(mint.url)[1]
    mint.spent.add(crypto.hash_to_curve(SEED.derive(*key).secret))
    return key.keyset_id


def test_nothing_differs_and_it_says_so(
    sqlite_place: Place, house: House, mint: MoodyMint
) -> None:
    told = run(sqlite_place, mint)

    assert told.exit_code == 0, told.output
    assert mint.url in told.stdout
    assert "unexplained                 0.000 sat" in told.stdout
    assert [event for event in house.log() if isinstance(event, Reconciled)]


def test_what_is_missing_is_named_proof_by_proof(
    sqlite_place: Place, house: House, mint: MoodyMint
) -> None:
    keyset_id = lose_a_proof(house, mint)

    told = run(sqlite_place, mint, "--format", "json", "--no-record")
    text = run(sqlite_place, mint)

    assert told.exit_code == text.exit_code == 1
    document = json.loads(told.stdout)
    assert [row["booked_msat"] for row in document["mints"]] == [100_000]
    (item,) = document["items"]
    assert (item["name"], item["keyset_id"]) == ("unexplained", keyset_id)
    assert document["mints"][0]["unexplained_msat"] == item["amount_msat"]
    assert "unexplained: " in text.stdout


def test_as_of_a_moment_of_the_past(sqlite_place: Place, house: House, mint: MoodyMint) -> None:
    lose_a_proof(house, mint)
    run(sqlite_place, mint)

    before = run(sqlite_place, mint, "--as-of", "2020-01-01", "--format", "csv")
    after = run(sqlite_place, mint, "--as-of", "2100-01-01", "--format", "csv")
    wrong = run(sqlite_place, mint, "--as-of", "yesterday-ish")

    assert before.exit_code == 0
    assert list(csv.DictReader(io.StringIO(before.stdout))) == []
    assert after.exit_code == 1
    (row,) = csv.DictReader(io.StringIO(after.stdout))
    assert row["booked_msat"] == "100000"
    assert int(row["unexplained_msat"]) > 0
    assert wrong.exit_code == 2
    assert "--as-of" in wrong.stderr


def test_a_mint_that_is_away_is_unknown(
    sqlite_place: Place, house: House, mint: MoodyMint
) -> None:
    mint.go_away()

    told = run(sqlite_place, mint)

    assert told.exit_code == 0
    assert "unknown" in told.stdout
    assert house.available_msat() == 100_000
