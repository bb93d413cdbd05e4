"""Which invoice a BOLT11 text belongs to, for clients that have kept nothing else of it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from domain.invoice import InvoiceOpened
from projections.sheet import Line, Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.event import Entry
    from projections.chart import Source

TAIL_MAX = 20_000
"""How far back the log is read for an invoice that the follower has not told yet."""


def lines(_position: int, entry: Entry) -> Sequence[Line]:
    """Return the one line of an invoice, by a hash, for BOLT11 texts are long."""
    event = entry.event
    if not isinstance(event, InvoiceOpened):
        return ()
    return [(_hash(event.bill.request), entry.stream)]


INVOICES = Sheet(
    name="invoice",
    columns=(("request_hash", "text"), ("stream", "uuid")),
    # A mint may show the same text for two invoices; that must not stop the follower.
    key_count=2,
    indexes=(),
    lines=lines,
)


def find_invoice(source: Source, request: str) -> UUID | None:
    """Return the invoice with the BOLT11 text `request`, in either case (BIP-173).

    What the follower has not told yet is read from the log, no further back than `TAIL_MAX`.
    """
    wanted, head = request.lower(), source.head()
    with source.snapshot() as query:
        found = query("SELECT stream FROM invoice WHERE request_hash = ?", [_hash(wanted)])
        told = query("SELECT position FROM follower WHERE name = ?", [INVOICES.name])
    if found:
        return _uuid(found[0][0])
    upto = told[0][0] if told else 0
    for page in source.log(max(upto, head - TAIL_MAX), max(upto, head)):
        for _, entry in page:
            event = entry.event
            if isinstance(event, InvoiceOpened) and event.bill.request.lower() == wanted:
                return _uuid(entry.stream)
    return None


def _hash(request: str) -> str:
    return sha256(request.lower().encode()).hexdigest()


def _uuid(stream: str | UUID) -> UUID:
    return UUID(stream) if isinstance(stream, str) else stream
