"""The door through which events about our own proofs are written; a part of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.foreign_ledger import expect
from domain.keyset import AdvanceKeyset, KeysetAdvanced
from domain.lost import LoseProofs, ProofsLost
from domain.reclaim import Recall, StartSweep, Sweep, Swept
from domain.swap import FinishSwap, RedraftSwap, StartSwap, SwapDone

if TYPE_CHECKING:
    from uuid import UUID

    from domain.deposit import Signed
    from domain.event import Entry
    from domain.foreign_ledger import Record
    from domain.purse import Purse, Spent
    from domain.reclaim import SweepStarted
    from domain.refund import Draft, Issued
    from domain.swap import Order, SelfSwap


class OwnLedger:
    """Refunds taken back, tokens swept, the purse kept in order; each is durable on return."""

    _record: Record

    def recall_refund(self, newest: Entry, draft: Draft, purse: Purse, reason: str) -> Entry:
        """Record that the inputs of a refused `draft` are about to be swapped to ourselves.

        Raises `FeeTooHighError`.
        """
        return self._record(Recall(newest.stream, newest.version, draft, purse, reason))

    def start_sweep(
        self, newest: Entry, issued: Issued, unspent: tuple[Spent, ...], purse: Purse
    ) -> Entry:
        """Record that the `unspent` proofs of an uncollected token are to be ours again.

        Raises `FeeTooHighError`.
        """
        stream, version, _ = newest
        owner = issued.draft.account_id
        return self._record(StartSweep(stream, version, owner, issued.token, unspent, purse))

    def sweep_refund(
        self, newest: Entry, started: SweepStarted, proofs: tuple[Signed, ...]
    ) -> Swept:
        """Record that a token's proofs are ours again; its account has their worth.

        Raises `UnknownMovementError`, `MovementEndedError`.
        """
        return expect(
            self._record(Sweep(newest.stream, newest.version, started, proofs)), Swept
        )

    def start_swap(self, swap_id: UUID, purse: Purse, order: Order) -> Entry:
        """Set aside what of a purse is not as it is ordered; it is about to be swapped.

        Raises `NothingToSwapError`.
        """
        return self._record(StartSwap(swap_id, purse, order))

    def redraft_swap(self, newest: Entry, swap: SelfSwap, purse: Purse) -> Entry:
        """Record that other outputs will be asked for. Raises `FeeTooHighError`."""
        return self._record(RedraftSwap(newest.stream, newest.version, swap, purse))

    def finish_swap(
        self, newest: Entry, swap: SelfSwap, proofs: tuple[Signed, ...]
    ) -> SwapDone:
        """Record the mint's signatures: other proofs stand in the place of the inputs."""
        command = FinishSwap(newest.stream, newest.version, swap, proofs)
        return expect(self._record(command), SwapDone)

    def advance_keyset(self, found: AdvanceKeyset) -> KeysetAdvanced:
        """Record that counters were used which the log knows nothing of.

        Raises `CountersMovedError` when the log knows more of them by now.
        """
        return expect(self._record(found), KeysetAdvanced)

    def lose_proofs(self, loss_id: UUID, purse: Purse, spent: tuple[Spent, ...]) -> ProofsLost:
        """Record that proofs which the log calls free are spent. Raises `NothingLostError`."""
        return expect(self._record(LoseProofs(loss_id, purse, spent)), ProofsLost)
