from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.deposit import Signed
from domain.errors import (
    FeeTooHighError,
    InsufficientFundsError,
    LedgerBrokenError,
    MovementEndedError,
    NothingToRefundError,
    PurseShortError,
    UnknownAccountError,
)
from domain.guards import FREE, PAYOUT, RESERVED, AccountRow
from domain.payout import (
    AbandonPayout,
    CancelPayout,
    EndPayout,
    Offer,
    Payment,
    PayoutAbandoned,
    PayoutPaid,
    PayoutStarted,
    StartPayout,
    blanks,
    cover,
)
from domain.posting import Posting, available, mint, postings
from domain.purse import Purse, Spent
from tests.domain.given import (
    ALICE,
    BOB,
    KEYSET,
    LATER,
    MINT,
    PURSE,
    deposited,
    fold,
    hold,
    made,
    name,
    signed,
)

if TYPE_CHECKING:
    from uuid import UUID

    from domain.event import Entry
    from domain.guards import GuardRows

PAYOUT_ID = name(400)
OTHER_KEYSET = "00ffffffffffffff"
HISTORY = deposited()
OFFER = Offer("quote-1", 50, 4)
IN_FLIGHT = "lightning:in_flight"
COSTLY = Purse(MINT, "sat", KEYSET, {KEYSET: 400})


def start(offer: Offer = OFFER, account_id: UUID = ALICE, purse: Purse = PURSE) -> StartPayout:
    return StartPayout(PAYOUT_ID, account_id, purse, offer, b"sealed")


def started(purse: Purse = PURSE) -> Entry:
    return made(start(purse=purse), fold(*HISTORY))


def payment_of(entry: Entry) -> Payment:
    assert isinstance(entry.event, PayoutStarted | PayoutAbandoned)
    return entry.event.payment


def given_back(payment: Payment, *amounts: int) -> tuple[Signed, ...]:
    """What a mint writes into the blanks."""
    return tuple(
        Signed(
            keyset_id=KEYSET, counter=payment.blanks.counter_from + place, amount=each, c="c"
        )
        for place, each in enumerate(amounts)
    )


def paid(begun: Entry, *amounts: int) -> Entry:
    payment = payment_of(begun)
    command = EndPayout(PAYOUT_ID, begun.version, payment, given_back(payment, *amounts))
    return made(command, fold(*HISTORY, begun), begun)


def abandoned(begun: Entry, keyset_id: str = KEYSET) -> Entry:
    command = AbandonPayout(PAYOUT_ID, begun.version, payment_of(begun), keyset_id, "unpaid")
    return made(command, fold(*HISTORY, begun), begun)


def cancelled(*entries: Entry) -> Entry:
    event = entries[-1].event
    assert isinstance(event, PayoutAbandoned)
    command = CancelPayout(PAYOUT_ID, entries[-1].version, event, signed(event.plan))
    return made(command, fold(*HISTORY, *entries), *entries)


def worth_free(rows: GuardRows) -> int:
    return sum(row.amount for row in rows.proofs.rows.values() if row.state == FREE)


def test_a_payout_sets_money_and_proofs_aside_before_the_mint_is_asked() -> None:
    begun = started()
    rows = fold(*HISTORY, begun)

    payment = payment_of(begun)
    assert payment.taken_msat == 54_000
    assert rows.accounts.rows[ALICE] == AccountRow(46_000, 0, MINT, "sat")
    assert [row.state for row in rows.proofs.rows.values() if row.movement] == [RESERVED]
    assert [spent.amount for spent in payment.inputs] == [64]
    assert len(payment.blanks.amounts) == 4
    assert rows.movements.rows[PAYOUT_ID][:4] == (PAYOUT, 1, ALICE, MINT)
    assert rows.keysets.rows[KEYSET].next_counter == payment.blanks.counter_from + 4
    assert postings(begun.event) == [Posting(available(ALICE), IN_FLIGHT, 54_000)]


def test_what_lightning_did_not_need_comes_back() -> None:
    begun = started()
    end = paid(begun, 8, 4, 1)

    assert isinstance(end.event, PayoutPaid)
    assert end.event.lightning_fee == 1
    rows = fold(*HISTORY, begun, end)
    assert rows.accounts.rows[ALICE].available_msat == 49_000
    assert worth_free(rows) == 36 + 13
    assert rows.movements.rows == {}
    assert postings(end.event) == [
        Posting(IN_FLIGHT, mint(MINT), 50_000),
        Posting(IN_FLIGHT, mint(MINT), 1_000),
        Posting(IN_FLIGHT, available(ALICE), 3_000),
    ]


def test_a_fee_above_the_reserve_is_the_houses_loss() -> None:
    begun = started()
    end = paid(begun, 4)

    assert isinstance(end.event, PayoutPaid)
    assert end.event.lightning_fee == 10
    rows = fold(*HISTORY, begun, end)
    assert rows.accounts.rows[ALICE].available_msat == 46_000
    assert postings(end.event) == [
        Posting(IN_FLIGHT, mint(MINT), 50_000),
        Posting(IN_FLIGHT, mint(MINT), 4_000),
        Posting("house:fees:lightning", mint(MINT), 6_000),
    ]


def test_a_mint_cannot_give_back_more_than_there_was() -> None:
    with pytest.raises(LedgerBrokenError, match="more change"):
        paid(started(), 8, 4, 2, 1)


def test_giving_up_takes_the_inputs_back_before_the_money() -> None:
    begun = started()
    first = abandoned(begun)
    again = abandoned(first, OTHER_KEYSET)
    end = cancelled(begun, first, again)

    assert isinstance(first.event, PayoutAbandoned)
    assert sum(first.event.plan.amounts) == 64
    waiting = fold(*HISTORY, begun, first, again)
    assert waiting.accounts.rows[ALICE].available_msat == 46_000
    assert waiting.movements.rows[PAYOUT_ID].version == 3
    rows = fold(*HISTORY, begun, first, again, end)
    assert rows.accounts.rows[ALICE].available_msat == 100_000
    assert worth_free(rows) == 100
    assert rows.movements.rows == {}
    assert postings(again.event) == []
    assert postings(end.event) == [Posting(IN_FLIGHT, available(ALICE), 54_000)]


def test_who_gives_up_pays_the_mint_for_its_own_inputs() -> None:
    begun = started(COSTLY)
    first = abandoned(begun)
    end = cancelled(begun, first)

    assert payment_of(begun).input_fee == 1
    rows = fold(*HISTORY, begun, first, end)
    assert rows.accounts.rows[ALICE].available_msat == 99_000
    assert worth_free(rows) == 99
    assert postings(end.event) == [
        Posting(IN_FLIGHT, mint(MINT), 1_000),
        Posting(IN_FLIGHT, available(ALICE), 54_000),
    ]


def test_inputs_come_back_less_the_fee_that_the_mint_really_takes() -> None:
    begun = started()
    payment = payment_of(begun)
    first = abandoned(begun)
    command = AbandonPayout(PAYOUT_ID, 2, payment, KEYSET, "unpaid", fee=2)
    again = made(command, fold(*HISTORY, begun, first), begun, first)
    end = cancelled(begun, first, again)

    assert payment.input_fee == 0
    rows = fold(*HISTORY, begun, first, again, end)
    assert rows.accounts.rows[ALICE].available_msat == 98_000
    assert worth_free(rows) == 98
    assert postings(end.event) == [
        Posting(IN_FLIGHT, mint(MINT), 2_000),
        Posting(IN_FLIGHT, available(ALICE), 52_000),
    ]


def test_what_is_given_up_says_what_the_mint_is_to_keep() -> None:
    begun = started()
    command = AbandonPayout(PAYOUT_ID, 1, payment_of(begun), KEYSET, "unpaid", fee=3)

    event = made(command, fold(*HISTORY, begun), begun).event

    assert isinstance(event, PayoutAbandoned)
    assert event.fee == 3


def test_inputs_are_not_taken_back_for_more_than_was_taken() -> None:
    begun = started()
    payment = payment_of(begun)
    command = AbandonPayout(PAYOUT_ID, 1, payment, KEYSET, "unpaid", fee=payment.taken + 1)

    with pytest.raises(FeeTooHighError):
        made(command, fold(*HISTORY, begun), begun)


def test_a_payment_that_arrived_after_all_ends_one_that_was_given_up() -> None:
    begun = started()
    first = abandoned(begun)
    payment = payment_of(first)
    command = EndPayout(PAYOUT_ID, 2, payment, given_back(payment, 8, 4, 1))
    end = made(command, fold(*HISTORY, begun, first), begun, first)

    assert isinstance(end.event, PayoutPaid)
    assert end.version == 3


def test_inputs_come_back_at_the_amounts_that_were_asked_for() -> None:
    begun = started()
    first = abandoned(begun)
    assert isinstance(first.event, PayoutAbandoned)
    wrong = CancelPayout(PAYOUT_ID, 2, first.event, ())

    with pytest.raises(LedgerBrokenError, match="other amounts"):
        made(wrong, fold(*HISTORY, begun, first), begun, first)


def test_every_step_asked_for_again_returns_what_was_recorded() -> None:
    begun = started()
    end = paid(begun, 8, 4, 1)
    rows = fold(*HISTORY, begun, end)
    payment = payment_of(begun)

    assert made(start(), fold(*HISTORY, begun), begun) == begun
    assert made(EndPayout(PAYOUT_ID, 1, payment, ()), rows, begun, end) == end
    giving_up = AbandonPayout(PAYOUT_ID, 1, payment, KEYSET, "unpaid")
    assert made(giving_up, rows, begun, end) == end
    giving_back = PayoutAbandoned(
        at=LATER, payment=payment, plan=payment.blanks, reason="unpaid"
    )
    with pytest.raises(MovementEndedError):
        made(CancelPayout(PAYOUT_ID, 2, giving_back, ()), rows, begun, end)


def test_what_was_given_up_is_not_paid_any_more() -> None:
    begun = started()
    first = abandoned(begun)
    over = cancelled(begun, first)
    command = EndPayout(PAYOUT_ID, 1, payment_of(begun), ())

    with pytest.raises(MovementEndedError):
        made(command, fold(*HISTORY), begun, first, over)


@pytest.mark.parametrize("offer", [Offer("q", 0, 4), Offer("q", -5, 4), Offer("q", 50, -1)])
def test_a_senseless_offer_is_refused(offer: Offer) -> None:
    with pytest.raises(NothingToRefundError):
        made(start(offer), fold(*HISTORY))


def test_no_more_is_paid_than_is_available() -> None:
    held = made(hold(), fold(*HISTORY))

    with pytest.raises(InsufficientFundsError) as caught:
        made(start(), fold(*HISTORY, held))

    assert (caught.value.required_msat, caught.value.available_msat) == (54_000, 40_000)
    with pytest.raises(UnknownAccountError):
        made(start(account_id=BOB), fold(*HISTORY))
    with pytest.raises(PurseShortError):
        made(start(Offer("q", 100, 4)), fold(*HISTORY))


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(1, 3000), st.integers(0, 3000))
def test_inputs_cover_what_is_wanted_and_their_own_fee(
    powers: list[int], wanted: int, ppk: int
) -> None:
    free = [
        Spent(keyset_id=KEYSET, counter=counter, amount=1 << power)
        for counter, power in enumerate(powers)
    ]
    purse = Purse(MINT, "sat", KEYSET, {KEYSET: ppk})
    try:
        inputs = cover(free, wanted, purse)
    except PurseShortError:
        worth = sum(spent.amount for spent in free)
        assert worth < wanted + purse.fee(free) or len(free) > 1
    else:
        assert sum(spent.amount for spent in inputs) >= wanted + purse.fee(inputs)
        assert len({spent.key for spent in inputs}) == len(inputs)


@given(st.integers(1, 1 << 40))
def test_the_blanks_hold_any_change(spare: int) -> None:
    assert 2 ** len(blanks(spare)) >= spare
