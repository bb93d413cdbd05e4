from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.store.errors import StoreUnavailableError
from app.store.postgres import PostgresStore
from domain.event import Entry
from domain.guards import AccountRow
from domain.hold import Hold
from tests.domain.given import ALICE, MINT, TERMS
from tests.store.cable import Cable
from tests.store.places import END_OTHERS
from tests.store.work import fund, ledger_on, verified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.store.places import Place

pytestmark = pytest.mark.postgres


def hold() -> Hold:
    return Hold(uuid4(), ALICE, 1_000, "worker-1", TERMS)


def opened(place: Place) -> PostgresStore:
    store = place.open()
    assert isinstance(store, PostgresStore)
    return store


@pytest.fixture
def cable(postgres_place: Place) -> Iterator[Cable]:
    with Cable(postgres_place.where) as cable:
        yield cable


@pytest.fixture
def far(postgres_place: Place, cable: Cable) -> Iterator[PostgresStore]:
    """A store at the far end of the cable, with 100 sat in it."""
    near = postgres_place.open()
    fund(ledger_on(near), ALICE, 100)
    store = PostgresStore(cable.url)
    store.commit([hold()])
    yield store
    store.close()


def test_what_the_server_dropped_is_not_recorded_and_the_next_is(postgres_place: Place) -> None:
    store = opened(postgres_place)
    fund(ledger_on(store), ALICE, 100)
    postgres_place.run(END_OTHERS)

    with pytest.raises(StoreUnavailableError):
        store.commit([hold()])
    (answer,) = store.commit([hold()])

    assert isinstance(answer, Entry)
    assert store.account(ALICE) == AccountRow(99_000, 1_000, MINT, "sat")
    assert verified(store) is None


def test_a_commit_that_nobody_heard_of_is_answered(far: PostgresStore, cable: Cable) -> None:
    command = hold()
    cable.armed = "swallow"

    (answer,) = far.commit([command])

    assert isinstance(answer, Entry)
    assert far.history(command.stream) == [answer]
    assert far.account(ALICE) == AccountRow(98_000, 2_000, MINT, "sat")
    assert verified(far) is None


def test_a_commit_that_never_arrived_is_not_recorded(far: PostgresStore, cable: Cable) -> None:
    command = hold()
    cable.armed = "cut"

    with pytest.raises(StoreUnavailableError):
        far.commit([command])
    cable.armed = ""
    (answer,) = far.commit([command])

    assert isinstance(answer, Entry)
    assert far.account(ALICE) == AccountRow(98_000, 2_000, MINT, "sat")
    assert verified(far) is None


def test_reading_outlives_a_server_that_was_restarted(postgres_place: Place) -> None:
    store = opened(postgres_place)
    fund(ledger_on(store), ALICE, 100)
    store.account(ALICE)
    postgres_place.run(END_OTHERS)

    assert store.account(ALICE) == AccountRow(100_000, 0, MINT, "sat")
    assert store.head() == 2
