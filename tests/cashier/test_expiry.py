from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from app.cashier.expiry import PAGE, ROUND_MAX, Expiry
from app.cashier.keys import Keys, Spender, Wanted
from app.cashier.vault import Addresses
from app.gateways.mint.tokens import decode
from domain.allowance import KeyRow, Rules
from domain.guards import PAYOUT
from domain.key import Changes
from domain.msat import Msat
from domain.refund import Issued, Started
from tests.cashier.house import ALICE, BOB, at_once, spend, ys_of
from tests.cashier.recipients import Bob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cashier.conftest import Build, OpenMint
    from tests.cashier.house import House, MoodyMint

YESTERDAY = datetime.now(UTC) - timedelta(days=1)
TOMORROW = datetime.now(UTC) + timedelta(days=1)


def keys_of(house: House) -> Keys:
    return Keys(house.ledger, house.store, Addresses(house.vault), Msat(0))


def expiry_of(house: House, now: datetime | None = None) -> Expiry:
    clock = (lambda: now) if now else (lambda: datetime.now(UTC))
    address_of = keys_of(house).refund_address
    return Expiry(house.store, house.refunds, house.payouts, address_of, clock)


def expire(house: House, account_id: UUID, address: str | None = None) -> None:
    wanted = Wanted(Changes(expires_at=YESTERDAY), address)
    keys_of(house).bind(Spender(account_id), wanted)


def count(house: House, *kinds: type[object]) -> int:
    return sum(isinstance(event, kinds) for event in house.log())


def test_what_is_left_becomes_a_token_that_its_owner_fetches(funded: House) -> None:
    """M35."""
    expire(funded, ALICE)

    refunded = expiry_of(funded).refund_expired()
    again = expiry_of(funded).refund_expired()

    assert (refunded, again) == (1, 0)
    assert funded.available_msat() == 0
    assert decode(funded.refunds.refund(ALICE).token).amount == 99
    assert count(funded, Started) == count(funded, Issued) == 1


def test_a_key_that_has_not_expired_keeps_its_money(funded: House) -> None:
    keys_of(funded).bind(Spender(ALICE), Wanted(Changes(expires_at=TOMORROW)))

    assert expiry_of(funded).refund_expired() == 0
    assert funded.available_msat() == 100_000
    assert expiry_of(funded, TOMORROW).refund_expired() == 1


def test_less_than_a_sat_stays_a_named_liability(funded: House) -> None:
    """M36."""
    expire(funded, ALICE)
    keys_of(funded).bind(Spender(ALICE), Wanted(Changes(expires_at=None)))
    spend(funded, ALICE, Msat(99_250), uuid4())
    expire(funded, ALICE)

    assert [expiry_of(funded).refund_expired() for _ in range(2)] == [0, 0]
    assert funded.available_msat() == 750
    assert count(funded, Started) == 0


def test_what_is_put_on_an_expired_key_is_refunded_with_the_next_round(
    funded: House, mint: MoodyMint
) -> None:
    expire(funded, ALICE)
    expiry_of(funded).refund_expired()
    funded.deposit(mint.fund(65), ALICE)
    credited_msat = funded.available_msat()

    assert expiry_of(funded).refund_expired() == 1

    newest = funded.refunds.refund(ALICE)
    assert credited_msat > 0
    assert decode(newest.token).amount == credited_msat // 1000 - newest.fee
    mint.spent |= ys_of(newest.token)
    assert decode(funded.refunds.refund(ALICE).token).amount == 99


def test_a_mint_that_is_away_is_asked_once_a_round(build: Build, mint: MoodyMint) -> None:
    house = build(mint)
    for account_id in (ALICE, BOB):
        house.deposit(mint.fund(101), account_id)
        expire(house, account_id)
    mint.go_away()

    assert expiry_of(house).refund_expired() == 0
    assert count(house, Started) == 1
    mint.come_back()
    # What was begun is finished by whoever recovers movements.
    for stream, _ in house.store.open_movements():
        house.refunds.resume(house.store.history(stream)[-1])

    assert expiry_of(house).refund_expired() == 1
    assert [house.available_msat(each) for each in (ALICE, BOB)] == [0, 0]
    assert count(house, Started) == count(house, Issued) == 2


def test_two_offices_at_once_refund_once(build: Build, mint: MoodyMint) -> None:
    one, two = build(mint), build(mint)
    one.deposit(mint.fund(101), ALICE)
    expire(one, ALICE)

    at_once([expiry_of(one).refund_expired, expiry_of(two).refund_expired])

    assert count(one, Started) == 1
    assert one.available_msat() == 0


class VeryMany:
    """A book of expired accounts, none of which has a msat, as many as there are rows."""

    def __init__(self, number: int) -> None:
        row = KeyRow(1, YESTERDAY, rules=Rules(expires_at=YESTERDAY))
        self._rows = [(UUID(int=place + 1), row) for place in range(number)]
        self.looked_at: list[UUID] = []

    def expired(
        self, at: datetime, after: tuple[datetime, UUID] | None, limit: int
    ) -> list[tuple[UUID, KeyRow]]:
        begin = 0 if after is None else after[1].int
        return self._rows[begin : begin + limit]

    def account(self, account_id: UUID) -> None:
        self.looked_at.append(account_id)


@pytest.mark.parametrize("number", [0, PAGE, PAGE + 5])
def test_those_that_cannot_be_refunded_stand_in_nobodys_way(funded: House, number: int) -> None:
    books = VeryMany(number)
    expiry = Expiry(books, funded.refunds, funded.payouts, lambda _: "")

    assert expiry.refund_expired() == 0
    assert [each.int for each in books.looked_at] == list(range(1, number + 1))


def test_a_round_has_an_end_and_the_next_goes_on_from_there(funded: House) -> None:
    books = VeryMany(ROUND_MAX + 7)
    expiry = Expiry(books, funded.refunds, funded.payouts, lambda _: "")

    for _ in range(3):
        expiry.refund_expired()

    places = [each.int for each in books.looked_at]
    assert places[: ROUND_MAX + 7] == list(range(1, ROUND_MAX + 8))
    assert places[ROUND_MAX + 7] == 1


@pytest.fixture
def bob(open_mint: OpenMint, mint: MoodyMint) -> Iterator[Bob]:
    bank = open_mint("bank", pays_invoices=False)
    mint.peers.append(bank)
    with Bob(bank) as bob:
        yield bob


@pytest.fixture
def with_bob(build: Build, mint: MoodyMint, bob: Bob) -> House:
    house = build(mint, allow=[bob.netloc], on_its_way=timedelta(0))
    house.deposit(mint.fund(101), ALICE)
    return house


def test_what_is_left_goes_to_the_address_it_was_given(with_bob: House, bob: Bob) -> None:
    """M35."""
    expire(with_bob, ALICE, bob.address)

    for _ in range(3):
        expiry_of(with_bob).refund_expired()

    assert sum(bob.paid_sat) >= 95
    assert count(with_bob, Started) == 0
    assert with_bob.available_msat() + 1_000 * sum(bob.paid_sat) <= 100_000
    assert with_bob.store.movements_of(ALICE, PAYOUT) == []


def test_an_address_that_takes_nothing_leaves_the_money_where_it_is(
    with_bob: House, bob: Bob
) -> None:
    expire(with_bob, ALICE, bob.address)
    bob.terms["tag"] = "withdrawRequest"

    assert expiry_of(with_bob).refund_expired() == 0

    assert with_bob.available_msat() == 100_000
    assert bob.paid_sat == []
    assert with_bob.refunds.refund(ALICE).amount == 99
