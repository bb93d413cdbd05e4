"""What the owner may take: paid over Lightning, or as a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.errors import OwnerMayNotDrawError, UnexplainedError
from domain.guards import AccountRow, Totals
from domain.hold import Charge
from domain.identity import OWNER
from domain.payout import CancelPayout, EndPayout, Offer, PayoutAbandoned, PayoutCancelled
from domain.posting import Posting, mint, postings
from domain.reconcile import Compared, Reconcile
from domain.refund import Start
from tests.domain.given import (
    ALICE,
    BOB,
    HOLD_ID,
    MINT,
    PURSE,
    TERMS,
    USAGE,
    fold,
    hold,
    made,
    name,
    signed,
)
from tests.domain.test_payout import (
    COSTLY,
    HISTORY,
    IN_FLIGHT,
    PAYOUT_ID,
    abandoned,
    given_back,
    payment_of,
    start,
    worth_free,
)

if TYPE_CHECKING:
    from domain.event import Entry
    from domain.guards import GuardRows


def earned(cost_msat: int) -> list[Entry]:
    """A house that has earned `cost_msat` of 100 sat."""
    held = made(hold(), fold(*HISTORY))
    charge = Charge(HOLD_ID, ALICE, cost_msat, TERMS, USAGE)
    return [*HISTORY, held, made(charge, fold(*HISTORY, held), held)]


def seen(rows: GuardRows) -> GuardRows:
    """The rows as a store shows them: with what the whole of it adds up to."""
    rows.see_totals(rows.totals())
    return rows


def test_the_owner_takes_what_was_earned() -> None:
    history = earned(55_000)
    begun = made(start(account_id=OWNER), seen(fold(*history)))
    payment = payment_of(begun)
    end = made(
        EndPayout(PAYOUT_ID, 1, payment, given_back(payment, 8, 4, 1)),
        fold(*history, begun),
        begun,
    )

    rows = fold(*history, begun, end)
    assert OWNER not in rows.accounts.rows
    assert rows.accounts.rows[ALICE].available_msat == 45_000
    assert worth_free(rows) == 49
    assert postings(begun.event) == [Posting("house:drawn", IN_FLIGHT, 54_000)]
    assert postings(end.event) == [
        Posting(IN_FLIGHT, mint(MINT), 50_000),
        Posting(IN_FLIGHT, mint(MINT), 1_000),
        Posting(IN_FLIGHT, "house:drawn", 3_000),
        Posting("house:fees:lightning", "house:drawn", 1_000),
    ]


def test_an_owner_who_gives_up_has_the_mints_fee_as_a_cost() -> None:
    history = earned(56_000)
    begun = made(start(account_id=OWNER, purse=COSTLY), seen(fold(*history)))
    first = abandoned(begun)
    assert isinstance(first.event, PayoutAbandoned)
    command = CancelPayout(PAYOUT_ID, 2, first.event, signed(first.event.plan))
    end = made(command, fold(*history, begun, first), begun, first)

    assert isinstance(end.event, PayoutCancelled)
    assert postings(end.event)[-2:] == [
        Posting(IN_FLIGHT, "house:drawn", 54_000),
        Posting("house:fees:mint", "house:drawn", 1_000),
    ]


def test_the_owner_never_takes_what_is_owed() -> None:
    """M38, M43: what clients have is out of the owner's reach."""
    with pytest.raises(OwnerMayNotDrawError) as caught:
        made(start(account_id=OWNER), seen(fold(*earned(53_999))))

    assert caught.value.surplus_msat == 53_999
    assert caught.value.wanted_msat == 54_000


def test_money_that_is_owed_elsewhere_does_not_count_twice() -> None:
    """M39: what is free at this mint may be all there is for the clients of another."""
    rows = fold(*earned(55_000))
    here = rows.totals()
    rows.see_totals(Totals({**here.owed_msat, "https://other.example": 2_000}, here.free_msat))

    with pytest.raises(OwnerMayNotDrawError):
        made(start(account_id=OWNER), rows)

    rows = fold(*earned(55_000))
    elsewhere = {"https://other.example": 900_000}
    rows.see_totals(Totals({**here.owed_msat, MINT: 45_001}, {**here.free_msat, **elsewhere}))
    assert made(start(account_id=OWNER), rows).version == 1
    rows = fold(*earned(55_000))
    rows.see_totals(Totals({**here.owed_msat, MINT: 46_001}, {**here.free_msat, **elsewhere}))
    with pytest.raises(OwnerMayNotDrawError):
        made(start(account_id=OWNER), rows)


def test_what_is_decided_in_the_same_batch_counts() -> None:
    """M40: a draw sees the credit and the hold that were decided just before it."""
    rows = seen(fold(*earned(55_000)))
    rows.accounts.put(BOB, AccountRow(500, 501, MINT, "sat"))

    with pytest.raises(OwnerMayNotDrawError) as caught:
        made(start(account_id=OWNER), rows)

    assert caught.value.surplus_msat == 53_999


def test_an_unexplained_difference_stops_the_owner_and_nobody_else() -> None:
    differs = made(
        Reconcile(MINT, Compared(booked_msat=45_000, free_msat=44_000)), fold(*HISTORY)
    )
    rows = seen(fold(*earned(55_000), differs))

    with pytest.raises(UnexplainedError) as caught:
        made(start(account_id=OWNER), rows)
    with pytest.raises(UnexplainedError):
        made(Start(name(1), OWNER, PURSE), rows)

    assert caught.value.unexplained_msat == 1_000
    assert made(start(Offer("q", 1, 0)), rows).version == 1


def test_the_owner_draws_a_token_too() -> None:
    rows = seen(fold(*earned(55_000)))

    begun = made(Start(name(301), OWNER, PURSE, 55_000), rows)

    assert postings(begun.event) == [Posting("house:drawn", "refunds:in_flight", 55_000)]
    with pytest.raises(OwnerMayNotDrawError):
        made(Start(name(302), OWNER, PURSE, 55_001), seen(fold(*earned(55_000))))


def test_what_is_set_aside_is_not_there_to_be_drawn() -> None:
    begun = made(start(Offer("q", 60, 4)), fold(*HISTORY))
    rows = seen(fold(*HISTORY, begun))

    with pytest.raises(OwnerMayNotDrawError) as caught:
        made(Start(name(303), OWNER, PURSE, 1_000), rows)

    assert caught.value.surplus_msat == 0
