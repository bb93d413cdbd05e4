"""The auditor's questions about tokens of mints that are not trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.foreign import ForeignArrived, ForeignCredited, ForeignQuoted, ForeignRefused
from domain.guards import FOREIGN
from projections.check import demand, total, unit_msat

if TYPE_CHECKING:
    from uuid import UUID

    from domain.event import Event
    from domain.invoice import Bill

ForeignEvent = ForeignQuoted | ForeignArrived | ForeignCredited | ForeignRefused

BEGINNING, REFUSED = "", "refusal"
FOREIGN_FOLLOWS: dict[type[Event], tuple[str, ...]] = {
    ForeignQuoted: (BEGINNING, REFUSED),
    ForeignArrived: (FOREIGN, REFUSED),
    ForeignCredited: (FOREIGN,),
    ForeignRefused: (FOREIGN,),
}


class ForeignAudit:
    """Remembers what was quoted, for an attempt may arrive after it was given up."""

    def __init__(self) -> None:
        self._quoted: dict[UUID, list[ForeignQuoted]] = {}
        self._arrived: dict[UUID, ForeignArrived] = {}

    def check(self, stream: UUID, event: ForeignEvent) -> None:
        """Raise `LedgerBrokenError` if `event` is not what may come next."""
        if isinstance(event, ForeignQuoted):
            self._check_quoted(event)
            self._quoted.setdefault(stream, []).append(event)
        elif isinstance(event, ForeignArrived):
            quoted = self._quoted.get(stream, [])
            known = [(attempt.bill, attempt.claim.face_msat) for attempt in quoted]
            demand((event.bill, event.face_msat) in known, "arrived though nobody asked for it")
            demand(sum(event.plan.amounts) == event.bill.amount, "mints another amount")
            self._arrived[stream] = event
        elif isinstance(event, ForeignCredited):
            self._check_credit(stream, event)
        else:
            demand(stream not in self._arrived, "is refused after it has arrived")

    @staticmethod
    def _check_quoted(event: ForeignQuoted) -> None:
        claim, melt = event.claim, event.melt
        most_msat = melt.most * unit_msat(claim.unit)
        demand(most_msat <= claim.face_msat, "melts more than the token is worth")
        demand(claim.account_id == event.bill.account_id, "is for two accounts")
        demand(claim.mint != event.bill.mint, "is melted at the mint it is minted at")

    def _check_credit(self, stream: UUID, event: ForeignCredited) -> None:
        demand(stream in self._arrived, "is credited before it has arrived")
        arrived = self._arrived.pop(stream)
        del self._quoted[stream]
        bill: Bill = arrived.bill
        begun = (bill.account_id, bill.mint, bill.unit, arrived.from_mint, arrived.face_msat)
        ended = (event.account_id, event.mint, event.unit, event.from_mint, event.face_msat)
        demand(begun == ended, "credits another token than has arrived")
        proofs_msat = total(event.proofs) * unit_msat(event.unit)
        demand(event.credited_msat == proofs_msat, "credits what no proof is worth")
        demand(event.credited_msat == bill.amount_msat, "credits another amount")
        parts_msat = event.credited_msat + event.change_msat + event.fee_msat
        demand(parts_msat == event.face_msat, "has parts that do not add up")
        demand(min(event.change_msat, event.fee_msat) >= 0, "took a fee of less than 0")
