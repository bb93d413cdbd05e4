"""Money that was lost elsewhere: a test for each class of incident that the books rule out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from domain.deposit import Received
from domain.errors import (
    HoldEndedError,
    InsufficientFundsError,
    NothingToRefundError,
    UnknownAccountError,
    UnknownHoldError,
)
from domain.guards import AccountRow
from domain.msat import Msat
from domain.posting import EARNED, SHORTFALL, available, held, mint, postings
from domain.purse import Purse, split
from domain.refund import Started
from projections.books import Books
from projections.follow import catch_up, rebuild
from projections.journal import JOURNAL
from tests.domain.given import ALICE, BOB, KEYSET, MINT, PURSE, TERMS, USAGE, claim, signed
from tests.store.work import fund, ledger_on, refund, serve, silent, verified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.event import Entry
    from domain.ledger import Ledger
    from tests.store.places import Place, Store


@pytest.fixture
def ledger(store: Store) -> Iterator[Ledger]:
    """The books after 100 sat were deposited for Alice; in the end they must be sound."""
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    yield ledger
    assert verified(store) is None


def books_of(store: Store) -> Books:
    books = Books()
    for page in store.log():
        for placed in page:
            books.post(placed.entry.event)
    return books


def has(store: Store, account_id: UUID = ALICE) -> tuple[int, int]:
    row = store.account(account_id)
    assert row is not None
    return row.available_msat, row.held_msat


def begin(ledger: Ledger, deposit_id: UUID, sat: int, fee_sat: int = 0) -> Entry:
    return ledger.receive_token(
        deposit_id, claim(ALICE, sat, fee_sat), KEYSET, split(sat - fee_sat)
    )


def test_a_deposit_is_credited_once_however_often_it_is_reported(
    ledger: Ledger, store: Store
) -> None:
    """M1: double credit."""
    deposit_id = uuid4()

    for _ in range(3):
        entry = begin(ledger, deposit_id, 50)
        if isinstance(entry.event, Received):
            for _ in range(3):
                ledger.credit_deposit(entry, signed(entry.event.plan))

    assert has(store) == (150_000, 0)
    assert len(store.history(deposit_id)) == 2


def test_deposits_at_the_same_time_sum_exactly(place: Place) -> None:
    """M2: lost update on concurrent top-ups, of an account that is new as well."""
    ledgers = [ledger_on(place.open(), f"worker-{number}") for number in range(3)]
    amounts_sat = range(1, 11)

    with ThreadPoolExecutor(len(ledgers)) as threads:
        for number, sat in enumerate(amounts_sat):
            threads.submit(fund, ledgers[number % len(ledgers)], BOB, sat)

    store = place.open()
    assert has(store, BOB) == (sum(amounts_sat) * 1000, 0)
    assert verified(store) is None


def test_what_the_mint_kept_is_not_credited(ledger: Ledger, store: Store) -> None:
    """M3: over-credit of mint fees."""
    entry = begin(ledger, uuid4(), 50, fee_sat=2)
    assert isinstance(entry.event, Received)

    credited = ledger.credit_deposit(entry, signed(entry.event.plan))

    assert (credited.face_msat, credited.fee_msat, credited.credited_msat) == (
        50_000,
        2_000,
        48_000,
    )
    assert has(store) == (148_000, 0)
    assert store.free(MINT, "sat") * 1000 == 148_000
    assert books_of(store).balances_msat[mint(MINT)] == -148_000


def test_what_is_held_cannot_be_held_again(ledger: Ledger, store: Store) -> None:
    """M11: oversubscription."""
    ledger.hold(uuid4(), ALICE, Msat(60_000), TERMS)

    with pytest.raises(InsufficientFundsError):
        ledger.hold(uuid4(), ALICE, Msat(60_000), TERMS)
    with pytest.raises(NothingToRefundError):
        ledger.start_refund(uuid4(), ALICE, PURSE, Msat(0))
    begun, _ = refund(ledger, ALICE, 100)

    assert isinstance(begun.event, Started)
    assert begun.event.draft.taken_msat == 40_000
    assert has(store) == (0, 60_000)


def test_releasing_what_is_not_held_changes_nothing(ledger: Ledger, store: Store) -> None:
    """M12: negative reservations."""
    served = serve(ledger, ALICE, 60_000, 10_000)
    freed = uuid4()
    ledger.hold(freed, ALICE, Msat(5_000), TERMS)
    released = ledger.release(freed, ALICE, "no answer")

    with pytest.raises(UnknownHoldError):
        ledger.release(uuid4(), ALICE, "never held")
    with pytest.raises(HoldEndedError):
        ledger.release(served, ALICE, "already charged")
    again = ledger.release(freed, ALICE, "twice")

    assert again == released
    assert has(store) == (90_000, 0)


def test_every_hold_ends_once_also_after_its_process_died(ledger: Ledger, store: Store) -> None:
    """M13: leaked holds."""
    doomed = ledger_on(store, "doomed")
    for _ in range(3):
        doomed.hold(uuid4(), ALICE, Msat(20_000), TERMS)

    for hold_id, row in store.open_holds("doomed"):
        ledger.release(hold_id, row.account_id, "its process died")

    assert store.open_holds("doomed") == []
    assert has(store) == (100_000, 0)


def test_a_process_that_starts_frees_no_hold_of_another(place: Place) -> None:
    """M14: holds reset at start."""
    store = place.open()
    ledger = ledger_on(store, "one")
    fund(ledger, ALICE, 100)
    ledger.hold(uuid4(), ALICE, Msat(60_000), TERMS)

    late = place.open()
    rebuild(late, late.sheets, silent)

    assert late.hold_owners() == ["one"]
    assert late.open_holds("two") == []
    assert has(late) == (40_000, 60_000)


def test_a_settlement_is_charged_however_late_it_comes(ledger: Ledger, store: Store) -> None:
    """M15: long streams for free."""
    hold_id = uuid4()
    ledger.hold(hold_id, ALICE, Msat(60_000), TERMS)
    for _ in range(5):
        serve(ledger, ALICE, 10_000, 1_000)
    rebuild(store, store.sheets, silent)

    charged = ledger.charge(hold_id, ALICE, Msat(60_000), TERMS, USAGE)

    assert charged.from_hold_msat == 60_000
    assert has(store) == (35_000, 0)


def test_a_cost_above_the_hold_leaves_the_holds_of_others_alone(
    ledger: Ledger, store: Store
) -> None:
    """M16: cost overrun, negative balance."""
    dear, other = uuid4(), uuid4()
    ledger.hold(dear, ALICE, Msat(30_000), TERMS)
    ledger.hold(other, ALICE, Msat(60_000), TERMS)

    charged = ledger.charge(dear, ALICE, Msat(75_000), TERMS, USAGE)

    assert (charged.from_hold_msat, charged.from_available_msat) == (30_000, 10_000)
    assert charged.shortfall_msat == 35_000
    assert has(store) == (0, 60_000)
    balances = books_of(store).balances_msat
    assert (balances[EARNED], balances[SHORTFALL]) == (75_000, -35_000)
    with pytest.raises(InsufficientFundsError) as refused:
        ledger.hold(uuid4(), ALICE, Msat(1), TERMS)
    assert (refused.value.available_msat, refused.value.held_msat) == has(store)


def test_an_account_outlives_its_refund(ledger: Ledger, store: Store) -> None:
    """M37: key deleted on refund."""
    refund(ledger, ALICE, 100)
    emptied = store.account(ALICE)

    fund(ledger, ALICE, 7)

    assert emptied == AccountRow(0, 0, MINT, "sat")
    assert has(store) == (7_000, 0)


def test_a_refund_makes_no_account(ledger: Ledger, store: Store) -> None:
    """M37: the refund endpoint created keys."""
    with pytest.raises(UnknownAccountError):
        ledger.start_refund(uuid4(), BOB, Purse(MINT, "sat", KEYSET, {}))

    assert store.account(BOB) is None


def test_what_made_a_balance_is_in_the_trail_line_by_line(ledger: Ledger, store: Store) -> None:
    """M5: a credit whose trail was dropped. Here the trail is the credit."""
    fund(ledger, ALICE, 50)
    serve(ledger, ALICE, 1_000, 400)
    catch_up(store, JOURNAL.name, silent)

    with store.snapshot() as query:
        came, went = (
            query(f"SELECT amount_msat FROM journal WHERE {side} = ?", [available(ALICE)])  # noqa: S608
            for side in ("destination", "source")
        )

    assert [amount for (amount,) in came] == [100_000, 50_000, 600]
    assert (
        sum(amount for (amount,) in came) - sum(amount for (amount,) in went) == has(store)[0]
    )


def test_what_was_earned_and_what_was_charged_are_one_fact(
    ledger: Ledger, store: Store
) -> None:
    """M23: income booked beside the charge, in a transaction that could fail by itself."""
    hold_id = serve(ledger, ALICE, 60_000, 7_000)

    end = store.history(hold_id)[-1].event
    books = Books()
    for page in store.log():
        for _, entry in page:
            books.post(entry.event)

    arrows = {(arrow.source, arrow.destination): arrow.amount_msat for arrow in postings(end)}
    assert arrows[held(ALICE), EARNED] == 7_000
    assert arrows[held(ALICE), available(ALICE)] == 53_000
    assert books.balances_msat[EARNED] == 7_000
    assert has(store)[1] == books.balances_msat[held(ALICE)] == 0
