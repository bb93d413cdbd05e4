from __future__ import annotations

import pytest

from domain.command import Needs
from domain.deposit import Plan
from domain.errors import KeysetTakenError, LedgerError, MovementEndedError
from domain.event import Entry
from domain.guards import INVOICE, AccountRow, KeysetRow, MovementRow
from domain.invoice import (
    Bill,
    CreditInvoice,
    InvoiceCredited,
    InvoiceLapsed,
    InvoiceOpened,
    InvoicePlanned,
    LapseInvoice,
    OpenInvoice,
    PlanInvoice,
)
from tests.domain.given import ALICE, AT, KEYSET, LATER, MINT, answers, fold, made, name, signed

INVOICE_ID = name(300)
BILL = Bill(
    account_id=ALICE,
    mint=MINT,
    unit="sat",
    amount=100,
    quote="quote",
    request="lnbc1u1fake",
    purpose="create",
    expires_at=AT,
)
AMOUNTS = (4, 32, 64)
PLAN = Plan(keyset_id=KEYSET, counter_from=0, amounts=AMOUNTS)
OPENED = Entry(INVOICE_ID, 1, InvoiceOpened(at=AT, bill=BILL))
PLANNED = Entry(INVOICE_ID, 2, InvoicePlanned(at=AT, bill=BILL, plan=PLAN))
LAPSED = Entry(INVOICE_ID, 2, InvoiceLapsed(at=AT, account_id=ALICE, mint=MINT))
OPEN = OpenInvoice(INVOICE_ID, BILL)
PROOFS = signed(PLAN)


def plan(version: int = 1) -> PlanInvoice:
    return PlanInvoice(INVOICE_ID, version, BILL, KEYSET, AMOUNTS)


def credit(version: int = 2) -> CreditInvoice:
    return CreditInvoice(INVOICE_ID, version, BILL, PROOFS)


def lapse(version: int = 1) -> LapseInvoice:
    return LapseInvoice(INVOICE_ID, version, BILL)


def paid() -> tuple[Entry, Entry, Entry]:
    return OPENED, PLANNED, made(credit(), fold(OPENED, PLANNED))


def test_an_invoice_that_nobody_has_paid_moves_no_money() -> None:
    entry = made(OPEN, fold())

    assert entry == Entry(INVOICE_ID, 1, InvoiceOpened(at=LATER, bill=BILL))
    rows = fold(entry)
    assert rows.accounts.rows == {}
    row = MovementRow(INVOICE, 1, ALICE, MINT, LATER)
    assert rows.movements.get(INVOICE_ID) == row


def test_an_invoice_is_opened_once() -> None:
    assert made(OPEN, fold(OPENED), OPENED) == OPENED
    assert made(OPEN, fold(OPENED, PLANNED), OPENED, PLANNED) == PLANNED


def test_what_will_be_minted_is_planned_at_counters_that_nobody_has_used() -> None:
    rows = fold(OPENED)
    rows.keysets.put(KEYSET, KeysetRow(MINT, "sat", 7))

    entry = made(plan(), rows, OPENED)

    planned = InvoicePlanned(
        at=LATER,
        bill=BILL,
        plan=Plan(keyset_id=KEYSET, counter_from=7, amounts=AMOUNTS),
    )
    assert entry == Entry(INVOICE_ID, 2, planned)
    entry.event.apply(rows, INVOICE_ID, 2)
    assert rows.keysets.get(KEYSET) == KeysetRow(MINT, "sat", 10)
    assert rows.accounts.rows == {}


def test_what_was_planned_can_be_planned_anew_after_it_only() -> None:
    again = made(plan(2), fold(OPENED, PLANNED), OPENED, PLANNED)

    assert again.version == 3
    assert made(plan(1), fold(OPENED, PLANNED), OPENED, PLANNED) == PLANNED


def test_who_plans_after_the_end_is_told_the_end() -> None:
    history = paid()

    assert made(plan(2), fold(*history), *history) == history[-1]


def test_a_keyset_of_another_mint_is_not_planned_with() -> None:
    rows = fold(OPENED)
    rows.keysets.put(KEYSET, KeysetRow("https://other.example", "sat", 0))

    with pytest.raises(KeysetTakenError):
        made(plan(), rows, OPENED)


def test_a_paid_invoice_is_credited_and_its_proofs_are_kept() -> None:
    history = paid()

    event = history[-1].event
    assert isinstance(event, InvoiceCredited)
    assert event.credited_msat == 100_000
    rows = fold(*history)
    assert rows.accounts.get(ALICE) == AccountRow(100_000, 0, MINT, "sat")
    assert rows.movements.rows == {}
    assert [row.amount for row in rows.proofs.rows.values()] == list(AMOUNTS)


def test_an_invoice_is_credited_once_however_often_it_is_found_paid() -> None:
    history = paid()

    assert made(credit(), fold(*history), *history) == history[-1]
    assert answers([credit(), credit()], fold(OPENED, PLANNED), history[:2]) == [
        Entry(INVOICE_ID, 3, history[-1].event),
        Entry(INVOICE_ID, 3, history[-1].event),
    ]


def test_a_credit_for_a_plan_that_was_given_up_is_told_so() -> None:
    replanned = Entry(INVOICE_ID, 3, PLANNED.event)
    history = (OPENED, PLANNED, replanned)

    with pytest.raises(MovementEndedError):
        made(credit(2), fold(*history), *history)


def test_an_invoice_that_nobody_can_pay_any_more_lapses_once() -> None:
    entry = made(lapse(), fold(OPENED), OPENED)

    assert entry == Entry(INVOICE_ID, 2, InvoiceLapsed(at=LATER, account_id=ALICE, mint=MINT))
    rows = fold(OPENED, entry)
    assert rows.movements.rows == {}
    assert rows.accounts.rows == {}
    assert made(lapse(), rows, OPENED, entry) == entry


@pytest.mark.parametrize("command", [credit(1), credit(2)])
def test_what_has_lapsed_is_not_credited(command: CreditInvoice) -> None:
    with pytest.raises(MovementEndedError):
        made(command, fold(OPENED, LAPSED), OPENED, LAPSED)


def test_what_was_found_paid_does_not_lapse() -> None:
    for history in ((OPENED, PLANNED), paid()):
        with pytest.raises(MovementEndedError):
            made(lapse(), fold(*history), *history)


@pytest.mark.parametrize("command", [credit(), lapse()])
def test_an_invoice_that_was_never_opened_has_no_end(
    command: CreditInvoice | LapseInvoice,
) -> None:
    with pytest.raises(LedgerError):
        made(command, fold())


def test_what_is_decided_upon_is_asked_for_before() -> None:
    needs = Needs()

    for command in (OPEN, plan(), credit(), lapse()):
        command.need(needs)

    assert needs.movements == {INVOICE_ID}
    assert needs.accounts == {ALICE}
    assert needs.keysets == {KEYSET}


def test_an_amount_in_msat_is_counted_in_msat() -> None:
    bill = Bill(
        account_id=ALICE,
        mint=MINT,
        unit="msat",
        amount=1500,
        quote="quote",
        request="lnbc",
        purpose="topup",
        expires_at=AT,
    )

    assert bill.amount_msat == 1500
