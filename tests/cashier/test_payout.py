"""M33, M34, M41: whoever is paid over Lightning is paid once, and just what was asked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from app.cashier.errors import (
    NoLightningError,
    PayoutFeeError,
    PayoutUnknownError,
)
from app.cashier.payout import Payout, Status
from app.gateways.errors import RecipientAmountError, RecipientAnswerError
from domain.errors import (
    InsufficientFundsError,
    NothingToRefundError,
    PurseShortError,
    UnknownAccountError,
)
from domain.payout import PayoutPaid
from tests.cashier.house import ALICE, BOB, House, at_once
from tests.cashier.recipients import Bob
from tests.doubles.mint_items import Payment
from tests.gateways.invoices import invoice_msat

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_just_what_was_asked_arrives(funded: House, mint: MoodyMint, bob: Bob) -> None:
    """M33: no wrong amount, and nothing left set aside."""
    payout = pay(funded, bob, 50_000)

    assert (payout.status, payout.amount, payout.unit) == (Status.PAID, 50, "sat")
    assert payout.recipient == bob.address
    assert bob.paid_sat == [50]
    # The mint's fee for our input is 1 sat, and that of the payment was 1 of 2 in reserve.
    assert payout.fee_msat == 2_000
    assert funded.available_msat() == 100_000 - 50_000 - 2_000
    assert funded.topics(payout.payout_id) == PAID
    assert {row.state for row in funded.store.kept()[1].proofs.rows.values()} == {"free"}
    assert funded.store.open_movements() == []


def test_without_an_amount_as_much_is_paid_as_fits(
    funded: House, mint: MoodyMint, bob: Bob
) -> None:
    payout = pay(funded, bob)

    assert payout.status is Status.PAID
    assert bob.paid_sat == [payout.amount]
    assert payout.amount == 97
    assert funded.available_msat() == 100_000 - 97_000 - payout.fee_msat


@pytest.mark.parametrize("face_sat", [5, 12, 64, 1_000, 50_000])
def test_what_fits_is_found_at_any_size(
    house: House, mint: MoodyMint, bob: Bob, face_sat: int
) -> None:
    credited_msat = house.deposit(mint.fund(face_sat)).credited_msat

    payout = pay(house, bob)

    assert payout.status is Status.PAID
    assert credited_msat - 1_000 * payout.amount <= max(4_000, credited_msat // 50)
    assert mint.calls["melt/quote/bolt11"] <= 3


def test_no_more_is_paid_than_the_recipient_takes(
    funded: House, mint: MoodyMint, bob: Bob
) -> None:
    bob.terms = {"maxSendable": 20_999}

    assert pay(funded, bob).amount == 20
    bob.terms = {"minSendable": 200_000, "maxSendable": 300_000}
    with pytest.raises(RecipientAmountError):
        pay(funded, bob)
    assert bob.paid_sat == [20]


def test_what_is_too_little_stays(house: House, mint: MoodyMint, bob: Bob) -> None:
    """M36: dust is told to be dust."""
    house.deposit(mint.fund(3))

    with pytest.raises(NothingToRefundError):
        pay(house, bob)

    assert house.available_msat() == 2_000
    assert mint.calls[MELT] == 0


def test_more_than_there_is_is_not_begun(funded: House, mint: MoodyMint, bob: Bob) -> None:
    with pytest.raises(InsufficientFundsError):
        pay(funded, bob, 99_000)
    with pytest.raises(InsufficientFundsError):
        pay(funded, bob, 200_000)

    assert funded.available_msat() == 100_000
    assert mint.calls[MELT] == 0


def test_who_has_spent_all_is_told_so_by_a_house_that_has_nothing_either(
    house: House, mint: MoodyMint, bob: Bob
) -> None:
    """It is not the house's purse that is short: asking again would never help."""
    house.deposit(mint.fund(101), ALICE)
    house.deposit(house.refunds.refund(ALICE).token, BOB)
    house.refunds.refund(BOB)

    with pytest.raises(InsufficientFundsError):
        pay(house, bob, 50_000)


def test_an_account_that_never_was_pays_nobody(house: House, bob: Bob) -> None:
    with pytest.raises(UnknownAccountError):
        pay(house, bob)

    assert bob.asked == []


def test_a_recipient_who_lies_is_not_paid(funded: House, mint: MoodyMint, bob: Bob) -> None:
    """M33: an invoice over another amount than was asked for."""
    bob.bill = {"pr": invoice_msat(51_000)}

    with pytest.raises(RecipientAnswerError):
        pay(funded, bob, 50_000)

    assert mint.calls["melt/quote/bolt11"] == 0
    assert funded.available_msat() == 100_000
    assert len(bob.asked) == 2


def test_a_mint_that_gives_no_change_is_not_melted_at(
    funded: House, mint: MoodyMint, bob: Bob
) -> None:
    mint.gives_change = False

    with pytest.raises(NoLightningError):
        pay(funded, bob)

    assert funded.available_msat() == 100_000


def test_a_mint_that_asks_for_too_much_is_not_given_it(
    house: House, mint: MoodyMint, bob: Bob, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deposit(mint.fund(1_000))
    ask = mint._melt_quote

    def dear(body: dict[str, object]) -> dict[str, object]:
        return ask(body) | {"fee_reserve": 400}

    monkeypatch.setattr(mint, "_melt_quote", dear)

    with pytest.raises(PayoutFeeError):
        pay(house, bob, 100_000)

    assert mint.calls[MELT] == 0


def test_another_mint_pays_when_the_first_is_short(
    build: Build, mint: MoodyMint, second_mint: MoodyMint, bob: Bob
) -> None:
    house = build(mint, second_mint, allow=[bob.netloc])
    second_mint.peers = mint.peers
    house.deposit(second_mint.fund(200), BOB)
    house.deposit(mint.fund(20), ALICE)
    house.deposit(second_mint.fund(60), ALICE)
    house.deposit(mint.fund(10), ALICE)

    payout = pay(house, bob, 50_000)

    assert payout.status is Status.PAID
    assert mint.calls[MELT] == 0
    assert second_mint.calls[MELT] == 1
    assert bob.paid_sat == [50]


def test_the_same_name_is_the_same_payout(funded: House, mint: MoodyMint, bob: Bob) -> None:
    name = uuid4()

    first = pay(funded, bob, 20_000, name)
    again = pay(funded, bob, 20_000, name)

    assert first == again
    assert bob.paid_sat == [20]


def test_two_processes_pay_one_name_once(
    build: Build, funded: House, mint: MoodyMint, bob: Bob
) -> None:
    others = [build(mint, owner=f"w{each}", allow=[bob.netloc]) for each in range(3)]
    name = uuid4()

    at_once([lambda other=other: pay(other, bob, 20_000, name) for other in others])  # type: ignore[misc]  # a lambda's default

    assert bob.paid_sat == [20]
    assert mint.calls[MELT] == 1
    assert pay(funded, bob, 20_000, name).status is Status.PAID


def test_all_there_is_is_paid_once_whoever_asks(
    build: Build, funded: House, mint: MoodyMint, bob: Bob
) -> None:
    others = [build(mint, owner=f"w{each}", allow=[bob.netloc]) for each in range(3)]

    def attempt(other: House) -> str:
        try:
            return pay(other, bob).status
        except (NothingToRefundError, PurseShortError, InsufficientFundsError) as error:
            return type(error).__name__

    told = at_once([lambda other=other: attempt(other) for other in others])  # type: ignore[misc]  # a lambda's default

    assert told.count("paid") >= 1
    paid_msat = 1_000 * sum(bob.paid_sat)
    fees = [event.fees_msat for event in funded.log() if isinstance(event, PayoutPaid)]
    assert funded.available_msat() == 100_000 - paid_msat - sum(fees)


def test_a_payout_is_told_to_its_account_only(funded: House, mint: MoodyMint, bob: Bob) -> None:
    payout = pay(funded, bob, 20_000)

    assert funded.payouts.standing(payout.payout_id, ALICE) == payout
    for account_id, name in ((BOB, payout.payout_id), (ALICE, uuid4())):
        with pytest.raises(PayoutUnknownError):
            funded.payouts.standing(name, account_id)


def test_nothing_in_the_log_says_who_was_paid(funded: House, mint: MoodyMint, bob: Bob) -> None:
    pay(funded, bob, 20_000)

    with funded.store.snapshot() as query:
        stored = b"".join(bytes(row[0]) for row in query("SELECT state FROM stored_events"))

    assert b"payout" in stored or b"quote" in stored
    assert bob.netloc.encode() not in stored
    assert b"lnbc" not in stored


def test_a_payout_of_a_mint_that_is_no_longer_trusted_waits(
    build: Build, funded: House, mint: MoodyMint, second_mint: MoodyMint, bob: Bob
) -> None:
    mint.pays(Payment.PENDING)
    payout = pay(funded, bob, 20_000)
    mint.settle_pending(paid=True)
    other = build(second_mint)

    assert other.payouts.standing(payout.payout_id, ALICE).status is Status.PENDING
    assert funded.payouts.standing(payout.payout_id, ALICE).status is Status.PAID


def test_what_is_no_payout_is_not_gone_on_with(funded: House) -> None:
    [entry] = [placed.entry for page in funded.store.log() for placed in page][:1]

    with pytest.raises(TypeError):
        funded.payouts.resume(entry)
