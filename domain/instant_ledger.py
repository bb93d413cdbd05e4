"""The door through which events of instant deposits are written; a part of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.foreign_ledger import ForeignLedger, expect
from domain.instant import (
    BatchParted,
    BatchSwapped,
    CreditInstantly,
    InstantLost,
    LoseInstant,
    PartBatch,
    PlanBatch,
    ReplanBatch,
    SwapBatch,
)

if TYPE_CHECKING:
    from uuid import UUID

    from domain.deposit import Claim, Signed
    from domain.event import Entry
    from domain.instant import Batch, Batched, InstantCredited
    from domain.msat import Msat


class InstantLedger(ForeignLedger):
    """The use cases of tokens locked to us; each returns when its event is durable."""

    def credit_instantly(
        self, token_id: UUID, version: int, claim: Claim, ys: tuple[str, ...], limit: Msat
    ) -> Entry:
        """Credit a token that nobody but us can spend, before its mint is asked.

        Returns the movement's newest entry. Raises `NotInstantError`, nothing being done,
        and `TokenTakenError`.
        """
        return self._record(CreditInstantly(token_id, version, claim, ys, limit.msat))

    def plan_batch(
        self,
        batch_id: UUID,
        place: tuple[str, str],
        deposits: tuple[Batched, ...],
        keyset_id: str,
        amounts: tuple[int, ...],
    ) -> Entry:
        """Record that deposits of one mint and unit, the `place`, are about to be swapped.

        Raises `NotInstantError` when one of them is in another batch, or done.
        """
        command = PlanBatch(batch_id, *place, deposits, keyset_id, amounts)
        return self._record(command)

    def replan_batch(self, newest: Entry, batch: Batch, keyset_id: str) -> Entry:
        """Record that the outputs of `newest` will be asked of another keyset."""
        return self._record(ReplanBatch(newest.stream, newest.version, batch, keyset_id))

    def swap_batch(
        self, newest: Entry, batch: Batch, proofs: tuple[Signed, ...]
    ) -> BatchSwapped:
        """Record that the mint signed what was planned.

        Raises `UnknownMovementError`, `MovementEndedError`.
        """
        command = SwapBatch(newest.stream, newest.version, batch, proofs)
        return expect(self._record(command), BatchSwapped)

    def part_batch(self, newest: Entry, batch: Batch, reason: str) -> BatchParted:
        """Record that the mint certainly refused a batch.

        Raises `UnknownMovementError`, `MovementEndedError`.
        """
        command = PartBatch(newest.stream, newest.version, batch, reason)
        return expect(self._record(command), BatchParted)

    def lose_instant(
        self, newest: Entry, credited: InstantCredited, reason: str
    ) -> InstantLost:
        """Record that what was credited at once can never be swapped.

        Raises `UnknownMovementError`, `MovementEndedError`.
        """
        command = LoseInstant(newest.stream, newest.version, credited, reason)
        return expect(self._record(command), InstantLost)
