from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.cashier.errors import RefundPendingError
from app.gateways.mint.tokens import decode
from domain.errors import NothingToRefundError, PurseShortError, UnknownAccountError
from domain.guards import ISSUED
from domain.msat import Msat
from domain.refund import Collected, Issued, Started
from tests.cashier.house import ALICE, BOB, OTHER_SEED, TERMS, at_once, spend, ys_of

if TYPE_CHECKING:
    from app.cashier.refund import Refund
    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint

COSTS_A_SAT_TO_DEPOSIT = 101


@pytest.fixture
def stranger(build: Build, mint: MoodyMint, second_mint: MoodyMint) -> House:
    """Another house at the same mints, which knows nothing of ours."""
    return build(mint, second_mint, anew=True, seed=OTHER_SEED)


def worth_sat(refund: Refund) -> int:
    assert decode(refund.token).amount == refund.amount
    return refund.amount


def kinds(house: House, kind: type[Issued | Started | Collected]) -> int:
    return sum(isinstance(event, kind) for event in house.log())


def test_all_that_is_available_becomes_a_token(funded: House, mint: MoodyMint) -> None:
    refund = funded.refunds.refund(ALICE)

    token = decode(refund.token)
    assert (token.mint, token.unit, token.amount) == (mint.url, "sat", 99)
    assert (refund.amount, refund.fee, refund.unit) == (99, 1, "sat")
    assert funded.available_msat() == 0
    assert funded.store.free(mint.url, "sat") == 0
    assert funded.topics(refund.refund_id) == ["refund.started", "refund.issued"]


def test_a_part_leaves_the_rest_where_it_is(funded: House, mint: MoodyMint) -> None:
    """The fee comes out of what is refunded, and change comes back to the purse."""
    refund = funded.refunds.refund(ALICE, Msat(10_500))

    assert (worth_sat(refund), refund.fee) == (9, 1)
    assert funded.available_msat() == 90_000
    assert funded.store.free(mint.url, "sat") == 90


def test_more_than_there_is_is_all_there_is(funded: House) -> None:
    refund = funded.refunds.refund(ALICE, Msat(10**12))

    assert worth_sat(refund) == 99
    assert funded.available_msat() == 0


def test_less_than_a_sat_stays_in_the_account(funded: House) -> None:
    """M36."""
    spend(funded, ALICE, Msat(250), uuid4())

    refund = funded.refunds.refund(ALICE)

    assert worth_sat(refund) == 98
    assert funded.available_msat() == 750
    assert funded.refunds.refund(ALICE) == refund


def test_what_is_held_stays_held(funded: House, mint: MoodyMint) -> None:
    funded.ledger.hold(uuid4(), ALICE, Msat(60_000), TERMS)

    refund = funded.refunds.refund(ALICE)

    assert (refund.amount + refund.fee, refund.fee) == (40, 1)
    assert (funded.available_msat(), funded.held_msat()) == (0, 60_000)
    assert funded.store.free(mint.url, "sat") == 60


def test_a_token_that_was_not_collected_is_told_again(
    build: Build, funded: House, mint: MoodyMint
) -> None:
    """M32: the answer was lost, in this process or with it."""
    first = funded.refunds.refund(ALICE)

    again = [funded.refunds.refund(ALICE), build(mint, owner="2").refunds.refund(ALICE)]

    assert again == [first, first]
    assert kinds(funded, Started) == 1


def test_a_token_that_was_collected_is_never_told_again(funded: House, stranger: House) -> None:
    """M30."""
    refund = funded.refunds.refund(ALICE)
    stranger.deposit(refund.token)

    for _ in range(2):
        with pytest.raises(NothingToRefundError, match=r"^No balance to refund$"):
            funded.refunds.refund(ALICE)

    assert funded.topics(refund.refund_id)[-1] == "refund.collected"
    assert kinds(funded, Collected) == 1


def test_a_token_is_worth_what_it_says_to_another_wallet(
    funded: House, stranger: House
) -> None:
    """Each proof shows that its mint has signed it (NUT-12)."""
    token = decode(funded.refunds.refund(ALICE).token)

    assert all(proof.dleq is not None for proof in token.proofs)
    assert stranger.deposits.deposit(token, BOB).credited_msat == 98_000


def test_dust_alone_is_too_small_to_refund(funded: House, stranger: House) -> None:
    """M36."""
    spend(funded, ALICE, Msat(99_500), uuid4())

    with pytest.raises(NothingToRefundError, match=r"^Balance too small to refund$"):
        funded.refunds.refund(ALICE)

    assert funded.available_msat() == 500


def test_what_the_fee_would_eat_is_too_small_to_refund(funded: House) -> None:
    spend(funded, ALICE, Msat(99_000), uuid4())

    with pytest.raises(NothingToRefundError, match="too small") as refusal:
        funded.refunds.refund(ALICE)

    assert (refusal.value.available_msat, refusal.value.fee_msat) == (1_000, 1_000)
    assert funded.available_msat() == 1_000


def test_an_account_nobody_opened_has_no_refund(funded: House) -> None:
    with pytest.raises(UnknownAccountError):
        funded.refunds.refund(BOB)


def test_money_added_meanwhile_is_refunded_apart(
    funded: House, mint: MoodyMint, stranger: House
) -> None:
    """M31: an older token is told again only when the newer one was collected."""
    first = funded.refunds.refund(ALICE)
    funded.deposit(mint.fund(51))

    second = funded.refunds.refund(ALICE)

    assert (worth_sat(first), worth_sat(second)) == (99, 49)
    assert funded.refunds.refund(ALICE) == second
    stranger.deposit(second.token)
    assert funded.refunds.refund(ALICE) == first
    stranger.deposit(first.token)
    with pytest.raises(NothingToRefundError):
        funded.refunds.refund(ALICE)


def test_money_goes_back_to_the_mint_it_came_from(
    build: Build, mint: MoodyMint, second_mint: MoodyMint
) -> None:
    """M28: though the other mint holds more."""
    house = build(mint, second_mint)
    house.deposit(mint.fund(51), ALICE)
    house.deposit(second_mint.fund(1_001), BOB)

    refunds = {who: house.refunds.refund(who) for who in (ALICE, BOB)}

    assert decode(refunds[ALICE].token).mint == mint.url
    assert decode(refunds[BOB].token).mint == second_mint.url
    assert (worth_sat(refunds[ALICE]), worth_sat(refunds[BOB])) == (49, 999)


def test_money_goes_back_in_the_unit_it_came_in(house: House, mint: MoodyMint) -> None:
    """M28."""
    house.deposit(mint.fund(1_025, "msat"))

    refund = house.refunds.refund(ALICE)

    assert (refund.unit, refund.amount, refund.fee) == ("msat", 1_023, 1)
    assert house.available_msat() == 0


def test_money_of_two_mints_goes_back_in_two_tokens(
    build: Build, mint: MoodyMint, second_mint: MoodyMint
) -> None:
    house = build(mint, second_mint)
    house.deposit(mint.fund(101))
    house.deposit(second_mint.fund(51))

    tokens = [house.refunds.refund(ALICE) for _ in range(2)]

    assert [decode(refund.token).mint for refund in tokens] == [second_mint.url, mint.url]
    assert [worth_sat(refund) for refund in tokens] == [49, 99]
    assert house.available_msat() == 0


def test_another_mint_helps_out_where_the_purse_is_empty(
    build: Build, mint: MoodyMint, second_mint: MoodyMint
) -> None:
    house = build(mint, second_mint)
    house.deposit(mint.fund(51), ALICE)
    house.deposit(second_mint.fund(51), BOB)
    house.deposit(mint.fund(2), BOB)
    first = house.refunds.refund(BOB)

    refund = house.refunds.refund(ALICE)

    # Bob's newest deposit came from Alice's mint, so that he took all there was.
    assert (decode(first.token).mint, worth_sat(first)) == (mint.url, 50)
    assert (decode(refund.token).mint, worth_sat(refund)) == (second_mint.url, 49)


def test_a_short_purse_gives_what_it_has(funded: House, mint: MoodyMint) -> None:
    """Bob's refund has set aside a larger proof than it needs, and waits for the mint."""
    funded.deposit(mint.fund(11), BOB)
    mint.refuse("swap", 0)
    with pytest.raises(RefundPendingError):
        funded.refunds.refund(BOB)

    first = funded.refunds.refund(ALICE)
    funded.refunds.refund(BOB)
    rest = funded.refunds.refund(ALICE)

    assert (first.amount, first.fee) == (77, 1)
    assert (rest.amount, rest.fee) == (21, 1)
    assert funded.available_msat() == 0


def test_without_any_purse_nothing_is_taken(
    build: Build, funded: House, second_mint: MoodyMint
) -> None:
    with pytest.raises(PurseShortError):
        build(second_mint, owner="worker-2").refunds.refund(ALICE)

    assert funded.available_msat() == 100_000


def test_a_collected_token_is_recorded_once(
    build: Build, funded: House, mint: MoodyMint, stranger: House
) -> None:
    refund = funded.refunds.refund(ALICE)
    issued = funded.store.history(refund.refund_id)[-1]
    assert not funded.refunds.collected(issued)
    stranger.deposit(refund.token)

    houses = (funded, build(mint, owner="worker-2"), funded)

    assert [house.refunds.collected(issued) for house in houses] == [True, True, True]
    assert kinds(funded, Collected) == 1
    assert funded.store.movements_of(ALICE, ISSUED) == []
    assert not funded.refunds.collected(funded.store.history(refund.refund_id)[-1])


def test_a_token_of_which_a_part_was_spent_is_not_collected(
    funded: House, mint: MoodyMint
) -> None:
    refund = funded.refunds.refund(ALICE)
    mint.spent.add(min(ys_of(refund.token)))

    assert not funded.refunds.collected(funded.store.history(refund.refund_id)[-1])


def test_ten_requests_for_a_refund_at_once_pay_once(
    build_anywhere: Build, mint: MoodyMint
) -> None:
    """M31."""
    house = build_anywhere(mint)
    house.deposit(mint.fund(101))

    refunds = at_once([partial(house.refunds.refund, ALICE)] * 10)

    assert {refund.token for refund in refunds} == {refunds[0].token}
    assert kinds(house, Started) == kinds(house, Issued) == 1
    assert house.available_msat() == 0


def test_several_processes_asked_at_once_pay_once(
    build_anywhere: Build, mint: MoodyMint
) -> None:
    houses = [build_anywhere(mint, owner=f"worker-{number}") for number in range(3)]
    houses[0].deposit(mint.fund(101))

    refunds = at_once([partial(house.refunds.refund, ALICE) for house in houses * 3])

    assert {refund.token for refund in refunds} == {refunds[0].token}
    assert kinds(houses[0], Started) == kinds(houses[0], Issued) == 1


def test_a_refund_and_a_deposit_at_once_lose_nothing(
    build_anywhere: Build, mint: MoodyMint
) -> None:
    """M31."""
    house, token = build_anywhere(mint), mint.fund(51)
    house.deposit(mint.fund(101))

    at_once([lambda: house.refunds.refund(ALICE), lambda: house.deposit(token)])

    taken_msat = sum(
        event.draft.taken_msat for event in house.log() if isinstance(event, Started)
    )
    assert house.available_msat() + taken_msat == 150_000
