"""M38, M39, M40, M43: the owner is paid what was earned, and nothing that is owed."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.cashier.earnings import Earnings
from app.cashier.offers import Wish
from domain.errors import OwnerMayNotDrawError
from domain.guards import PAYOUT
from domain.identity import OWNER
from domain.msat import Msat
from domain.payout import PayoutPaid
from domain.posting import DRAWN, FEES_LIGHTNING
from domain.reconcile import Compared
from projections.books import Books
from tests.cashier.house import ALICE, BOB, House, spend
from tests.cashier.recipients import Bob
from tests.doubles.mint import Fault
from tests.doubles.mint_items import Payment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cashier.conftest import Build, OpenMint
    from tests.cashier.house import MoodyMint

MELT = "melt/bolt11"
MOST_MSAT = 1_000_000
COUNTED: list[str] = []


@pytest.fixture
def bob(open_mint: OpenMint, mint: MoodyMint) -> Iterator[Bob]:
    """The owner, of an address elsewhere."""
    bank = open_mint("bank", pays_invoices=False)
    mint.peers.append(bank)
    with Bob(bank) as bob:
        yield bob


@pytest.fixture
def house(build: Build, mint: MoodyMint, bob: Bob) -> House:
    return build(mint, allow=[bob.netloc], on_its_way=timedelta(0))


def earnings(
    house: House, bob: Bob, least_msat: int = 1_000, most_msat: int = MOST_MSAT
) -> Earnings:
    return Earnings(
        house.payouts,
        house.mints.urls,
        house.store,
        COUNTED.append,
        address=bob.address,
        least_msat=least_msat,
        most_msat=most_msat,
    )


def earn(house: House, mint: MoodyMint) -> None:
    """Let Alice pay in 1,000 sat and spend 300 of it."""
    house.deposit(mint.fund(1_001))
    spend(house, ALICE, Msat(300_000), uuid4())


def books(house: House) -> Books:
    told = Books()
    for event in house.log():
        told.post(event)
    return told


def free_msat(house: House) -> int:
    rows = house.store.kept()[1].proofs.rows.values()
    return 1_000 * sum(row.amount for row in rows if row.state == "free")


def test_what_was_earned_is_sent_and_what_is_owed_stays(
    house: House, mint: MoodyMint, bob: Bob
) -> None:
    """M38: the clients' proofs do not go along."""
    earn(house, mint)
    owed_msat = house.available_msat()

    assert earnings(house, bob).pay_out() == 1
    assert COUNTED[-1] == "paid"

    [paid_sat] = bob.paid_sat
    assert 290 <= paid_sat <= 298
    assert house.available_msat() == owed_msat
    assert free_msat(house) >= owed_msat
    balances = books(house).balances_msat
    fees_msat = [event.fees_msat for event in house.log() if isinstance(event, PayoutPaid)]
    assert balances[DRAWN] == -1_000 * paid_sat
    assert balances[FEES_LIGHTNING] == -sum(fees_msat)
    assert house.payouts.refund_to(uuid4(), ALICE, bob.address, 600_000).status == "paid"


def test_less_than_the_minimum_is_not_sent(house: House, mint: MoodyMint, bob: Bob) -> None:
    earn(house, mint)

    assert earnings(house, bob, least_msat=300_001).pay_out() == 0
    assert bob.asked == []
    assert earnings(house, bob, least_msat=300_000).pay_out() == 1


def test_no_more_is_sent_at_once_than_the_cap(house: House, mint: MoodyMint, bob: Bob) -> None:
    earn(house, mint)

    payer = earnings(house, bob, most_msat=100_000)
    assert [payer.pay_out() for _ in range(2)] == [1, 1]

    assert len(bob.paid_sat) == 2
    assert all(90 <= paid_sat < 100 for paid_sat in bob.paid_sat)


def test_nothing_was_earned_so_nothing_is_sent(house: House, mint: MoodyMint, bob: Bob) -> None:
    house.deposit(mint.fund(1_001))

    assert house.payouts.surplus_msat(mint.url) == 0
    assert earnings(house, bob, least_msat=0).pay_out() == 0
    assert (bob.paid_sat, mint.calls[MELT]) == ([], 0)


def test_what_is_owed_at_one_mint_is_not_drawn_at_another(
    build: Build, mint: MoodyMint, second_mint: MoodyMint, bob: Bob
) -> None:
    """M39: an account that moved its home takes what it is owed along."""
    house = build(mint, second_mint, allow=[bob.netloc])
    earn(house, mint)
    house.deposit(second_mint.fund(11))

    assert earnings(house, bob).pay_out() == 1

    total = sum(bob.paid_sat)
    assert 290 <= total <= 300
    assert free_msat(house) >= house.available_msat()


def test_the_ledger_decides_whatever_was_read_before(
    house: House, mint: MoodyMint, bob: Bob
) -> None:
    """M43: the owner's wish for more than the surplus is refused where it is recorded."""
    earn(house, mint)
    wish = house.payouts.surplus_msat(mint.url)

    class Rosy:
        """Books that tell of a surplus there is not."""

        def __getattr__(self, name: str) -> object:
            return getattr(house.store, name)

        def totals(self) -> object:
            true = house.store.totals()
            return true._replace(owed_msat={})

    house.payouts._books = Rosy()  # type: ignore[assignment]  # it is the store but for one method
    payout = house.payouts.draw(uuid4(), mint.url, bob.address, MOST_MSAT)

    assert payout.status == "paid"
    assert 1_000 * sum(bob.paid_sat) + payout.fee_msat <= wish
    assert free_msat(house) >= house.available_msat()


def test_an_unexplained_difference_stops_the_owner_and_nobody_else(
    house: House, mint: MoodyMint, bob: Bob, caplog: pytest.LogCaptureFixture
) -> None:
    earn(house, mint)
    house.ledger.reconcile(mint.url, Compared(booked_msat=2_000, free_msat=1_000))

    assert earnings(house, bob).pay_out() == 0

    [record] = [r for r in caplog.records if r.getMessage() == "no payout to the owner"]
    assert COUNTED[-1] == "unexplained"
    assert record.fields["reason"] == "unexplained"  # type: ignore[attr-defined]  # extra
    assert record.fields["mint"] == mint.url  # type: ignore[attr-defined]  # extra
    assert bob.paid_sat == []
    spend(house, ALICE, Msat(1_000), uuid4())
    assert house.payouts.refund_to(uuid4(), ALICE, bob.address, 50_000).status == "paid"


def test_a_recipient_that_fails_is_told_and_tried_again(
    house: House, mint: MoodyMint, bob: Bob, caplog: pytest.LogCaptureFixture
) -> None:
    earn(house, mint)
    bob.terms = {"tag": "withdrawRequest"}
    assert earnings(house, bob).pay_out() == 0
    bob.terms = {}
    assert earnings(house, bob).pay_out() == 1

    [record] = [r for r in caplog.records if r.getMessage() == "no payout to the owner"]
    assert record.fields["reason"] == "gateway"  # type: ignore[attr-defined]  # extra


@pytest.mark.parametrize("paid", [True, False])
def test_a_pending_payout_is_waited_for_and_not_repeated(
    house: House, mint: MoodyMint, bob: Bob, *, paid: bool
) -> None:
    """M41: a melt that hangs stops no clock and is not paid a second time."""
    earn(house, mint)
    mint.pays(Payment.PENDING)
    assert earnings(house, bob).pay_out() == 1
    assert [earnings(house, bob).pay_out() for _ in range(3)] == [0, 0, 0]
    [(stream, _)] = house.store.movements_of(OWNER, PAYOUT)
    mint.settle_pending(paid=paid)

    house.payouts.resume(house.store.history(stream)[-1])
    mint.pays(Payment.SETTLED)

    assert len(bob.paid_sat) == int(paid)
    assert mint.calls[MELT] == 1
    assert earnings(house, bob, least_msat=100_000).pay_out() == int(not paid)
    assert len(bob.paid_sat) == 1


def test_a_failed_payout_is_told(
    house: House, mint: MoodyMint, bob: Bob, caplog: pytest.LogCaptureFixture
) -> None:
    earn(house, mint)
    mint.pays(Payment.FAILED)

    earnings(house, bob).pay_out()

    [record] = [r for r in caplog.records if r.getMessage() == "payout to the owner"]
    assert record.fields["status"] == "failed"  # type: ignore[attr-defined]  # extra
    assert books(house).balances_msat[DRAWN] == 0


def test_drawing_while_clients_pay_in_takes_nothing_of_theirs(
    build: Build, house: House, mint: MoodyMint, bob: Bob
) -> None:
    """M40: a credit in flight is nobody's profit."""
    earn(house, mint)
    tokens = [mint.fund(101) for _ in range(6)]
    other = build(mint, owner="worker-2")
    stop = threading.Event()

    def pay_in() -> None:
        for token in tokens:
            other.deposit(token, BOB)
        stop.set()

    client = threading.Thread(target=pay_in)
    client.start()
    payer = earnings(house, bob, most_msat=60_000)
    while not stop.is_set():
        payer.pay_out()
    client.join()
    payer.pay_out()

    assert house.available_msat(BOB) == 600_000
    assert sum(bob.paid_sat) <= 300
    assert free_msat(house) >= house.available_msat() + house.available_msat(BOB)


def test_a_lost_answer_costs_the_owner_nothing_twice(
    house: House, mint: MoodyMint, bob: Bob
) -> None:
    earn(house, mint)
    mint.fault(MELT, Fault.DROP_RESPONSE)

    assert earnings(house, bob, least_msat=100_000).pay_out() == 1
    assert earnings(house, bob, least_msat=100_000).pay_out() == 0
    assert len(bob.paid_sat) == 1


def test_what_the_owner_may_not_draw_raises(house: House, mint: MoodyMint, bob: Bob) -> None:
    earn(house, mint)
    terms = house.addresses.terms(house.addresses.read(bob.address))

    wish = Wish(OWNER, terms, 900_000, 500_000, mint.url, stays=True)
    with pytest.raises(OwnerMayNotDrawError):
        house.payouts._paid(uuid4(), wish)
    assert bob.paid_sat == []
