"""M10: what was paid over Lightning is credited once, whoever finds out and in what order."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from app.cashier.errors import InvoiceUnknownError
from app.cashier.invoice import LATE_FOR, Status
from app.gateways.errors import GatewayError
from app.gateways.mint.keysets import split
from domain.deposit import Plan
from domain.invoice import Bill, InvoicePlanned
from tests.cashier.house import ALICE, House, MoodyMint, at_once
from tests.doubles.mint import Fault

if TYPE_CHECKING:
    from tests.cashier.conftest import Build, OpenMint

PAID = ["invoice.opened", "invoice.planned", "invoice.credited"]
MINT_PATH, QUOTE_PATH = "mint/bolt11", "mint/quote/bolt11"


@pytest.fixture
def mint(open_mint: OpenMint) -> MoodyMint:
    return open_mint(pays_invoices=False)


def invoice(house: House, amount_sat: int = 100) -> tuple[UUID, Bill]:
    invoice_id = uuid4()
    return invoice_id, house.invoices.open(invoice_id, ALICE, amount_sat, "create")


def look(house: House, invoice_id: UUID) -> Status:
    """Poll as a client does that has waited long enough."""
    house.passed_s += 60
    return house.invoices.standing(invoice_id).status


def watch(house: House) -> int:
    """Let the back office look when every wait is over."""
    ended = house.invoices.watch()
    house.passed_s += 1_000
    return ended + house.invoices.watch()


def expire(house: House) -> None:
    house.late_by = timedelta(hours=2)


def test_an_unpaid_invoice_is_pending_and_moves_nothing(house: House, mint: MoodyMint) -> None:
    invoice_id, bill = invoice(house)

    assert look(house, invoice_id) is Status.PENDING
    assert watch(house) == 0
    assert house.available_msat() == 0
    assert house.topics(invoice_id) == ["invoice.opened"]
    assert bill.request.startswith("lnbc")
    assert bill.mint == mint.url


def test_who_polls_first_is_credited_at_once(house: House, mint: MoodyMint) -> None:
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)

    assert look(house, invoice_id) is Status.PAID
    assert watch(house) == 0
    assert house.available_msat() == 100_000
    assert house.topics(invoice_id) == PAID


def test_who_never_polls_is_credited_too(house: House, mint: MoodyMint) -> None:
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)

    assert watch(house) == 1
    assert look(house, invoice_id) is Status.PAID
    assert house.available_msat() == 100_000


def test_poll_and_watch_at_once_credit_once(
    build: Build, house: House, mint: MoodyMint
) -> None:
    invoice_id, bill = invoice(house)
    others = [build(mint, owner=f"worker-{number}") for number in (2, 3)]
    others[1].invoices.watch()
    others[1].passed_s += 1_000
    mint.pay(bill.quote)

    at_once(
        [
            lambda: house.invoices.standing(invoice_id),
            lambda: house.invoices.resume(house.store.history(invoice_id)[-1]),
            lambda: others[0].invoices.standing(invoice_id),
            others[1].invoices.watch,
        ]
    )

    assert look(house, invoice_id) is Status.PAID
    assert house.available_msat() == 100_000
    assert house.topics(invoice_id).count("invoice.credited") == 1


def test_a_process_that_died_before_it_minted_is_finished_by_another(
    build: Build, house: House, mint: MoodyMint
) -> None:
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)
    mint.go_away()
    keyset_id = mint.active("sat").id
    opened = house.store.history(invoice_id)[-1]
    house.ledger.plan_invoice(opened, bill, keyset_id, split(100))
    assert look(house, invoice_id) is Status.SETTLING
    mint.come_back()

    assert watch(build(mint, owner="worker-2")) == 1
    assert house.available_msat() == 100_000
    assert house.topics(invoice_id) == PAID


@pytest.mark.parametrize("fault", [Fault.DROP_RESPONSE, Fault.GARBAGE])
def test_what_the_mint_issued_without_being_heard_is_found_again(
    house: House, mint: MoodyMint, fault: Fault
) -> None:
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)
    mint.fault(MINT_PATH, fault)

    assert look(house, invoice_id) is Status.SETTLING
    assert mint.mint_quotes[bill.quote].state == "ISSUED"
    assert look(house, invoice_id) is Status.PAID
    assert house.available_msat() == 100_000
    assert house.topics(invoice_id) == PAID


@pytest.mark.parametrize("fault", [Fault.DROP_REQUEST, Fault.SERVER_ERROR, Fault.RATE_LIMIT])
def test_a_mint_that_did_nothing_is_asked_again(
    house: House, mint: MoodyMint, fault: Fault
) -> None:
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)
    mint.fault(MINT_PATH, fault)

    assert look(house, invoice_id) is Status.SETTLING
    assert look(house, invoice_id) is Status.PAID
    assert house.available_msat() == 100_000


def test_when_the_keyset_was_changed_meanwhile_another_is_asked_for(
    house: House, mint: MoodyMint
) -> None:
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)
    house.mints.get(mint.url).keysets.refresh()
    mint.rotate("sat")

    assert look(house, invoice_id) is Status.PAID
    assert house.topics(invoice_id) == [PAID[0], PAID[1], PAID[1], PAID[2]]
    assert house.available_msat() == 100_000


def test_outputs_that_were_signed_for_another_are_not_taken_for_ours(
    house: House, mint: MoodyMint
) -> None:
    # Given an older log than the mint's: the next counters were used by another transaction.
    wallet = house.mints.get(mint.url)
    keyset = wallet.keysets.active("sat")
    plan = Plan(keyset_id=keyset.id, counter_from=0, amounts=split(100))
    for output in wallet._outputs(plan):
        mint.sign(output.message.b, output.message.amount, keyset.id)
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)

    assert look(house, invoice_id) is Status.PAID
    planned = [e for e in house.events(invoice_id) if isinstance(e, InvoicePlanned)]
    assert [event.plan.counter_from for event in planned] == [0, 3]
    assert house.available_msat() == 100_000


def test_a_plan_that_was_given_up_while_its_request_was_on_its_way_is_credited(
    house: House, mint: MoodyMint
) -> None:
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)
    mint.fault(MINT_PATH, Fault.DROP_RESPONSE)
    assert look(house, invoice_id) is Status.SETTLING
    planned = house.store.history(invoice_id)[-1]
    house.ledger.plan_invoice(planned, bill, mint.active("sat").id, split(100))

    assert look(house, invoice_id) is Status.PAID
    assert house.topics(invoice_id) == [PAID[0], PAID[1], PAID[1], PAID[2]]
    assert house.available_msat() == 100_000


def test_what_was_minted_at_counters_nobody_knows_is_said_and_not_credited(
    house: House, mint: MoodyMint, caplog: pytest.LogCaptureFixture
) -> None:
    invoice_id, bill = invoice(house)
    mint.mint_quotes[bill.quote].state = "ISSUED"

    assert look(house, invoice_id) is Status.SETTLING
    assert house.available_msat() == 0
    assert "minted at unknown counters" in caplog.text


def test_a_mint_that_cannot_say_what_it_issued_is_asked_later(
    house: House, mint: MoodyMint
) -> None:
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)
    mint.fault(MINT_PATH, Fault.DROP_RESPONSE)
    mint.refuse("restore", 11000)

    assert [look(house, invoice_id) for _ in range(2)] == [Status.SETTLING] * 2
    assert look(house, invoice_id) is Status.PAID


def test_what_is_paid_after_our_expiry_is_honoured(house: House, mint: MoodyMint) -> None:
    invoice_id, bill = invoice(house)
    expire(house)
    assert look(house, invoice_id) is Status.EXPIRED
    mint.pay(bill.quote)

    assert watch(house) == 1
    assert look(house, invoice_id) is Status.PAID
    assert house.available_msat() == 100_000


def test_unpaid_and_expired_lapses_when_it_is_too_late_to_be_late(
    house: House, mint: MoodyMint
) -> None:
    invoice_id, _ = invoice(house)
    house.late_by = timedelta(hours=2) + LATE_FOR

    assert watch(house) == 1
    assert look(house, invoice_id) is Status.EXPIRED
    assert house.topics(invoice_id) == ["invoice.opened", "invoice.lapsed"]
    assert house.store.open_movements() == []


def test_an_invoice_does_not_lapse_while_its_mint_is_silent(
    house: House, mint: MoodyMint
) -> None:
    _, bill = invoice(house)
    house.late_by = timedelta(hours=2) + LATE_FOR
    mint.go_away()
    assert watch(house) == 0
    mint.come_back()
    mint.pay(bill.quote)

    assert watch(house) == 1
    assert house.available_msat() == 100_000


def test_a_mint_that_says_unpaid_after_it_said_paid_is_asked_for_ever(
    house: House, mint: MoodyMint
) -> None:
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)
    mint.refuse(MINT_PATH, 20001, times=2)

    assert [look(house, invoice_id) for _ in range(3)] == [
        Status.SETTLING,
        Status.SETTLING,
        Status.PAID,
    ]


def test_the_mint_is_asked_about_one_invoice_at_most_every_two_seconds(
    house: House, mint: MoodyMint
) -> None:
    invoice_id, bill = invoice(house)
    path = f"{QUOTE_PATH}/{bill.quote}"

    for _ in range(5):
        house.invoices.standing(invoice_id)
    asked = mint.calls[path]
    house.passed_s += 2

    assert asked == 1
    assert house.invoices.standing(invoice_id).status is Status.PENDING
    assert mint.calls[path] == 2


def test_the_back_office_asks_less_and_less_often(house: House, mint: MoodyMint) -> None:
    _, bill = invoice(house)
    path = f"{QUOTE_PATH}/{bill.quote}"
    asked_at: list[float] = []

    for _ in range(400):
        before = mint.calls[path]
        house.invoices.watch()
        if mint.calls[path] > before:
            asked_at.append(house.passed_s)
        house.passed_s += 5

    assert asked_at == [10, 40, 160, 760, 1360, 1960]


def test_a_mint_that_is_away_does_not_keep_the_others_waiting(
    build: Build, mint: MoodyMint, open_mint: OpenMint
) -> None:
    house = build(mint, open_mint("second", pays_invoices=False))
    first, second = house.moody
    first.locks_quotes = False
    first_ids = []
    other_id, other = invoice(house)
    first.locks_quotes = True
    for _ in range(3):
        house.invoices._able.clear()
        first_ids.append(invoice(house)[0])
    assert other.mint == second.url
    second.pay(other.quote)
    first.go_away()

    assert watch(house) == 1
    assert look(house, other_id) is Status.PAID
    assert look(house, first_ids[0]) is Status.PENDING


def test_only_this_house_can_mint_the_quote(
    build: Build, house: House, mint: MoodyMint
) -> None:
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)
    wallet = house.mints.get(mint.url)
    plan = Plan(keyset_id=mint.active("sat").id, counter_from=90, amounts=split(100))

    with pytest.raises(GatewayError):
        wallet.mint(bill.quote, plan, b"\x05" * 32)

    assert look(house, invoice_id) is Status.PAID
    assert house.available_msat() == 100_000


def test_what_was_never_asked_for_is_not_found(house: House, mint: MoodyMint) -> None:
    deposit = house.deposit(mint.fund(10))

    with pytest.raises(InvoiceUnknownError):
        house.invoices.standing(uuid4())
    assert deposit.credited_msat
    [stream] = {placed.entry.stream for page in house.store.log() for placed in page}
    with pytest.raises(InvoiceUnknownError):
        house.invoices.standing(stream)


def test_an_invoice_of_a_mint_that_is_no_longer_trusted_waits(
    build: Build, house: House, mint: MoodyMint, second_mint: MoodyMint
) -> None:
    invoice_id, bill = invoice(house)
    mint.pay(bill.quote)
    other = build(second_mint)

    assert watch(other) == 0
    assert look(other, invoice_id) is Status.PENDING
    assert look(house, invoice_id) is Status.PAID
