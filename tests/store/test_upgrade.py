"""Databases as older versions left them are opened and carried on.

schemas/ holds each version's database as SQL, written by that version: a deposit, a request
served, one running, a token out, a refund and a deposit on their way.
"""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from app.sealing.sign import Sealing, SigningKey
from app.store.errors import UpgradeError
from app.store.seals import Seals
from app.store.upgrade import OUTDATED, SCHEMA_VERSION
from domain.msat import Msat
from projections.follow import catch_up, verify
from projections.sheets import SHEETS
from tests.domain.given import ALICE, TERMS
from tests.store.work import a_day, fund, ledger_on, silent, tables

if TYPE_CHECKING:
    from tests.store.places import Place

SCHEMAS = Path(__file__).parent / "schemas"
VERSIONS = sorted({int(path.name.partition("-")[0]) for path in SCHEMAS.iterdir()})


def old(place: Place, version: int) -> None:
    """Make the database as that version left it."""
    script = (SCHEMAS / f"{version}-{place.engine}.sql").read_text()
    if place.engine == "sqlite":
        db = sqlite3.connect(place.where)
        db.executescript(script)
        db.close()
        return
    with psycopg.connect(place.where, autocommit=True) as server:
        server.execute(script.encode())


def version_of(place: Place) -> int:
    statement = (
        "PRAGMA user_version"
        if place.engine == "sqlite"
        else "SELECT version FROM schema_version"
    )
    ((found,),) = place.run(statement)
    return int(found)


def test_there_is_a_database_of_every_older_version() -> None:
    assert list(range(1, SCHEMA_VERSION)) == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_database_is_carried_on_without_a_word_of_its_log_changed(
    place: Place, version: int
) -> None:
    old(place, version)
    select = "SELECT originator_id, topic, state FROM stored_events ORDER BY 1, 2"
    before = place.run(select)

    store = place.open()

    assert version_of(place) == SCHEMA_VERSION
    assert place.run(select) == before
    assert verify(store, silent) is None
    account = store.account(ALICE)
    assert account is not None
    assert (account.available_msat, account.held_msat) == (779_000, 50_000)
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    ledger.hold(uuid4(), ALICE, Msat(1), TERMS)
    for sheet in SHEETS:
        catch_up(store, sheet.name, silent)
        assert store.follower_position(sheet.name) == store.head()
    assert verify(store, silent) is None


@pytest.mark.parametrize("version", VERSIONS)
def test_processes_that_start_at_once_upgrade_once(place: Place, version: int) -> None:
    old(place, version)

    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(lambda _: place.open(), range(4)))

    told = [tables(store.kept()[1]) for store in stores]
    assert told[0] == told[1] == told[2] == told[3]
    assert version_of(place) == SCHEMA_VERSION
    assert verify(stores[0], silent) is None


@pytest.mark.parametrize("version", VERSIONS)
def test_an_upgrade_that_fails_changes_nothing(place: Place, version: int) -> None:
    old(place, version)
    place.run(
        "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
        " VALUES ('00000000000000000000000000000001', 1, 'of.tomorrow', '{}')"
    )

    with pytest.raises(UpgradeError, match=r"of\.tomorrow"):
        place.open()

    assert version_of(place) == version
    ((available_msat,),) = place.run("SELECT available_msat FROM balance")
    assert available_msat == 779_000


def test_what_was_sealed_and_told_is_carried_on(place: Place) -> None:
    store = place.open()
    a_day(store, ALICE)
    sealing = Sealing(Seals(store), SigningKey(bytes(32), "house.example"))
    sealing.seal()
    with store.transaction() as query:
        query("INSERT INTO follower (name, position) VALUES (?, ?)", ["webhook", 3])
        for statement in OUTDATED[store.engine]:
            query(statement)

    store = place.open()

    assert store.follower_position("webhook") == 3
    a_day(store, ALICE)
    sealing = Sealing(Seals(store), SigningKey(bytes(32), "house.example"))
    signed = sealing.seal()
    assert signed is not None
    assert signed.position == store.head()
    sealing.compare()
