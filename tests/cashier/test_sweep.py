"""A token that nobody collects comes back into its account, unless it is collected first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import RefundPendingError
from app.gateways.mint.tokens import Token, decode, encode
from domain.guards import ISSUED, SWEEP
from domain.identity import change_of_request
from domain.reclaim import SweepStarted, Swept
from domain.refund import Collected, Issued, Started
from tests.cashier.house import ALICE, OTHER_SEED, at_once, ys_of
from tests.doubles.mint import FakeMint, Fault

if TYPE_CHECKING:
    from uuid import UUID

    from app.cashier.refund import Refund
    from app.cashier.ticket import Ticket
    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint
    from tests.cashier.kiosk import Kiosk

UNDECIDED, INACTIVE = 0, 12002
BEGUN = [Started.TOPIC, Issued.TOPIC]
SWEEPING, SWEPT, COLLECTED = SweepStarted.TOPIC, Swept.TOPIC, Collected.TOPIC


@pytest.fixture
def refund(funded: House) -> Refund:
    """Alice's 100 sat, in a token of 99."""
    return funded.refunds.refund(ALICE)


def sweep(house: House, refund_id: UUID) -> bool:
    return house.refunds.sweep(house.store.history(refund_id)[-1])


def part(token: str, count: int) -> str:
    """Return a token of some of the proofs of a token."""
    whole = decode(token)
    return encode(Token(whole.mint, whole.unit, whole.proofs[:count]))


def unanswered(house: House, refund_id: UUID, mint: MoodyMint) -> None:
    """Begin to take a token back, and have no answer of the mint."""
    mint.refuse("swap", UNDECIDED)
    with pytest.raises(RefundPendingError):
        sweep(house, refund_id)
    assert house.topics(refund_id) == [*BEGUN, SWEEPING]


def test_an_uncollected_token_is_its_accounts_again_and_can_be_refunded_anew(
    build: Build, funded: House, refund: Refund, mint: MoodyMint
) -> None:
    assert sweep(funded, refund.refund_id)

    assert funded.topics(refund.refund_id) == [*BEGUN, SWEEPING, SWEPT]
    assert funded.available_msat() == 98_000
    assert funded.store.movements_of(ALICE, ISSUED) == []
    again = funded.refunds.refund(ALICE)
    assert (again.refund_id != refund.refund_id, again.amount) == (True, 97)
    stranger = build(mint, anew=True, seed=OTHER_SEED)
    assert stranger.deposit(again.token).credited_msat == 96_000


def test_whoever_is_quicker_at_the_mint_has_the_money(
    build: Build, funded: House, refund: Refund, mint: MoodyMint
) -> None:
    """M44: the sweep had begun when the token was collected."""
    unanswered(funded, refund.refund_id, mint)
    build(mint, anew=True, seed=OTHER_SEED).deposit(refund.token)

    assert not sweep(funded, refund.refund_id)

    assert funded.topics(refund.refund_id) == [*BEGUN, SWEEPING, COLLECTED]
    assert funded.available_msat() == 0


def test_a_token_that_was_collected_is_found_so_before_it_is_taken_back(
    build: Build, funded: House, refund: Refund, mint: MoodyMint
) -> None:
    build(mint, anew=True, seed=OTHER_SEED).deposit(refund.token)

    assert not sweep(funded, refund.refund_id)

    assert funded.topics(refund.refund_id) == [*BEGUN, COLLECTED]


def test_a_sweep_that_the_mint_carried_out_unheard_is_no_collection(
    build: Build, funded: House, refund: Refund, mint: MoodyMint
) -> None:
    """M44: its proofs are spent, and by us."""
    mint.fault("swap", Fault.DROP_RESPONSE)
    with pytest.raises(RefundPendingError):
        sweep(funded, refund.refund_id)

    other = build(mint, owner="worker-2")
    assert sweep(other, refund.refund_id)

    assert funded.topics(refund.refund_id) == [*BEGUN, SWEEPING, SWEPT]
    assert funded.available_msat() == 98_000


def test_a_first_try_that_lands_late_is_the_one_that_counts(
    funded: House, refund: Refund, mint: MoodyMint
) -> None:
    mint.refuse("swap", INACTIVE)
    mint.refuse("swap", UNDECIDED)
    with pytest.raises(RefundPendingError):
        sweep(funded, refund.refund_id)
    assert funded.topics(refund.refund_id) == [*BEGUN, SWEEPING, SWEEPING]
    assert FakeMint.answer(mint, "POST", "swap", mint.swaps[-2])[0] == 200

    assert sweep(funded, refund.refund_id)

    swept, first = funded.events(refund.refund_id)[-1], funded.events(refund.refund_id)[2]
    assert isinstance(swept, Swept)
    assert isinstance(first, SweepStarted)
    assert swept.swap == first.swap
    assert funded.available_msat() == 98_000


def test_only_what_nobody_has_collected_comes_back(
    build: Build, funded: House, refund: Refund, mint: MoodyMint
) -> None:
    stranger = build(mint, anew=True, seed=OTHER_SEED)
    credited = stranger.deposit(part(refund.token, 3))
    taken_msat = credited.face_msat

    assert sweep(funded, refund.refund_id)

    swept = funded.events(refund.refund_id)[-1]
    assert isinstance(swept, Swept)
    assert swept.collected_msat == taken_msat
    assert funded.available_msat() == 99_000 - taken_msat - 1_000


def test_what_is_collected_while_it_is_taken_back_is_left_out_the_next_time(
    build: Build, funded: House, refund: Refund, mint: MoodyMint
) -> None:
    unanswered(funded, refund.refund_id, mint)
    stranger = build(mint, anew=True, seed=OTHER_SEED)
    taken_msat = stranger.deposit(part(refund.token, 3)).face_msat

    assert sweep(funded, refund.refund_id)

    topics = funded.topics(refund.refund_id)
    assert topics == [*BEGUN, SWEEPING, SWEEPING, SWEPT]
    assert funded.available_msat() == 99_000 - taken_msat - 1_000


def test_a_token_that_is_being_spent_is_left_alone(
    funded: House, refund: Refund, mint: MoodyMint
) -> None:
    mint.pending |= ys_of(refund.token)

    with pytest.raises(RefundPendingError):
        sweep(funded, refund.refund_id)

    assert funded.topics(refund.refund_id) == BEGUN
    mint.pending.clear()


def test_what_the_fee_would_eat_stays_a_token(
    build: Build, mint: MoodyMint, house: House
) -> None:
    """M36: it can still be collected, and is still owed."""
    house.deposit(mint.fund(3))
    refund = house.refunds.refund(ALICE)
    assert refund.amount == 1

    with pytest.raises(RefundPendingError):
        sweep(house, refund.refund_id)

    assert house.topics(refund.refund_id) == BEGUN


def test_a_client_who_asks_while_its_token_is_taken_back_gets_a_fresh_one(
    funded: House, refund: Refund, mint: MoodyMint
) -> None:
    """M30: neither the old token nor a word of no balance."""
    unanswered(funded, refund.refund_id, mint)

    again = funded.refunds.refund(ALICE)

    assert funded.topics(refund.refund_id) == [*BEGUN, SWEEPING, SWEPT]
    assert (again.refund_id != refund.refund_id, again.amount) == (True, 97)


def test_two_processes_that_take_back_at_once_take_back_once(
    build: Build, funded: House, refund: Refund, mint: MoodyMint
) -> None:
    other = build(mint, owner="worker-2")

    at_once([partial(sweep, each, refund.refund_id) for each in (funded, other)])

    assert funded.topics(refund.refund_id)[-1] == SWEPT
    assert funded.available_msat() == 98_000
    assert funded.store.movements_of(ALICE, SWEEP) == []


def test_a_process_that_lags_behind_is_told_the_end(
    funded: House, refund: Refund, mint: MoodyMint
) -> None:
    unanswered(funded, refund.refund_id, mint)
    stale = funded.store.history(refund.refund_id)
    assert sweep(funded, refund.refund_id)
    calls = mint.calls["swap"]

    assert funded.refunds.sweep(stale[-1])
    with pytest.raises(RefundPendingError):
        funded.refunds.resume(stale[0])

    assert mint.calls["swap"] == calls


def test_change_that_was_taken_back_is_given_anew_for_the_original_token(
    build: Build, kiosk: Kiosk, ticket: Ticket, mint: MoodyMint
) -> None:
    """M44: by a refund of its own, whose name follows from the first one's."""
    kiosk.serve(ticket)
    first = kiosk.change(ticket)
    assert sweep(kiosk.house, first.refund_id)

    again = kiosk.change(ticket)

    assert again.refund_id == change_of_request(first.refund_id)
    assert again.amount == first.amount - 2
    assert kiosk.change(ticket) == again
    stranger = build(mint, anew=True, seed=OTHER_SEED)
    assert stranger.deposit(again.token).face_msat == again.amount * 1_000


def test_who_asks_for_change_while_it_is_taken_back_finishes_that(
    kiosk: Kiosk, ticket: Ticket, mint: MoodyMint
) -> None:
    """M27: asked again, as 425 says, there is a fresh token."""
    kiosk.serve(ticket)
    first = kiosk.change(ticket)
    unanswered(kiosk.house, first.refund_id, mint)

    with pytest.raises(RefundPendingError):
        kiosk.change(ticket)

    assert kiosk.change(ticket).refund_id == change_of_request(first.refund_id)
