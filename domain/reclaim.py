"""A refund's proofs taken back: when the mint refused it, or when nobody collects its token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.command import Needs
from domain.deposit import Signed, ended, newest
from domain.event import Entry, Event
from domain.guards import ISSUED, REFUND, SWEEP, GuardRows, MovementRow
from domain.identity import OWNER
from domain.msat import MSAT_PER_UNIT
from domain.purse import Purse, Spent
from domain.refund import Draft, expect
from domain.swap import SelfSwap


class Recalled(Event, frozen=True, kw_only=True):
    """The mint refused the token; its inputs are about to be swapped to ourselves.

    A copy of the refused request may be on its way still: only when the inputs are spent
    otherwise can it never be carried out.
    """

    TOPIC: ClassVar[str] = "refund.recalled"
    draft: Draft
    swap: SelfSwap
    reason: str

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        self.swap.use(rows)
        rows.movements.put(
            stream,
            MovementRow(REFUND, version, self.draft.account_id, self.draft.mint, self.at),
        )


class SweepStarted(Event, frozen=True, kw_only=True):
    """Nobody has collected a token; those proofs of it that are unspent are to be ours again.

    `token` are all its proofs, of which `swap` has the unspent ones.
    """

    TOPIC: ClassVar[str] = "refund.sweep_started"
    account_id: UUID
    token: tuple[Spent, ...]
    swap: SelfSwap

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        self.swap.use(rows)
        row = MovementRow(SWEEP, version, self.account_id, self.swap.mint, self.at)
        rows.movements.put(stream, row)


class Swept(Event, frozen=True, kw_only=True):
    """A token's proofs are ours again; their worth less the fee is the account's, for ever.

    What of the token is not in `swap` was collected before.
    """

    TOPIC: ClassVar[str] = "refund.swept"
    account_id: UUID
    token: tuple[Spent, ...]
    swap: SelfSwap
    proofs: tuple[Signed, ...]

    @property
    def swept_msat(self) -> int:
        return sum(spent.amount for spent in self.swap.inputs) * self._unit_msat

    @property
    def collected_msat(self) -> int:
        return sum(spent.amount for spent in self.token) * self._unit_msat - self.swept_msat

    @property
    def _unit_msat(self) -> int:
        return MSAT_PER_UNIT[self.swap.unit]

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        for spent in self.token:
            rows.proofs.drop(spent.key)
        self.swap.replace(rows, self.proofs)
        rows.pay(self.account_id, self.swept_msat - self.swap.fee_msat)
        rows.movements.drop(stream)


@dataclass(frozen=True, slots=True)
class Recall:
    """Swap the inputs of `draft` to ourselves, after event `version` of its refund.

    Raises `FeeTooHighError`, `KeysetTakenError`; when something else was recorded
    meanwhile, that newest event is the answer.
    """

    stream: UUID
    version: int
    draft: Draft
    purse: Purse
    reason: str

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.keysets.add(self.purse.keyset_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        expect(rows, self.stream, self.version, REFUND)
        swap = SelfSwap.next(rows, self.purse, self.draft.inputs)
        recalled = Recalled(at=at, draft=self.draft, swap=swap, reason=self.reason[:200])
        return Entry(self.stream, self.version + 1, recalled)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)


@dataclass(frozen=True, slots=True)
class StartSweep:
    """Swap `unspent`, the proofs of an uncollected token that its mint calls so, back.

    Raises `FeeTooHighError`, `KeysetTakenError`; when something else was recorded
    meanwhile, that newest event is the answer.
    """

    stream: UUID
    version: int
    account_id: UUID
    token: tuple[Spent, ...]
    unspent: tuple[Spent, ...]
    purse: Purse

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.keysets.add(self.purse.keyset_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        expect(rows, self.stream, self.version, ISSUED, SWEEP)
        swap = SelfSwap.next(rows, self.purse, self.unspent)
        started = SweepStarted(at=at, account_id=self.account_id, token=self.token, swap=swap)
        return Entry(self.stream, self.version + 1, started)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Record the mint's signatures on what `started` asked for; `version` is the newest."""

    stream: UUID
    version: int
    started: SweepStarted
    proofs: tuple[Signed, ...]

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        if self.started.account_id != OWNER:
            needs.accounts.add(self.started.account_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        expect(rows, self.stream, self.version, SWEEP)
        swept = Swept(
            at=at,
            account_id=self.started.account_id,
            token=self.started.token,
            swap=self.started.swap,
            proofs=self.proofs,
        )
        return Entry(self.stream, self.version + 1, swept)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, Swept)
