from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import psycopg
import pytest

from app.store.sqlite import SqliteStore
from tests.domain.given import ALICE
from tests.store.work import a_day

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store.places import Place, Store

CHANGES = [
    "UPDATE stored_events SET topic = 'hold.held'",
    "UPDATE stored_events SET state = state WHERE originator_version = 2",
    "DELETE FROM stored_events",
    "DELETE FROM stored_events WHERE originator_version = 2",
]


def log_of(store: Store) -> list[object]:
    return [placed for page in store.log() for placed in page]


@pytest.mark.parametrize("statement", CHANGES)
def test_the_database_itself_keeps_the_log_as_it_is(place: Place, statement: str) -> None:
    store = place.open()
    a_day(store, ALICE)
    before = log_of(store)

    with pytest.raises((sqlite3.Error, psycopg.Error), match="append-only"):
        place.run(statement)

    assert log_of(store) == before


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR REPLACE INTO stored_events SELECT * FROM stored_events",
        (
            "REPLACE INTO stored_events"
            " SELECT originator_id, originator_version, 'hold.held', state FROM stored_events"
        ),
        (
            "INSERT OR REPLACE INTO stored_events (rowid, originator_id, originator_version)"
            " VALUES (1, 'x', 1)"
        ),
        (
            "INSERT INTO stored_events SELECT * FROM stored_events WHERE true"
            " ON CONFLICT DO UPDATE SET topic = 'hold.held'"
        ),
    ],
)
def test_sqlite_lets_nobody_replace_an_event(sqlite_place: Place, statement: str) -> None:
    store = sqlite_place.open()
    a_day(store, ALICE)
    before = log_of(store)

    with pytest.raises(sqlite3.Error):
        sqlite_place.run(statement)

    assert log_of(store) == before


@pytest.mark.postgres
@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE stored_events",
        (
            "INSERT INTO stored_events SELECT * FROM stored_events"
            " ON CONFLICT (originator_id, originator_version) DO UPDATE SET topic = 'x'"
        ),
    ],
)
def test_postgres_lets_nobody_empty_or_replace_it(
    postgres_place: Place, statement: str
) -> None:
    store = postgres_place.open()
    a_day(store, ALICE)
    before = log_of(store)

    with pytest.raises(psycopg.Error):
        postgres_place.run(statement)

    assert log_of(store) == before


def test_sqlite_writes_ahead_and_waits_for_the_disk(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.db")
    store.create()

    with store._exclusive() as db:
        told = [
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "recursive_triggers")
        ]
    store.close()

    assert told == ["wal", 2, 1]


@pytest.mark.postgres
def test_postgres_waits_for_the_disk(postgres_place: Place) -> None:
    store = postgres_place.open()

    with store.snapshot() as query:
        told = query("SHOW synchronous_commit")

    assert told == [("on",)]


@pytest.mark.parametrize("column", ["available_msat", "held_msat"])
def test_the_database_itself_knows_no_debt(place: Place, column: str) -> None:
    a_day(place.open(), ALICE)

    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        place.run(f"UPDATE balance SET {column} = -1")  # noqa: S608
