"""Whatever befalls a swap: the token is credited exactly once, or still its owner's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import DepositPendingError, TokenRefusedError, TokenSpentError
from domain.deposit import Credited
from domain.errors import TokenTakenError
from tests.cashier.house import (
    ALICE,
    ALWAYS,
    BOB,
    OTHER_SEED,
    House,
    MoodyMint,
    stream_of,
    ys_of,
)
from tests.doubles.mint import Fault

if TYPE_CHECKING:
    from uuid import UUID

    from tests.cashier.conftest import Build

UNBALANCED = 11005
PENDING = 11002
SOMETHING_FAILED = 0
RECEIVED, REPLANNED, REFUSED, CREDITED = (
    f"deposit.{topic}" for topic in ("received", "replanned", "refused", "credited")
)


def assert_credited_once(house: House, token: str, account_id: object = ALICE) -> None:
    ends = [event for event in house.events(stream_of(token)) if isinstance(event, Credited)]
    assert [(end.account_id, end.credited_msat) for end in ends] == [(account_id, 12_000)]
    assert house.store.open_movements() == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault.DROP_REQUEST,
        Fault.DROP_RESPONSE,
        Fault.SERVER_ERROR,
        Fault.RATE_LIMIT,
        Fault.GARBAGE,
        Fault.OTHER_AMOUNT,
    ],
)
def test_a_swap_that_went_wrong_is_finished_by_the_next_presentation(
    house: House, mint: MoodyMint, fault: Fault
) -> None:
    """M4, M7."""
    token = mint.fund(13)
    mint.fault("swap", fault)

    with pytest.raises(DepositPendingError):
        house.deposit(token)
    assert house.available_msat() == 0
    credited = house.deposit(token)

    assert credited.credited_msat == house.available_msat() == 12_000
    assert house.topics(stream_of(token)) == [RECEIVED, CREDITED]
    assert_credited_once(house, token)


def test_an_answer_that_is_late_is_found_by_the_next_presentation(
    build: Build, mint: MoodyMint
) -> None:
    """M7: a timeout after the request was sent."""
    house, token = build(mint, timeout_s=0.3), mint.fund(13)
    mint.fault("swap", Fault.DELAY, delay_s=0.6)

    with pytest.raises(DepositPendingError):
        house.deposit(token)

    assert house.deposit(token).credited_msat == 12_000
    assert_credited_once(house, token)


def test_another_process_finishes_what_one_has_begun(
    build: Build, house: House, mint: MoodyMint
) -> None:
    """M4: the first process is never heard of again."""
    token = mint.fund(13)
    mint.fault("swap", Fault.DROP_RESPONSE)
    with pytest.raises(DepositPendingError):
        house.deposit(token)

    credited = build(mint, owner="worker-2").deposit(token)

    assert credited.credited_msat == 12_000
    assert_credited_once(house, token)


def test_while_it_is_unknown_a_token_is_nobody_elses(house: House, mint: MoodyMint) -> None:
    token = mint.fund(13)
    mint.fault("swap", Fault.DROP_RESPONSE)
    with pytest.raises(DepositPendingError):
        house.deposit(token, ALICE)

    with pytest.raises(TokenTakenError):
        house.deposit(token, BOB)

    assert house.deposit(token, ALICE).credited_msat == 12_000
    assert house.available_msat(BOB) == 0


@pytest.mark.parametrize("path", ["restore", "checkstate"])
def test_nothing_is_refused_while_the_mint_cannot_be_asked_what_became_of_it(
    house: House, mint: MoodyMint, path: str
) -> None:
    """M7."""
    token = mint.fund(13)
    mint.fault("swap", Fault.DROP_RESPONSE)
    mint.fault(path, Fault.SERVER_ERROR)
    mint.refuse(path, 10000)
    for _ in range(3):
        with pytest.raises(DepositPendingError):
            house.deposit(token)

    assert house.deposit(token).credited_msat == 12_000
    assert_credited_once(house, token)


def test_a_mint_that_restarts_is_waited_for(house: House, mint: MoodyMint) -> None:
    token = mint.fund(13)
    mint.fault("swap", Fault.DROP_RESPONSE)
    with pytest.raises(DepositPendingError):
        house.deposit(token)
    mint.go_away()

    with pytest.raises(DepositPendingError):
        house.deposit(token)
    mint.come_back()

    assert house.deposit(token).credited_msat == 12_000
    assert_credited_once(house, token)


def test_proofs_pending_at_the_mint_are_waited_for(house: House, mint: MoodyMint) -> None:
    token = mint.fund(13)
    mint.pending |= ys_of(token)
    with pytest.raises(DepositPendingError):
        house.deposit(token)

    mint.pending.clear()

    assert house.deposit(token).credited_msat == 12_000
    assert_credited_once(house, token)


def test_a_keyset_rotated_after_the_plan_is_planned_around(
    house: House, mint: MoodyMint
) -> None:
    token = mint.fund(13)
    mint.fault("swap", Fault.SERVER_ERROR)
    with pytest.raises(DepositPendingError):
        house.deposit(token)
    new_id = mint.rotate("sat")

    credited = house.deposit(token)

    assert house.topics(stream_of(token)) == [RECEIVED, REPLANNED, CREDITED]
    assert {proof.keyset_id for proof in credited.proofs} == {new_id}
    assert house.pauses == [pytest.approx(0.3)]
    assert_credited_once(house, token)


def test_a_rotation_not_noticed_yet_is_planned_around(house: House, mint: MoodyMint) -> None:
    house.deposit(mint.fund(2))
    token = mint.fund(13)
    mint.rotate("sat")

    house.deposit(token)

    assert house.topics(stream_of(token)) == [RECEIVED, REPLANNED, CREDITED]
    assert house.available_msat() == 1_000 + 12_000


def test_a_swap_done_before_the_rotation_is_not_done_again(
    house: House, mint: MoodyMint
) -> None:
    token, old_id = mint.fund(13), mint.active("sat").id
    mint.fault("swap", Fault.DROP_RESPONSE)
    with pytest.raises(DepositPendingError):
        house.deposit(token)
    mint.rotate("sat")

    credited = house.deposit(token)

    assert house.topics(stream_of(token)) == [RECEIVED, CREDITED]
    assert {proof.keyset_id for proof in credited.proofs} == {old_id}


def test_counters_that_were_used_before_are_left_behind(build: Build, mint: MoodyMint) -> None:
    """An old backup was restored: the same seed begins with the same counters again."""
    build(mint, anew=True).deposit(mint.fund(13))
    restored, token = build(mint, anew=True), mint.fund(13)

    credited = restored.deposit(token)

    assert restored.topics(stream_of(token)) == [RECEIVED, REPLANNED, CREDITED]
    assert [proof.counter for proof in credited.proofs] == [2, 3]
    assert_credited_once(restored, token)


@pytest.mark.parametrize("before", [2, 5, 16, 256])
def test_counters_of_which_some_were_used_are_left_behind(
    build: Build, mint: MoodyMint, before: int
) -> None:
    build(mint, anew=True).deposit(mint.fund(before))
    restored, token = build(mint, anew=True), mint.fund(13)

    credited = restored.deposit(token)

    assert credited.credited_msat == 12_000
    assert_credited_once(restored, token)


def test_a_spent_token_is_not_credited_with_what_old_counters_once_got(
    build: Build, mint: MoodyMint
) -> None:
    """The mint has signed these outputs, but for another token of other amounts."""
    build(mint, anew=True).deposit(mint.fund(25))
    token = mint.fund(13)
    build(mint, anew=True, seed=OTHER_SEED).deposit(token)
    restored = build(mint, anew=True)

    with pytest.raises(TokenSpentError):
        restored.deposit(token)

    assert restored.available_msat() == 0
    assert restored.topics(stream_of(token)) == [RECEIVED, REFUSED]


def test_more_used_counters_than_one_call_gets_past_are_got_past_by_several(
    build: Build, mint: MoodyMint
) -> None:
    before = build(mint, anew=True)
    for _ in range(10):
        before.deposit(mint.fund(13))
    restored, token = build(mint, anew=True), mint.fund(13)

    with pytest.raises(DepositPendingError):
        restored.deposit(token)

    assert restored.deposit(token).credited_msat == 12_000
    assert_credited_once(restored, token)


@pytest.mark.parametrize("account_id", [ALICE, BOB], ids=["the same", "another"])
def test_a_refused_token_may_be_presented_again(
    house: House, mint: MoodyMint, account_id: UUID
) -> None:
    token = mint.fund(13)
    mint.refuse("swap", UNBALANCED)
    with pytest.raises(TokenRefusedError, match="in no mood"):
        house.deposit(token, ALICE)
    assert house.store.open_movements() == []

    house.deposit(token, account_id)

    assert house.topics(stream_of(token)) == [RECEIVED, REFUSED, REPLANNED, CREDITED]
    assert house.available_msat(account_id) == 12_000
    assert_credited_once(house, token, account_id)


def test_a_plan_given_up_that_succeeded_late_is_found(house: House, mint: MoodyMint) -> None:
    """M7: a copy of the first request was still on its way when it was refused."""
    token = mint.fund(13)
    mint.refuse("swap", UNBALANCED)
    with pytest.raises(TokenRefusedError):
        house.deposit(token)
    late = mint.swaps[0]
    assert mint.answer("POST", "swap", late)[0] == 200

    credited = house.deposit(token)

    assert house.topics(stream_of(token)) == [RECEIVED, REFUSED, REPLANNED, CREDITED]
    assert [proof.counter for proof in credited.proofs] == [0, 1]
    assert_credited_once(house, token)


def test_a_plan_given_up_is_not_believed_before_the_mint_can_be_asked(
    house: House, mint: MoodyMint
) -> None:
    token = mint.fund(13)
    mint.refuse("swap", UNBALANCED)
    with pytest.raises(TokenRefusedError):
        house.deposit(token)
    assert mint.answer("POST", "swap", mint.swaps[0])[0] == 200
    # The newest plan is asked about first, and then the one given up.
    mint.refuse("restore", 10000, after=1)

    with pytest.raises(DepositPendingError):
        house.deposit(token)

    assert house.deposit(token).credited_msat == 12_000
    assert_credited_once(house, token)


def test_a_process_that_lags_behind_is_told_the_end(house: House, mint: MoodyMint) -> None:
    """It goes on from a plan that another process has replaced and finished since."""
    token = mint.fund(13)
    mint.fault("swap", Fault.SERVER_ERROR)
    with pytest.raises(DepositPendingError):
        house.deposit(token)
    (stale,) = house.store.history(stream_of(token))
    mint.rotate("sat")
    credited = house.deposit(token)

    assert house.deposits.resume(stale) == credited
    assert_credited_once(house, token)


def test_a_mint_that_never_says_why_keeps_nothing_else_waiting(
    house: House, mint: MoodyMint
) -> None:
    """nutshell answers code 0 to all it cannot name, also to what may yet succeed.

    So it is no refusal: the token stays with its account and is asked about again, each
    time it is presented and by the back office, until the mint says something that is
    final. Nothing else waits for it.
    """
    stuck, other = mint.fund(13), mint.fund(13)
    mint.refuse("swap", SOMETHING_FAILED, times=ALWAYS)
    for _ in range(3):
        with pytest.raises(DepositPendingError):
            house.deposit(stuck)
    mint.relent()

    assert house.deposit(other).credited_msat == 12_000
    assert house.topics(stream_of(stuck)) == [RECEIVED]
    assert house.deposit(stuck).credited_msat == 12_000
    assert_credited_once(house, stuck)


def test_a_mint_that_is_trusted_no_longer_leaves_its_deposits_open(
    build: Build, house: House, mint: MoodyMint, second_mint: MoodyMint
) -> None:
    token = mint.fund(13)
    mint.fault("swap", Fault.DROP_RESPONSE)
    with pytest.raises(DepositPendingError):
        house.deposit(token)

    with pytest.raises(DepositPendingError):
        build(second_mint, owner="worker-2").deposit(token)

    assert house.deposit(token).credited_msat == 12_000
