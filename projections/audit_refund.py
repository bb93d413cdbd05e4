"""The auditor's questions about refunds, and about proofs swapped for others of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from domain.guards import FREE, ISSUED, OUT, REFUND, RESERVED, SWAP, SWEEP
from domain.reclaim import Recalled, SweepStarted, Swept
from domain.refund import Cancelled, Collected, Issued, Redrafted, Started
from domain.swap import SwapDone, SwapRedrafted, SwapStarted
from projections.check import demand, demand_inputs, demand_surplus, total, unit_msat

if TYPE_CHECKING:
    from uuid import UUID

    from domain.event import Event
    from domain.guards import GuardRows
    from domain.purse import Spent
    from domain.refund import Draft
    from domain.swap import SelfSwap

Drafted = Started | Redrafted | Recalled | Issued | Cancelled
SwapPlanned = SwapStarted | SwapRedrafted | SweepStarted
RefundEvent = Drafted | SwapPlanned | SwapDone | Swept | Collected

REFUND_FOLLOWS: dict[type[Event], tuple[str, ...]] = {
    Redrafted: (REFUND,),
    Recalled: (REFUND,),
    Issued: (REFUND,),
    Cancelled: (REFUND,),
    Collected: (ISSUED, SWEEP),
    SweepStarted: (ISSUED, SWEEP),
    Swept: (SWEEP,),
    SwapRedrafted: (SWAP,),
    SwapDone: (SWAP,),
}


class RefundAudit:
    """Follows what spends our proofs; `rows` are the auditor's.

    Of all the requests with the same inputs a mint carries out one, and that may be any: so
    any plan of a movement may be the one that ends it.
    """

    def __init__(self, rows: GuardRows) -> None:
        self._rows = rows
        self._drafts: dict[UUID, list[Draft]] = {}
        self._swaps: dict[UUID, list[SelfSwap]] = {}
        self._tokens: dict[UUID, int] = {}

    def check(self, stream: UUID, event: RefundEvent) -> None:
        """Raise `LedgerBrokenError` if `event` is not what may come next."""
        if isinstance(event, SwapPlanned):
            self._check_swap(stream, event)
        elif isinstance(event, SwapDone | Swept):
            self._check_swapped(stream, event)
        elif isinstance(event, Collected):
            self._swaps.pop(stream, None)
            self._tokens.pop(stream)
            worth = sum(self._worth_msat(proof) for proof in event.proofs)
            demand(event.token_msat == worth, "was collected at another amount than issued")
        else:
            self._check_refund(stream, event)

    def _check_refund(self, stream: UUID, event: Drafted) -> None:
        draft, drafts = event.draft, self._drafts.setdefault(stream, [])
        if isinstance(event, Started):
            self._check_draft(draft)
            drafts.append(draft)
        elif isinstance(event, Redrafted):
            demand(_alike(draft, drafts[0]), "changes what is refunded")
            drafts.append(draft)
        else:
            demand(draft in drafts, "ends another refund than was begun")
        if isinstance(event, Recalled):
            demand(event.swap.inputs == draft.inputs, "takes back other proofs")
            self._plan_swap(stream, event.swap, RESERVED)
        elif isinstance(event, Issued | Cancelled):
            self._check_end(stream, event)

    def _check_end(self, stream: UUID, event: Issued | Cancelled) -> None:
        swaps = self._swaps.pop(stream, [])
        del self._drafts[stream]
        amounts = tuple(proof.amount for proof in event.proofs)
        if isinstance(event, Issued):
            demand(amounts == event.draft.plan.amounts, "was signed for other amounts")
            self._tokens[stream] = event.draft.token_msat
        else:
            told = [(swap.plan.amounts, swap.fee_msat) for swap in swaps]
            # As it was first written, without taking anything back.
            told.append(((), 0))
            demand((amounts, event.fee_msat) in told, "took back another amount")

    def _check_draft(self, draft: Draft) -> None:
        demand_inputs(self._rows, draft.mint, draft.unit, draft.inputs, FREE)
        demand_surplus(self._rows, draft.account_id, draft.taken_msat)
        each_msat, amounts = unit_msat(draft.unit), draft.plan.amounts
        inputs_msat = total(draft.inputs) * each_msat
        outputs_msat = sum(amounts) * each_msat
        token_msat = sum(amounts[: draft.send_count]) * each_msat
        demand(inputs_msat == outputs_msat + draft.fee_msat, "makes more than it spends")
        demand(token_msat == draft.token_msat, "makes a token of another amount")
        taken_msat = draft.token_msat + draft.fee_msat
        demand(draft.taken_msat == taken_msat, "takes another amount than it gives")
        demand(draft.fee_msat >= 0, "takes a fee of less than 0")

    def _check_swap(self, stream: UUID, event: SwapPlanned) -> None:
        if isinstance(event, SweepStarted):
            self._check_token(stream, event)
            demand(set(event.swap.inputs) <= set(event.token), "sweeps other proofs")
            self._plan_swap(stream, event.swap, OUT)
            return
        before = self._swaps.get(stream, [event.swap])
        demand(event.swap.inputs == before[0].inputs, "changes what is swapped")
        state = FREE if isinstance(event, SwapStarted) else RESERVED
        self._plan_swap(stream, event.swap, state)

    def _plan_swap(self, stream: UUID, swap: SelfSwap, state: str) -> None:
        demand_inputs(self._rows, swap.mint, swap.unit, swap.inputs, state)
        inputs_msat = total(swap.inputs) * unit_msat(swap.unit)
        demand(inputs_msat == swap.outputs_msat + swap.fee_msat, "makes more than it spends")
        demand(swap.fee_msat >= 0, "takes a fee of less than 0")
        self._swaps.setdefault(stream, []).append(swap)

    def _check_swapped(self, stream: UUID, event: SwapDone | Swept) -> None:
        amounts = tuple(proof.amount for proof in event.proofs)
        demand(event.swap in self._swaps.pop(stream), "ends another swap than was begun")
        demand(amounts == event.swap.plan.amounts, "was signed for other amounts")
        if isinstance(event, Swept):
            self._check_token(stream, event)
            del self._tokens[stream]

    def _check_token(self, stream: UUID, event: SweepStarted | Swept) -> None:
        demand_inputs(self._rows, event.swap.mint, event.swap.unit, event.token, OUT)
        for spent in event.token:
            movement = self._rows.proofs.rows[spent.key].movement
            demand(movement == stream, "sweeps another token")
        worth = total(event.token) * unit_msat(event.swap.unit)
        demand(worth == self._tokens[stream], "sweeps another amount than issued")
        account_id = self._rows.movements.rows[stream].account_id
        demand(event.account_id == account_id, "gives another account's money back")

    def _worth_msat(self, spent: Spent) -> int:
        row = self._rows.proofs.get(spent.key)
        return row.amount * unit_msat(row.unit) if row else 0


def _alike(draft: Draft, before: Draft) -> bool:
    """Tell whether two drafts differ in their outputs' keyset and counters at most."""
    same_amounts = draft.plan.amounts == before.plan.amounts
    return same_amounts and msgspec.structs.replace(draft, plan=before.plan) == before
