"""M38, M39, M43: the owner is paid by hand what is owed to nobody, and is shown it first."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.cashier.errors import (
    ChangeCollectedError,
    RefundPendingError,
    RefundTakenBackError,
    WithdrawalUnknownError,
)
from app.cashier.withdrawal import LIGHTNING, TOKEN, Wish, Withdrawals
from app.gateways.mint.mints import UntrustedMintError
from domain.errors import NothingToRefundError, OwnerMayNotDrawError, UnexplainedError
from domain.msat import Msat
from domain.payout import PayoutStarted
from domain.posting import DRAWN
from domain.reconcile import Compared
from domain.refund import Started
from tests.cashier.house import ALICE, BOB, House, spend
from tests.cashier.recipients import Bob
from tests.cashier.test_earnings import books, earn, free_msat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cashier.conftest import Build, OpenMint
    from tests.cashier.house import MoodyMint

ENOUGH_MSAT = 1_000_000


@pytest.fixture
def bob(open_mint: OpenMint, mint: MoodyMint) -> Iterator[Bob]:
    """The owner, of an address elsewhere."""
    bank = open_mint("bank", pays_invoices=False)
    mint.peers.append(bank)
    with Bob(bank) as bob:
        yield bob


@pytest.fixture
def house(build: Build, mint: MoodyMint, bob: Bob) -> House:
    """Alice has paid 1,000 sat in and spent 300 of it."""
    house = build(mint, allow=[bob.netloc], on_its_way=timedelta(0))
    earn(house, mint)
    return house


def desk(house: House) -> Withdrawals:
    return Withdrawals(house.payouts, house.refunds, house.mints, house.store)


def by_lightning(mint: MoodyMint, bob: Bob, most_msat: int = ENOUGH_MSAT) -> Wish:
    return Wish(LIGHTNING, mint.url, most_msat, bob.address)


def test_it_is_told_what_could_be_taken_at_each_mint(house: House, mint: MoodyMint) -> None:
    (place,) = desk(house).places()

    assert place.mint == mint.url
    assert (place.free_msat, place.owed_msat) == (1_000_000, 700_000)
    assert (place.surplus_msat, place.unexplained_msat) == (300_000, 0)


def test_looking_begins_nothing_and_shows_what_will_be_done(
    house: House, mint: MoodyMint, bob: Bob
) -> None:
    before = len(house.log())

    plan = desk(house).plan(by_lightning(mint, bob))

    assert len(house.log()) == before
    assert bob.paid_sat == []
    assert 290_000 <= plan.arrives_msat <= 298_000
    assert plan.taken_msat <= 300_000
    assert plan.left_msat == 300_000 - plan.taken_msat


def test_what_was_shown_is_paid_and_says_who_wanted_it(
    house: House, mint: MoodyMint, bob: Bob
) -> None:
    """M38: the clients' proofs do not go along."""
    owed_msat, plan = house.available_msat(), desk(house).plan(by_lightning(mint, bob))

    payout = desk(house).pay(uuid4(), plan.wish, "ann")

    started = [event for event in house.log() if isinstance(event, PayoutStarted)]
    assert payout.status == "paid"
    assert bob.paid_sat == [plan.arrives_msat // 1_000]
    assert started[0].who == "ann"
    assert house.available_msat() == owed_msat <= free_msat(house)


def test_a_form_that_is_sent_twice_pays_once(house: House, mint: MoodyMint, bob: Bob) -> None:
    wish, movement = by_lightning(mint, bob, 100_000), uuid4()

    first = desk(house).pay(movement, wish, "ann")
    second = desk(house).pay(movement, wish, "ann")

    assert first == second
    assert len(bob.paid_sat) == 1


def test_a_token_is_the_owners_and_is_shown_until_it_is_redeemed(
    house: House, mint: MoodyMint
) -> None:
    movement, wish = uuid4(), Wish(TOKEN, mint.url, 100_000)
    plan = desk(house).plan(wish)

    first = desk(house).token(movement, wish, "ann")
    again = desk(house).token_again(movement, "ann")

    started = [event for event in house.log() if isinstance(event, Started)]
    assert again == first
    assert first.amount * 1_000 == plan.arrives_msat
    assert plan.taken_msat == 100_000
    assert started[0].who == "ann"
    assert books(house).balances_msat[DRAWN] == -plan.arrives_msat
    assert first.token not in repr(house.log())
    house.deposit(first.token, BOB)
    house.refunds.collected(house.store.history(movement)[-1])
    with pytest.raises(ChangeCollectedError):
        desk(house).token_again(movement, "ann")


def test_a_token_that_was_taken_back_is_not_pending_for_ever(
    house: House, mint: MoodyMint
) -> None:
    """Whoever asks for it again is told to ask for another, and the money is there again."""
    before, name = desk(house).places(), uuid4()
    desk(house).token(name, Wish(TOKEN, mint.url, 100_000), "ann")
    house.refunds.sweep(house.store.history(name)[-1])

    with pytest.raises(RefundTakenBackError):
        desk(house).token_again(name, "ann")
    (place,), (old,) = desk(house).places(), before
    assert place.surplus_msat >= old.surplus_msat - 10_000


def test_a_token_that_the_mint_refused_is_told_as_taken_back(
    house: House, mint: MoodyMint
) -> None:
    mint.refuse("swap", 11005)
    name, wish = uuid4(), Wish(TOKEN, mint.url, 100_000)
    with pytest.raises(RefundPendingError):
        desk(house).token(name, wish, "ann")

    with pytest.raises(RefundTakenBackError):
        desk(house).token(name, wish, "ann")
    assert desk(house).token(uuid4(), wish, "ann").token


@pytest.mark.parametrize("way", [LIGHTNING, TOKEN])
def test_never_more_than_is_owed_to_nobody(
    house: House, mint: MoodyMint, bob: Bob, way: str
) -> None:
    """M43: whatever is asked for, what clients are owed stays."""
    wish = Wish(way, mint.url, 10**12, bob.address)
    plan = desk(house).plan(wish)

    if way == LIGHTNING:
        desk(house).pay(uuid4(), wish, "ann")
    else:
        with pytest.raises(OwnerMayNotDrawError):
            desk(house).token(uuid4(), wish, "ann")

    assert plan.taken_msat <= 300_000
    assert free_msat(house) >= house.available_msat()


@pytest.mark.parametrize("way", [LIGHTNING, TOKEN])
def test_what_was_earned_and_owed_again_since_is_not_paid(
    house: House, mint: MoodyMint, bob: Bob, way: str
) -> None:
    plan = desk(house).plan(Wish(way, mint.url, 300_000, bob.address))
    desk(house).pay(uuid4(), by_lightning(mint, bob, 250_000), "somebody else")
    drawn_msat = books(house).balances_msat[DRAWN]

    with pytest.raises((OwnerMayNotDrawError, NothingToRefundError)):
        desk(house).token(uuid4(), plan.wish, "ann")

    assert books(house).balances_msat[DRAWN] == drawn_msat
    assert free_msat(house) >= house.available_msat()


@pytest.mark.parametrize("way", [LIGHTNING, TOKEN])
def test_while_proofs_are_unexplained_nothing_is_even_planned(
    house: House, mint: MoodyMint, bob: Bob, way: str
) -> None:
    compared = Compared(booked_msat=1_000_000, free_msat=999_000, missing_msat=1_000)
    house.ledger.reconcile(mint.url, compared)

    with pytest.raises(UnexplainedError):
        desk(house).plan(Wish(way, mint.url, 100_000, bob.address))

    assert desk(house).places()[0].unexplained_msat == 1_000


def test_what_is_owed_at_one_mint_is_not_taken_at_another(
    build: Build, mint: MoodyMint, second_mint: MoodyMint
) -> None:
    """M39."""
    house = build(mint, second_mint)
    house.deposit(mint.fund(1_001))
    house.deposit(second_mint.fund(11), BOB)
    spend(house, BOB, Msat(5_000), uuid4())

    first, second = desk(house).places()

    assert (first.surplus_msat, second.surplus_msat) == (0, 5_000)


def test_nobody_elses_token_is_shown_and_no_other_mint_is_asked(
    house: House, mint: MoodyMint
) -> None:
    refund = house.refunds.refund(ALICE)

    with pytest.raises(WithdrawalUnknownError):
        desk(house).token_again(refund.refund_id, "ann")
    with pytest.raises(WithdrawalUnknownError):
        desk(house).token_again(uuid4(), "ann")
    with pytest.raises(UntrustedMintError):
        desk(house).plan(Wish(TOKEN, "https://other.example", 1_000))
