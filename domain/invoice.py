"""Money in over Lightning: an invoice of a mint, paid by somebody, minted and credited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from domain.command import AskTheLogError, Needs
from domain.deposit import Plan, Signed, ended, keep
from domain.event import Entry, Event
from domain.guards import INVOICE, GuardRows, MovementRow
from domain.msat import MSAT_PER_UNIT


class Bill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked for: `amount` in the mint's `unit`, for an account.

    `quote` is the mint's name for it (NUT-04). The quote is locked to a key that the seed
    yields for this invoice (NUT-20), so that knowing its name is worth nothing. `request`
    is the BOLT11 text, `purpose` create or topup.
    """

    account_id: UUID
    mint: str
    unit: str
    amount: int
    quote: str
    request: str
    purpose: str
    expires_at: datetime

    @property
    def amount_msat(self) -> int:
        return self.amount * MSAT_PER_UNIT[self.unit]


class InvoiceOpened(Event, frozen=True, kw_only=True):
    """An invoice was made; nobody has paid it yet."""

    TOPIC: ClassVar[str] = "invoice.opened"
    bill: Bill

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        _open(rows, stream, version, self.bill, self.at)


class InvoicePlanned(Event, frozen=True, kw_only=True):
    """The mint says that it is paid; these outputs are about to be minted."""

    TOPIC: ClassVar[str] = "invoice.planned"
    bill: Bill
    plan: Plan

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        self.plan.use(rows, self.bill.mint, self.bill.unit)
        _open(rows, stream, version, self.bill, self.at)


class InvoiceCredited(Event, frozen=True, kw_only=True):
    """The mint signed; the account got `credited_msat`, the proofs are ours."""

    TOPIC: ClassVar[str] = "invoice.credited"
    account_id: UUID
    mint: str
    unit: str
    credited_msat: int
    proofs: tuple[Signed, ...]

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.add(self.account_id, self.credited_msat)
        rows.set_home(self.account_id, self.mint, self.unit)
        rows.movements.drop(stream)
        keep(rows, self.mint, self.unit, self.proofs)


class InvoiceLapsed(Event, frozen=True, kw_only=True):
    """The mint says that it is unpaid, and it has expired: nobody can pay it any more."""

    TOPIC: ClassVar[str] = "invoice.lapsed"
    account_id: UUID
    mint: str

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.movements.drop(stream)


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """Record an invoice that the mint has made; a repetition returns the first event."""

    stream: UUID
    bill: Bill

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        if rows.movements.get(self.stream):
            raise AskTheLogError
        return Entry(self.stream, 1, InvoiceOpened(at=at, bill=self.bill))

    def replay(self, history: Sequence[Entry]) -> Entry:
        return history[-1]


@dataclass(frozen=True, slots=True)
class PlanInvoice:
    """Record the outputs about to be minted, after event `version`.

    When something else was recorded meanwhile, that newest event is the answer.
    """

    stream: UUID
    version: int
    bill: Bill
    keyset_id: str
    amounts: tuple[int, ...]

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.keysets.add(self.keyset_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, self.version)
        plan = Plan.next(rows, self.bill.mint, self.keyset_id, self.amounts)
        planned = InvoicePlanned(at=at, bill=self.bill, plan=plan)
        return Entry(self.stream, self.version + 1, planned)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return history[-1]


@dataclass(frozen=True, slots=True)
class CreditInvoice:
    """End an invoice: the mint signed the outputs planned in event `version`.

    Raises `UnknownMovementError`, `MovementEndedError`; a repetition returns the credit.
    """

    stream: UUID
    version: int
    bill: Bill
    proofs: tuple[Signed, ...]

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.accounts.add(self.bill.account_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, self.version)
        credited = InvoiceCredited(
            at=at,
            account_id=self.bill.account_id,
            mint=self.bill.mint,
            unit=self.bill.unit,
            credited_msat=self.bill.amount_msat,
            proofs=self.proofs,
        )
        return Entry(self.stream, self.version + 1, credited)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, InvoiceCredited)


@dataclass(frozen=True, slots=True)
class LapseInvoice:
    """End an invoice that nobody has paid and nobody can pay any more.

    Raises `UnknownMovementError`, `MovementEndedError`; a repetition returns the lapse.
    """

    stream: UUID
    version: int
    bill: Bill

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, self.version)
        lapsed = InvoiceLapsed(at=at, account_id=self.bill.account_id, mint=self.bill.mint)
        return Entry(self.stream, self.version + 1, lapsed)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, InvoiceLapsed)


def _open(rows: GuardRows, stream: UUID, version: int, bill: Bill, at: datetime) -> None:
    rows.movements.put(stream, MovementRow(INVOICE, version, bill.account_id, bill.mint, at))


def _expect(rows: GuardRows, stream: UUID, version: int) -> None:
    movement = rows.movements.get(stream)
    if movement is None or movement.version != version:
        raise AskTheLogError
