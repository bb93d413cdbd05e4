"""The door through which events of invoices are written; a part of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.foreign_ledger import expect
from domain.instant_ledger import InstantLedger
from domain.invoice import (
    CreditInvoice,
    InvoiceCredited,
    InvoiceLapsed,
    LapseInvoice,
    OpenInvoice,
    PlanInvoice,
)

if TYPE_CHECKING:
    from uuid import UUID

    from domain.deposit import Signed
    from domain.event import Entry
    from domain.invoice import Bill


class InvoiceLedger(InstantLedger):
    """The use cases of money in over Lightning; each returns when its event is durable."""

    def open_invoice(self, invoice_id: UUID, bill: Bill) -> Entry:
        """Record an invoice that a mint has made; nobody owes or owns anything by it."""
        return self._record(OpenInvoice(invoice_id, bill))

    def plan_invoice(
        self, newest: Entry, bill: Bill, keyset_id: str, amounts: tuple[int, ...]
    ) -> Entry:
        """Record the outputs about to be minted for an invoice that is paid."""
        stream, version, _ = newest
        return self._record(PlanInvoice(stream, version, bill, keyset_id, amounts))

    def credit_invoice(
        self, newest: Entry, bill: Bill, proofs: tuple[Signed, ...]
    ) -> InvoiceCredited:
        """Record that the mint signed for a paid invoice; its account is credited, once.

        Raises `UnknownMovementError`, `MovementEndedError`.
        """
        command = CreditInvoice(newest.stream, newest.version, bill, proofs)
        return expect(self._record(command), InvoiceCredited)

    def lapse_invoice(self, newest: Entry, bill: Bill) -> InvoiceLapsed:
        """Record that an invoice is unpaid and expired at its mint.

        Raises `UnknownMovementError`, `MovementEndedError`.
        """
        command = LapseInvoice(newest.stream, newest.version, bill)
        return expect(self._record(command), InvoiceLapsed)
