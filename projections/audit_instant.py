"""The auditor's questions about tokens that were credited at once and swapped later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from domain.guards import BATCH, BATCHED
from domain.instant import (
    WAITING,
    BatchParted,
    BatchPlanned,
    BatchReplanned,
    BatchSwapped,
    InstantCredited,
    InstantLost,
)
from projections.check import demand, unit_msat

if TYPE_CHECKING:
    from uuid import UUID

    from domain.event import Event
    from domain.guards import GuardRows
    from domain.instant import Batch

InstantEvent = (
    InstantCredited | InstantLost | BatchPlanned | BatchReplanned | BatchSwapped | BatchParted
)
BEGINNING, REFUSED = "", "refusal"
INSTANT_FOLLOWS: dict[type[Event], tuple[str, ...]] = {
    InstantCredited: (BEGINNING, REFUSED),
    InstantLost: (BATCHED,),
    BatchPlanned: (BEGINNING,),
    BatchReplanned: (BATCH,),
    BatchSwapped: (BATCH,),
    BatchParted: (BATCH,),
}


class InstantAudit:
    """Follows locked tokens until they are swapped; `rows` are the auditor's."""

    def __init__(self, rows: GuardRows) -> None:
        self._rows = rows
        self._credited: dict[UUID, InstantCredited] = {}
        self._batches: dict[UUID, Batch] = {}

    def check(self, stream: UUID, event: InstantEvent) -> None:
        """Raise `LedgerBrokenError` if `event` is not what may come next."""
        if isinstance(event, InstantCredited):
            self._check_credit(event)
            self._credited[stream] = event
        elif isinstance(event, InstantLost):
            credited = self._credited.pop(stream)
            begun = (credited.account_id, credited.mint, credited.credited_msat)
            ended = (event.account_id, event.mint, event.lost_msat)
            demand(begun == ended, "loses another token than was credited")
        elif isinstance(event, BatchPlanned):
            self._check_planned(event.batch)
            self._batches[stream] = event.batch
        else:
            self._check_batch(stream, event)

    def _check_credit(self, event: InstantCredited) -> None:
        unit_msat(event.unit)
        demand(0 <= event.fee_msat < event.face_msat, "credits nothing")
        demand(bool(event.ys), "credits no proof")
        taken = any(self._rows.ys.get(y) for y in event.ys)
        demand(not taken, "credits a proof for the second time")

    def _check_planned(self, batch: Batch) -> None:
        for deposit in batch.deposits:
            row, credited = (
                self._rows.movements.get(deposit.stream),
                self._credited.get(deposit.stream),
            )
            demand(row is not None and row.kind in WAITING, "swaps what does not wait")
            alike = credited is not None and (
                (credited.mint, credited.unit, credited.credited_msat)
                == (batch.mint, batch.unit, deposit.credited_msat)
            )
            demand(alike, "swaps another token than was credited")

    def _check_batch(
        self, stream: UUID, event: BatchReplanned | BatchSwapped | BatchParted
    ) -> None:
        before, batch = self._batches.pop(stream), event.batch
        if isinstance(event, BatchReplanned):
            same = msgspec.structs.replace(batch, plan=before.plan) == before
            demand(same and batch.plan.amounts == before.plan.amounts, "changes what it swaps")
            self._batches[stream] = batch
            return
        demand(batch == before, "ends another batch than was planned")
        if isinstance(event, BatchSwapped):
            signed = tuple(proof.amount for proof in event.proofs)
            demand(signed == batch.plan.amounts, "was signed for other amounts")
            for deposit in batch.deposits:
                del self._credited[deposit.stream]
