from __future__ import annotations

import random
import sqlite3
from typing import TYPE_CHECKING

import pytest

from app.sealing.check import check, is_of_another
from app.sealing.sign import Sealing, SigningKey
from app.store.seals import Seals
from projections.tiles import TILE_SIZE
from tests.sealing.given import KEY, compared, delete, positions, rewrite, sealed, write
from tests.store.places import drop_guards_of_the_log, open_store
from tests.store.work import silent

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store.places import Place, Store

FLIPS = 1_000
EVENTS = 60


def test_a_log_that_is_as_it_was_sealed_shows_no_difference(store: Store) -> None:
    sealed(store, TILE_SIZE + 10)
    write(store, 5)

    assert compared(store) is None
    assert check(Seals(store), silent) is None


def test_a_log_that_was_never_sealed_shows_no_difference(store: Store) -> None:
    write(store, 5)

    assert compared(store) is None


def test_books_are_of_who_signed_them_last(store: Store) -> None:
    other = SigningKey(bytes(32), KEY.verifier.name).verifier.public
    before = is_of_another(Seals(store), other)
    sealed(store, 5)

    assert not before
    assert is_of_another(Seals(store), other)
    assert not is_of_another(Seals(store), KEY.verifier.public)


def test_a_changed_event_is_named(place: Place, store: Store) -> None:
    sealed(store, EVENTS)
    drop_guards_of_the_log(place)
    victim = positions(store)[17]

    rewrite(place, store, victim, "originator_version = 2")

    assert compared(store) == f"position {victim} is not what was sealed"


@pytest.mark.parametrize("place_in_log", [0, 17, EVENTS - 1])
def test_a_deleted_event_is_named(place: Place, store: Store, place_in_log: int) -> None:
    sealed(store, EVENTS)
    drop_guards_of_the_log(place)
    victim = positions(store)[place_in_log]

    delete(place, store, victim)

    assert compared(store) == f"position {victim} was sealed, and is gone"


def test_an_event_that_was_slipped_in_is_named(place: Place, store: Store) -> None:
    sealed(store, EVENTS)
    drop_guards_of_the_log(place)

    write(store, 1, gap=False)
    rewrite(place, store, store.head(), f"{store.position} = 0")

    assert "position 0 was never sealed" in str(compared(store))


def test_two_events_that_changed_places_are_found(place: Place, store: Store) -> None:
    sealed(store, EVENTS)
    drop_guards_of_the_log(place)
    one, other = positions(store)[17:19]

    for before, after in ((one, -1), (other, one), (-1, other)):
        rewrite(place, store, before, f"{store.position} = {after}")

    assert compared(store) == f"position {one} is not what was sealed"


def test_log_and_pages_changed_together_are_found_between_checkpoints(
    place: Place, store: Store
) -> None:
    seals = sealed(store, 10)
    trusted = store.head()
    write(store, 10)
    Sealing(seals, KEY).seal()
    drop_guards_of_the_log(place)
    victim = positions(store)[15]

    rewrite(place, store, victim, "topic = 'x'")
    seals.forget()

    assert compared(store) == (
        f"the events behind position {trusted} and up to position {store.head()}"
        " are not those that were signed"
    )


def test_events_lost_with_their_pages_are_missed(place: Place, store: Store) -> None:
    seals = sealed(store, 10)
    drop_guards_of_the_log(place)

    delete(place, store, store.head())
    seals.forget()

    assert compared(store) == "10 events were signed, 9 are left"


def test_a_checkpoint_of_another_key_is_found(store: Store) -> None:
    seals = sealed(store, 10)
    stranger = SigningKey(bytes(32), "house.example").verifier.public

    found = check(seals, silent, stranger)

    assert found is not None
    assert "not signed by" in found


@pytest.mark.parametrize(
    "change",
    ["note = replace(note, '10', '11')", "root = zeroblob(32)", "position = 3", "size = 9"],
)
def test_a_checkpoint_that_was_changed_is_found(sqlite_place: Place, change: str) -> None:
    store = sqlite_place.open()
    sealed(store, 10)
    drop_guards_of_the_log(sqlite_place)

    sqlite_place.run(f"UPDATE checkpoint SET {change}")  # noqa: S608

    assert compared(store) is not None


@pytest.mark.parametrize("change", ["before = zeroblob(32)", "positions = zeroblob(7)"])
def test_a_page_that_was_changed_is_found(sqlite_place: Place, change: str) -> None:
    store = sqlite_place.open()
    sealed(store, TILE_SIZE + 1)

    sqlite_place.run(f"UPDATE sealed_page SET {change} WHERE number = 1")  # noqa: S608

    assert compared(store) is not None


def test_a_thousand_bytes_changed_in_copies_of_the_log_are_found(
    sqlite_place: Place, tmp_path: Path
) -> None:
    store = sqlite_place.open()
    sealed(store, EVENTS)
    chance = random.Random(6962)  # noqa: S311
    copy = tmp_path / "copy.db"
    sqlite_place.run(f"VACUUM INTO '{copy}'")
    copied = open_store(str(copy))
    with sqlite3.connect(copy, isolation_level=None) as db:
        for act in ("update", "delete"):
            db.execute(f"DROP TRIGGER stored_events_refuse_{act}")
    db.close()
    named = 0

    with sqlite3.connect(copy, isolation_level=None) as db:
        for _ in range(FLIPS):
            position = chance.randint(1, EVENTS)
            with flipped(db, position, chance):
                named += f"position {position} " in f"{compared(copied)} "
    db.close()
    copied.close()

    assert named == FLIPS


class flipped:  # noqa: N801  (reads as a state the log is in)
    """A random bit of a random byte of an event is another one while this is open."""

    COLUMNS = ("originator_id", "topic", "state")

    def __init__(self, db: sqlite3.Connection, position: int, chance: random.Random) -> None:
        self._db, self._position = db, position
        self._column = chance.choice(self.COLUMNS)
        (found,) = db.execute(
            f"SELECT CAST({self._column} AS BLOB) FROM stored_events WHERE rowid = ?",  # noqa: S608
            (position,),
        ).fetchone()
        self._before = bytes(found)
        after = bytearray(found)
        after[chance.randrange(len(after))] ^= 1 << chance.randrange(8)
        self._after = bytes(after)

    def __enter__(self) -> None:
        self._write(self._after)

    def __exit__(self, *_: object) -> None:
        self._write(self._before)

    def _write(self, value: bytes) -> None:
        place = "?" if self._column == "state" else "CAST(? AS TEXT)"
        self._db.execute(
            f"UPDATE stored_events SET {self._column} = {place} WHERE rowid = ?",  # noqa: S608
            (value, self._position),
        )
