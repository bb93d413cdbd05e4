"""One connection writes, whichever thread asks: what one began, no other ends or undoes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from domain.event import Entry
from domain.hold import Hold
from tests.domain.given import ALICE, TERMS
from tests.store.work import fund, ledger_on, verified

if TYPE_CHECKING:
    from app.store.opening import Store
    from tests.store.places import Place

NOTE = "INSERT INTO follower (name, position) VALUES (?, ?)"
NOTED = "SELECT name FROM follower WHERE name LIKE 'note %' ORDER BY name"
WAIT_S = 10.0


class PlannedError(Exception):
    pass


def noted(store: Store) -> list[str]:
    with store.snapshot() as query:
        return [name for (name,) in query(NOTED.replace("'note %'", "?"), ("note %",))]


def test_what_another_thread_writes_is_not_undone_with_ours(place: Place) -> None:
    store = place.open()
    inside = Event()

    def fail() -> None:
        with store.transaction() as query:
            query(NOTE, ("note 1", 1))
            inside.set()
            assert not done.wait(0.3), "another wrote into a transaction that was open"
            raise PlannedError

    done = Event()

    def write() -> None:
        assert inside.wait(WAIT_S)
        with store.transaction() as query:
            query(NOTE, ("note 2", 2))
        done.set()

    with ThreadPoolExecutor(2) as threads:
        failing, writing = threads.submit(fail), threads.submit(write)
        with pytest.raises(PlannedError):
            failing.result(WAIT_S)
        writing.result(WAIT_S)

    assert noted(store) == ["note 2"]


def test_what_moves_money_is_whole_beside_what_does_not(place: Place) -> None:
    store = place.open()
    fund(ledger_on(store), ALICE, 100)

    def hold(_number: int) -> bool:
        (answer,) = store.commit([Hold(uuid4(), ALICE, 1_000, "worker-1", TERMS)])
        return isinstance(answer, Entry)

    def note(number: int) -> None:
        with store.transaction() as query:
            query(NOTE, (f"note {number:03}", number))

    with ThreadPoolExecutor(8) as threads:
        holding = [threads.submit(hold, number) for number in range(50)]
        noting = [threads.submit(note, number) for number in range(50)]
        held = [each.result(WAIT_S) for each in holding]
        for each in noting:
            each.result(WAIT_S)

    row = store.account(ALICE)
    assert all(held)
    assert row is not None
    assert (row.available_msat, row.held_msat) == (50_000, 50_000)
    assert len(noted(store)) == 50
    assert verified(store) is None
