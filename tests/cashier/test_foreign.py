"""Tokens of mints that are not trusted: what arrives is credited, and nothing else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import (
    DepositPendingError,
    ForeignSwapError,
    TokenRefusedError,
)
from app.gateways.mint.tokens import decode
from domain.errors import TokenTakenError
from tests.cashier.abroad import FACE_SAT, MELT, MELT_QUOTE, bill_of, credited
from tests.cashier.house import BOB, House, MoodyMint, stream_of, ys_of
from tests.doubles.mint import Fault
from tests.doubles.mint_items import Payment

if TYPE_CHECKING:
    from tests.cashier.conftest import Build


@pytest.fixture
def house(build: Build, ours: MoodyMint, theirs: MoodyMint) -> House:
    return build(ours, foreign=[theirs.url])


def test_what_arrives_is_credited_and_what_is_left_is_handed_back(
    house: House, ours: MoodyMint, theirs: MoodyMint
) -> None:
    token = theirs.fund(FACE_SAT)
    least = house.deposits.worth(house.deposits.read(token))

    end = credited(house, token)

    # 1 sat for the inputs, 2 % are a guess of what Lightning costs, which took 1 sat.
    assert (end.credited_msat, end.change_msat, end.fee_msat) == (196_000, 2_000, 2_000)
    assert end.credited_msat >= least.msat == 180_000
    assert (end.mint, end.from_mint, end.unit) == (ours.url, theirs.url, "sat")
    assert house.available_msat() == 196_000
    assert house.store.free(ours.url, "sat") == 196
    assert house.topics(stream_of(token)) == [
        "foreign.quoted",
        "foreign.arrived",
        "foreign.credited",
    ]
    change = house.foreign.left_over(stream_of(token), end)
    assert change is not None
    assert (decode(change).mint, decode(change).amount) == (theirs.url, 2)
    assert not theirs.spent & ys_of(change)
    assert house.foreign.left_over(stream_of(token), end) == change


def test_the_same_token_again_is_the_same_credit(house: House, theirs: MoodyMint) -> None:
    """M4."""
    token = theirs.fund(FACE_SAT)

    assert credited(house, token) == credited(house, token)

    assert house.available_msat() == 196_000
    assert theirs.calls[MELT] == 1
    with pytest.raises(TokenTakenError):
        house.deposit(token, BOB)


def test_msat_tokens_pay_whole_sats(house: House, theirs: MoodyMint) -> None:
    token = theirs.fund(FACE_SAT * 1000 + 7, "msat")

    end = credited(house, token)

    assert end.credited_msat == 196_000
    assert end.credited_msat + end.change_msat + end.fee_msat == FACE_SAT * 1000 + 7
    change = house.foreign.left_over(stream_of(token), end)
    assert change is not None
    assert decode(change).unit == "msat"


@pytest.mark.parametrize("fault", [Fault.DROP_RESPONSE, Fault.GARBAGE])
def test_a_melt_whose_answer_was_lost_is_found_arrived(
    house: House, theirs: MoodyMint, fault: Fault
) -> None:
    token = theirs.fund(FACE_SAT)
    theirs.fault(MELT, fault)

    # The quote is asked at once: it says PAID, and our own mint says so too.
    assert credited(house, token).credited_msat == 196_000
    assert theirs.calls[MELT] == 1


def test_a_melt_that_never_arrived_is_sent_again(house: House, theirs: MoodyMint) -> None:
    token = theirs.fund(FACE_SAT)
    theirs.fault(MELT, Fault.DROP_REQUEST)
    with pytest.raises(DepositPendingError):
        house.deposit(token)

    assert credited(house, token).credited_msat == 196_000
    assert theirs.calls[MELT] == 2


@pytest.mark.parametrize("paid", [True, False])
def test_a_pending_payment_is_waited_for(
    house: House, theirs: MoodyMint, *, paid: bool
) -> None:
    token = theirs.fund(FACE_SAT)
    theirs.pays(Payment.PENDING)
    for _ in range(2):
        with pytest.raises(DepositPendingError):
            house.deposit(token)
    assert house.available_msat() == 0

    theirs.settle_pending(paid=paid)
    theirs.pays(Payment.SETTLED)

    # If it failed, the quote is unpaid and is paid now.
    assert credited(house, token).credited_msat == 196_000
    assert theirs.calls[MELT] == (1 if paid else 2)


def test_a_payment_the_foreign_mint_knows_nothing_of_is_waited_for(
    house: House, theirs: MoodyMint
) -> None:
    token = theirs.fund(FACE_SAT)
    theirs.pays(Payment.UNKNOWN)
    with pytest.raises(DepositPendingError):
        house.deposit(token)

    theirs.settle_pending(paid=True)

    assert credited(house, token).credited_msat == 196_000


def test_a_payment_that_failed_leaves_the_token_to_its_owner(
    house: House, theirs: MoodyMint
) -> None:
    token = theirs.fund(FACE_SAT)
    theirs.pays(Payment.FAILED)
    with pytest.raises(ForeignSwapError, match="still its owner's"):
        house.deposit(token)
    assert house.topics(stream_of(token)) == ["foreign.quoted", "foreign.refused"]
    assert not theirs.spent

    theirs.pays(Payment.SETTLED)

    # Its owner, whoever that is now, may try again.
    assert credited(house, token, BOB).credited_msat == 196_000


def test_a_token_spent_elsewhere_is_refused(house: House, theirs: MoodyMint) -> None:
    token = theirs.fund(FACE_SAT)
    theirs.spent |= ys_of(token)

    with pytest.raises(ForeignSwapError, match="did not pay"):
        house.deposit(token)

    assert house.available_msat() == 0


def test_a_token_is_tried_so_often_and_no_more(house: House, theirs: MoodyMint) -> None:
    token = theirs.fund(FACE_SAT)
    theirs.pays(Payment.FAILED)
    for _ in range(3):
        with pytest.raises(ForeignSwapError):
            house.deposit(token)
    asked = theirs.calls[MELT_QUOTE]

    with pytest.raises(TokenRefusedError, match="too often"):
        house.deposit(token)

    assert theirs.calls[MELT_QUOTE] == asked


def test_our_mint_away_when_it_has_arrived_is_asked_again(
    house: House, ours: MoodyMint, theirs: MoodyMint
) -> None:
    token = theirs.fund(FACE_SAT)
    ours.fault("mint/bolt11", Fault.DROP_RESPONSE)
    with pytest.raises(DepositPendingError):
        house.deposit(token)

    assert credited(house, token).credited_msat == 196_000
    assert theirs.calls[MELT] == 1


def test_a_keyset_that_was_changed_meanwhile_is_planned_again(
    house: House, ours: MoodyMint, theirs: MoodyMint
) -> None:
    token = theirs.fund(FACE_SAT)
    house.mints.get(ours.url).keysets.active("sat")
    ours.rotate("sat")

    assert credited(house, token).credited_msat == 196_000
    assert house.topics(stream_of(token)).count("foreign.arrived") == 2


def test_what_was_minted_for_a_plan_given_up_is_found(
    house: House, ours: MoodyMint, theirs: MoodyMint
) -> None:
    """A copy of the request was on its way when the mint refused another."""
    token = theirs.fund(FACE_SAT)
    ours.refuse("mint/bolt11", 12002)
    ours.refuse("mint/bolt11", 0)
    with pytest.raises(DepositPendingError):
        house.deposit(token)
    first = house.events(stream_of(token))[1]
    wallet = house.mints.get(ours.url)
    quote, key = bill_of(house, token), house.foreign._quotes.lock_key(stream_of(token))
    wallet.mint(quote, first.plan, key)  # type: ignore[attr-defined]

    assert credited(house, token).proofs[0].counter == 0


def test_what_was_minted_unknown_to_the_log_is_an_alarm(
    house: House,
    ours: MoodyMint,
    theirs: MoodyMint,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = theirs.fund(FACE_SAT)
    ours.fault("mint/bolt11", Fault.SERVER_ERROR)
    with pytest.raises(DepositPendingError):
        house.deposit(token)
    ours.mint_quotes[bill_of(house, token)].state = "ISSUED"

    with caplog.at_level(logging.ERROR), pytest.raises(DepositPendingError):
        house.deposit(token)

    assert "unknown counters" in caplog.text
