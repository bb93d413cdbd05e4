"""The indexes of what follows the log: dropped while all is told anew, and never for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.store.sheet_tables import create_indexes
from projections.follow import rebuild
from projections.journal import JOURNAL
from projections.sheets import SHEETS
from tests.domain.given import ALICE
from tests.store.work import a_day, silent

if TYPE_CHECKING:
    from tests.store.places import Place

ALL = {index for sheet in SHEETS for index in create_indexes(sheet)}


def indexes(place: Place) -> set[str]:
    """Return which indexes of sheets there are in the database."""
    names = "SELECT name FROM sqlite_master WHERE type = 'index'"
    if place.engine != "sqlite":
        names = "SELECT indexname FROM pg_indexes"
    return ALL & {str(name) for (name,) in place.run(names)}


def test_what_is_forgotten_has_no_indexes_until_they_are_made(place: Place) -> None:
    store = place.open()
    had = indexes(place)

    store.forget(JOURNAL.name)
    forgotten = indexes(place)
    store.index(JOURNAL.name)
    store.index(JOURNAL.name)

    assert had == ALL
    assert forgotten == ALL - set(create_indexes(JOURNAL))
    assert indexes(place) == ALL


def test_after_a_rebuild_every_index_is_there(place: Place) -> None:
    store = place.open()
    a_day(store, ALICE)

    rebuild(store, store.sheets, silent)

    assert indexes(place) == ALL


def test_whoever_opens_the_store_makes_what_a_killed_rebuild_has_left_out(place: Place) -> None:
    store = place.open()
    for name in store.sheets:
        store.forget(name)
    store.close()

    place.open()

    assert indexes(place) == ALL
