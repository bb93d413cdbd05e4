"""What the owner may draw is decided in the store, beside everything else that happens."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from domain.errors import LedgerError, OwnerMayNotDrawError, PurseShortError, UnexplainedError
from domain.identity import OWNER
from domain.msat import Msat
from domain.payout import Offer, PayoutAbandoned, PayoutPaid, PayoutStarted
from domain.purse import Purse
from domain.reconcile import Compared
from domain.refund import Started
from projections.follow import rebuild, verify
from tests.domain.given import ALICE, KEYSET, MINT, PURSE, signed
from tests.store.work import fund, ledger_on, serve, tables

if TYPE_CHECKING:
    from tests.store.places import Place, Store


def silent(_done: int, _of: int) -> None:
    """No progress is shown."""


def test_a_payout_of_the_owner_and_its_end(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    serve(ledger, ALICE, 60_000, 55_000)

    begun = ledger.start_payout(uuid4(), OWNER, PURSE, Offer("q", 50, 4), b"sealed")
    assert isinstance(begun.event, PayoutStarted)
    assert isinstance(ledger.end_payout(begun, begun.event.payment, ()), PayoutPaid)

    account = store.account(ALICE)
    assert account is not None
    assert account.available_msat == 45_000
    assert store.account(OWNER) is None
    assert verify(store, silent) is None
    before = tables(store.kept()[1])
    rebuild(store, [], silent)
    assert tables(store.kept()[1]) == before


def test_a_payout_to_a_client_that_is_given_up(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    begun = ledger.start_payout(uuid4(), ALICE, PURSE, Offer("q", 50, 4), b"sealed")
    assert isinstance(begun.event, PayoutStarted)

    given_up = ledger.abandon_payout(begun, begun.event.payment, KEYSET, "unpaid")
    assert isinstance(given_up.event, PayoutAbandoned)
    ledger.cancel_payout(given_up, given_up.event, signed(given_up.event.plan))

    account = store.account(ALICE)
    assert account is not None
    assert account.available_msat == 100_000
    assert verify(store, silent) is None


def test_a_token_for_the_owner_that_is_refused(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    serve(ledger, ALICE, 60_000, 55_000)
    begun = ledger.start_refund(uuid4(), OWNER, PURSE)
    assert isinstance(begun.event, Started)

    ledger.cancel_refund(begun, begun.event.draft, "refused")

    assert store.free(MINT, "sat") == 100
    assert store.account(OWNER) is None
    assert verify(store, silent) is None


def test_the_owner_draws_no_msat_of_a_clients(store: Store) -> None:
    """M38, M43: asked for more than the surplus, nothing is drawn."""
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    serve(ledger, ALICE, 60_000, 53_999)

    with pytest.raises(OwnerMayNotDrawError):
        ledger.start_payout(uuid4(), OWNER, PURSE, Offer("q", 50, 4), b"sealed")

    assert store.open_movements() == []


def test_an_unexplained_difference_is_remembered_by_every_process(place: Place) -> None:
    ledger = ledger_on(place.open())
    fund(ledger, ALICE, 100)
    serve(ledger, ALICE, 60_000, 55_000)
    ledger.reconcile(MINT, Compared(booked_msat=100_000, free_msat=99_000))

    with pytest.raises(UnexplainedError):
        ledger_on(place.open()).start_refund(uuid4(), OWNER, PURSE)

    ledger.reconcile(MINT, Compared(booked_msat=100_000, free_msat=100_000))
    begun = ledger_on(place.open()).start_refund(uuid4(), OWNER, PURSE)
    assert isinstance(begun.event, Started)
    assert begun.event.draft.taken_msat == 55_000


def test_two_processes_do_not_draw_the_same_surplus(place: Place) -> None:
    """M40: each of many draws would fit alone, at purses of their own; one of them does."""
    other = Purse("https://other.example", "sat", "00aaaaaaaaaaaaaa", {})
    ledger = ledger_on(place.open())
    fund(ledger, ALICE, 100)
    serve(ledger, ALICE, 60_000, 10_000)
    stores = [place.open() for _ in range(4)]

    def draw(number: int) -> str:
        purse = (PURSE, other)[number % 2]
        try:
            ledger_on(stores[number]).start_refund(uuid4(), OWNER, purse, Msat(10_000))
        except (OwnerMayNotDrawError, PurseShortError) as error:
            return type(error).__name__
        except LedgerError as error:  # pragma: no cover
            return repr(error)
        return "drawn"

    with ThreadPoolExecutor(4) as threads:
        told = sorted(threads.map(draw, range(4)))

    assert told.count("drawn") == 1
    assert set(told) <= {"drawn", "OwnerMayNotDrawError", "PurseShortError"}
    assert verify(stores[0], silent) is None
