"""The auditor's questions about payments over Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import LedgerBrokenError
from domain.guards import PAYOUT
from domain.payout import PayoutAbandoned, PayoutCancelled, PayoutPaid, PayoutStarted
from projections.check import demand, demand_inputs, demand_surplus, total, unit_msat

if TYPE_CHECKING:
    from uuid import UUID

    from domain.event import Event
    from domain.guards import GuardRows
    from domain.payout import Payment

PayoutEvent = PayoutStarted | PayoutAbandoned | PayoutPaid | PayoutCancelled

PAYOUT_FOLLOWS: dict[type[Event], tuple[str, ...]] = {
    PayoutAbandoned: (PAYOUT,),
    PayoutPaid: (PAYOUT,),
    PayoutCancelled: (PAYOUT,),
}


class PayoutAudit:
    """Follows the payments that are open; `rows` are the auditor's."""

    def __init__(self, rows: GuardRows) -> None:
        self._rows = rows
        self._payments: dict[UUID, Payment] = {}
        self._plans: dict[UUID, tuple[int, ...]] = {}

    def check(self, stream: UUID, event: PayoutEvent) -> None:
        """Raise `LedgerBrokenError` if `event` is not what may come next."""
        payment = event.payment
        if isinstance(event, PayoutStarted):
            self._check_start(payment)
            self._payments[stream] = payment
            return
        demand(self._payments.get(stream) == payment, "goes on with another payment")
        if isinstance(event, PayoutAbandoned):
            fee = payment.worth - sum(event.plan.amounts)
            demand(0 <= fee <= payment.taken, "takes another amount back")
            self._plans[stream] = event.plan.amounts
            return
        if isinstance(event, PayoutPaid):
            kept = payment.spare - total(event.proofs)
            demand(event.lightning_fee == kept, "gave another fee than it took")
            demand(kept >= 0, "gave more back than there was")
        else:
            signed = tuple(proof.amount for proof in event.proofs)
            demand(self._plans.get(stream) == signed, "was signed for other amounts")
        del self._payments[stream]
        self._plans.pop(stream, None)

    def _check_start(self, payment: Payment) -> None:
        demand_inputs(self._rows, payment.mint, payment.unit, payment.inputs)
        unit_msat(payment.unit)
        if min(payment.amount, payment.fee_reserve, payment.input_fee) < 0:
            raise LedgerBrokenError("pays less than 0")
        demand(total(payment.inputs) >= payment.taken, "takes more than it spends")
        demand_surplus(self._rows, payment.account_id, payment.taken_msat)
