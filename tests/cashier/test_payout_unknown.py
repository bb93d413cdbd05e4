"""M34, M41: whatever a mint answers, or does not, nobody is paid twice and nothing is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from app.cashier.errors import (
    PayoutPendingError,
)
from app.cashier.payout import Payout, Status
from app.cashier.recover import Recovery
from app.gateways.errors import GatewayError
from app.store.locks import FileLocks
from domain.guards import PAYOUT
from domain.payout import PayoutAbandoned, PayoutStarted
from tests.cashier.house import ALICE, House
from tests.cashier.recipients import Bob
from tests.doubles.mint import Fault
from tests.doubles.mint_items import Payment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cashier.conftest import Build, OpenMint
    from tests.cashier.house import MoodyMint

MELT, SWAP = "melt/bolt11", "swap"
PAID = ["payout.started", "payout.paid"]
FAILED = ["payout.started", "payout.abandoned", "payout.cancelled"]
SURE = timedelta(0)


@pytest.fixture
def bob(open_mint: OpenMint, mint: MoodyMint) -> Iterator[Bob]:
    bank = open_mint("bank", pays_invoices=False)
    mint.peers.append(bank)
    with Bob(bank) as bob:
        yield bob


@pytest.fixture
def house(build: Build, mint: MoodyMint, bob: Bob) -> House:
    return build(mint, allow=[bob.netloc], on_its_way=SURE)


def pay(
    house: House, bob: Bob, amount_msat: int | None = None, name: UUID | None = None
) -> Payout:
    return house.payouts.refund_to(name or uuid4(), ALICE, bob.address, amount_msat)


def recovered(house: House) -> list[str]:
    """Let the back office look once at what is open; return how each movement ended."""
    ends = []
    for stream, row in house.store.open_movements():
        if row.kind == PAYOUT:
            try:
                ends.append(house.payouts.resume(house.store.history(stream)[-1]).event.TOPIC)
            except (GatewayError, PayoutPendingError) as error:
                ends.append(type(error).__name__)
    return ends


def test_a_pending_payment_is_told_and_not_made_again(
    funded: House, mint: MoodyMint, bob: Bob
) -> None:
    """M34, M41: not withheld without a word, and never paid twice."""
    mint.pays(Payment.PENDING)
    payout = pay(funded, bob, 50_000)
    assert payout.status is Status.PENDING

    again = pay(funded, bob)
    for _ in range(3):
        assert recovered(funded) == ["PayoutPendingError"]
    [(stream, row)] = funded.store.open_movements()
    mint.settle_pending(paid=True)
    assert recovered(funded) == ["payout.paid"]

    assert (stream, row.kind) == (payout.payout_id, PAYOUT)
    assert again == payout
    assert mint.calls[MELT] == 1
    assert bob.paid_sat == [50]
    assert funded.available_msat() == 48_000
    assert funded.payouts.standing(payout.payout_id, ALICE).status is Status.PAID


def test_a_pending_payment_that_fails_is_taken_back(
    funded: House, mint: MoodyMint, bob: Bob
) -> None:
    mint.pays(Payment.PENDING)
    payout = pay(funded, bob, 50_000)
    mint.settle_pending(paid=False)

    assert funded.payouts.standing(payout.payout_id, ALICE).status is Status.FAILED
    assert funded.topics(payout.payout_id) == FAILED
    # The mint's fee for the swap to ourselves.
    assert funded.available_msat() == 99_000
    assert bob.paid_sat == []


@pytest.mark.parametrize("named", [True, False])
def test_another_that_has_just_ended_is_told_to_whom_it_may_be(
    funded: House, mint: MoodyMint, bob: Bob, *, named: bool
) -> None:
    mint.pays(Payment.PENDING)
    first = pay(funded, bob, 20_000)
    name = uuid4()

    def ask() -> Payout:
        return funded.payouts.refund_to(name, ALICE, bob.address, 30_000, named=named)

    assert ask() == first
    mint.settle_pending(paid=True)
    mint.pays(Payment.SETTLED)
    told = ask()

    assert told.status is Status.PAID
    assert told.payout_id == (name if named else first.payout_id)
    assert bob.paid_sat == ([20, 30] if named else [20])


def test_a_failed_payment_is_taken_back_at_once_and_may_be_tried_again(
    build: Build, mint: MoodyMint, bob: Bob
) -> None:
    house = build(mint, allow=[bob.netloc])
    house.deposit(mint.fund(101))
    mint.pays(Payment.FAILED)
    failed = pay(house, bob, 50_000)
    mint.pays(Payment.SETTLED)
    paid = pay(house, bob, 40_000)

    assert (failed.status, failed.fee_msat) == (Status.FAILED, 1_000)
    assert house.topics(failed.payout_id) == FAILED
    assert (paid.status, bob.paid_sat) == (Status.PAID, [40])
    assert house.available_msat() == 99_000 - 40_000 - paid.fee_msat


@pytest.mark.parametrize("paid", [True, False])
def test_a_payment_the_mint_knows_nothing_of_stays_open_until_it_does(
    funded: House, mint: MoodyMint, bob: Bob, *, paid: bool
) -> None:
    """M34: an unknown outcome is resolved by the quote, hours later."""
    mint.pays(Payment.UNKNOWN)
    payout = pay(funded, bob, 50_000)
    assert payout.status is Status.PENDING
    assert [recovered(funded) for _ in range(3)] == [["PayoutPendingError"]] * 3
    assert funded.topics(payout.payout_id) == ["payout.started"]

    mint.settle_pending(paid=paid)

    assert recovered(funded) == ["payout.paid" if paid else "payout.cancelled"]
    assert funded.available_msat() == (48_000 if paid else 99_000)
    assert bob.paid_sat == ([50] if paid else [])


@pytest.mark.parametrize(
    ("fault", "arrives"),
    [
        (Fault.DROP_REQUEST, False),
        (Fault.SERVER_ERROR, False),
        (Fault.RATE_LIMIT, False),
        (Fault.DROP_RESPONSE, True),
        (Fault.GARBAGE, True),
    ],
)
def test_a_lost_question_or_answer_pays_once_or_not_at_all(
    funded: House, mint: MoodyMint, bob: Bob, fault: Fault, *, arrives: bool
) -> None:
    """M41: after a timeout the payment is not made a second time."""
    mint.fault(MELT, fault)

    payout = pay(funded, bob, 50_000)

    assert payout.status is (Status.PAID if arrives else Status.FAILED)
    assert bob.paid_sat == ([50] if arrives else [])
    assert mint.calls[MELT] == 1
    assert funded.available_msat() == (48_000 if arrives else 99_000)


def test_a_mint_that_is_slow_to_answer_is_asked_what_it_did(
    build: Build, mint: MoodyMint, bob: Bob
) -> None:
    """M41: nobody waits for ever, and nobody pays again."""
    house = build(mint, allow=[bob.netloc], timeout_s=0.4)
    house.deposit(mint.fund(101))
    mint.fault(MELT, Fault.DELAY, delay_s=1.2)

    payout = pay(house, bob, 50_000)

    assert payout.status is Status.PAID
    assert (bob.paid_sat, mint.calls[MELT]) == ([50], 1)


def test_others_wait_for_a_payment_that_may_be_on_its_way(
    build: Build, mint: MoodyMint, bob: Bob
) -> None:
    house = build(mint, allow=[bob.netloc])
    house.deposit(mint.fund(101))
    mint.fault(MELT, Fault.DROP_REQUEST)

    payout = pay(house, bob, 50_000)

    assert payout.status is Status.PENDING
    assert recovered(house) == ["PayoutPendingError"]
    assert recovered(build(mint, on_its_way=SURE)) == ["payout.cancelled"]
    assert house.available_msat() == 99_000


def test_a_payment_whose_mint_has_gone_waits_for_it(
    funded: House, mint: MoodyMint, bob: Bob
) -> None:
    mint.pays(Payment.PENDING)
    payout = pay(funded, bob, 50_000)
    mint.go_away()
    assert recovered(funded) == ["MintUnknownError"]
    assert funded.payouts.standing(payout.payout_id, ALICE).status is Status.PENDING
    mint.come_back()
    mint.settle_pending(paid=True)

    assert recovered(funded) == ["payout.paid"]
    assert bob.paid_sat == [50]


def abandoned(house: House, mint: MoodyMint, bob: Bob) -> UUID:
    """A payment whose request was lost, and that the mint would not let us take back yet."""
    mint.fault(MELT, Fault.DROP_REQUEST)
    mint.refuse(SWAP, 11002)
    payout = pay(house, bob, 50_000)
    assert payout.status is Status.PENDING
    assert house.topics(payout.payout_id) == FAILED[:2]
    return payout.payout_id


def send_late_copy(house: House, stream: UUID) -> None:
    """Let the first request arrive now, that was on its way all the time."""
    started = house.events(stream)[0]
    assert isinstance(started, PayoutStarted)
    payment = started.payment
    inputs = house.payouts._inputs(house.store.history(stream)[-1], payment)
    house.mints.get(payment.mint).melt(payment.quote, inputs, payment.blanks)


def test_a_copy_that_arrives_before_we_gave_up_pays_after_all(
    funded: House, mint: MoodyMint, bob: Bob
) -> None:
    stream = abandoned(funded, mint, bob)
    send_late_copy(funded, stream)

    assert recovered(funded) == ["payout.paid"]
    assert bob.paid_sat == [50]
    assert funded.available_msat() == 48_000


def test_a_copy_that_arrives_after_we_gave_up_pays_nobody(
    funded: House, mint: MoodyMint, bob: Bob
) -> None:
    """M41: giving up is a swap to ourselves, and only then is the money back."""
    mint.fault(MELT, Fault.DROP_REQUEST)
    mint.fault(SWAP, Fault.DROP_RESPONSE)
    payout = pay(funded, bob, 50_000)
    assert payout.status is Status.PENDING
    assert funded.available_msat() == 100_000 - 53_000

    with pytest.raises(GatewayError):
        send_late_copy(funded, payout.payout_id)
    assert recovered(funded) == ["payout.cancelled"]

    assert bob.paid_sat == []
    assert funded.available_msat() == 99_000


def test_giving_up_survives_a_change_of_keysets(
    funded: House, mint: MoodyMint, bob: Bob
) -> None:
    stream = abandoned(funded, mint, bob)
    mint.rotate("sat")

    assert recovered(funded) == ["payout.cancelled"]

    plans = [
        event.plan.keyset_id
        for event in funded.events(stream)
        if isinstance(event, PayoutAbandoned)
    ]
    assert len(set(plans)) == 2
    assert funded.available_msat() == 99_000


def test_proofs_of_a_keyset_one_had_not_heard_of_come_back_at_the_fee_there(
    house: House, build: Build, mint: MoodyMint, bob: Bob
) -> None:
    """Found by simulation: the fee was taken for none, and the swap refused for ever."""
    house.deposit(mint.fund(3))
    mint.rotate("sat")
    build(mint).deposit(mint.fund(101))

    begun = pay(house, bob, 50_000)
    # As five seconds bring it about.
    house.mints.get(mint.url).keysets.refresh()
    payout = pay(house, bob, 50_000, begun.payout_id)

    assert (begun.status, payout.status) == (Status.PENDING, Status.FAILED)
    assert bob.paid_sat == []
    assert house.topics(payout.payout_id) == [FAILED[0], FAILED[1], *FAILED[1:]]
    assert house.available_msat() == 2_000 + 100_000 - 1_000
    assert house.store.open_movements() == []


def test_the_back_office_ends_what_nobody_asks_for(
    funded: House, mint: MoodyMint, bob: Bob, tmp_path: Path
) -> None:
    """M34: a refund over Lightning that had no answer ends without its client."""
    others = {PAYOUT: funded.payouts.resume}
    recovery = Recovery(
        funded.ledger,
        funded.store,
        FileLocks(tmp_path / "locks"),
        funded.deposits,
        funded.refunds,
        others=others,
    )
    mint.pays(Payment.PENDING)
    payout = pay(funded, bob, 50_000)
    assert recovery.finish_movements(SURE) == 0
    mint.settle_pending(paid=True)

    assert recovery.finish_movements(SURE) == 1
    assert recovery.finish_movements(SURE) == 0

    assert funded.topics(payout.payout_id) == PAID
