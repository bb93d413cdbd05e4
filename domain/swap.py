"""Our own proofs swapped for others of ours: fewer of them, or of a keyset that is in use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

import msgspec

from domain.command import AskTheLogError, Needs
from domain.deposit import Plan, Signed, ended, keep, newest
from domain.errors import FeeTooHighError, NothingToSwapError
from domain.event import Entry, Event
from domain.guards import SWAP, GuardRows, MovementRow
from domain.identity import OWNER
from domain.msat import MSAT_PER_UNIT
from domain.purse import INPUTS_MAX, Purse, Spent, free_proofs, set_aside, split
from domain.refund import expect

ROTATION, CONSOLIDATION = "rotation", "consolidation"


class SelfSwap(msgspec.Struct, frozen=True, kw_only=True):
    """Proofs of ours, and the outputs, ours too, that they are to be swapped for."""

    mint: str
    unit: str
    inputs: tuple[Spent, ...]
    plan: Plan
    fee_msat: int

    @classmethod
    def next(cls, rows: GuardRows, purse: Purse, inputs: Sequence[Spent]) -> Self:
        """Return a swap of all of `inputs`, less the mint's fee.

        Raises `FeeTooHighError`, `KeysetTakenError`.
        """
        fee, worth = purse.fee(inputs), sum(spent.amount for spent in inputs)
        if worth <= fee:
            raise FeeTooHighError
        return cls(
            mint=purse.mint,
            unit=purse.unit,
            inputs=tuple(inputs),
            plan=Plan.next(rows, purse.mint, purse.keyset_id, split(worth - fee)),
            fee_msat=fee * purse.msat_per_unit,
        )

    @property
    def outputs_msat(self) -> int:
        return sum(self.plan.amounts) * MSAT_PER_UNIT[self.unit]

    def use(self, rows: GuardRows) -> None:
        """Mark the outputs' counters as used for ever."""
        self.plan.use(rows, self.mint, self.unit)

    def replace(self, rows: GuardRows, proofs: Sequence[Signed]) -> None:
        """Put what the mint has signed into the purse, in place of the inputs."""
        for spent in self.inputs:
            rows.proofs.drop(spent.key)
        keep(rows, self.mint, self.unit, proofs)


class SwapStarted(Event, frozen=True, kw_only=True):
    """Proofs of ours are set aside, and about to be swapped; `purpose` says why."""

    TOPIC: ClassVar[str] = "swap.started"
    swap: SelfSwap
    purpose: str

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        set_aside(rows, self.swap.inputs, stream)
        _open(rows, stream, version, self)


class SwapRedrafted(Event, frozen=True, kw_only=True):
    """The mint refused the outputs asked before; the same inputs are tried with new ones."""

    TOPIC: ClassVar[str] = "swap.redrafted"
    swap: SelfSwap

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        _open(rows, stream, version, self)


class SwapDone(Event, frozen=True, kw_only=True):
    """The mint signed: other proofs stand in the place of the inputs."""

    TOPIC: ClassVar[str] = "swap.done"
    swap: SelfSwap
    proofs: tuple[Signed, ...]

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        self.swap.replace(rows, self.proofs)
        rows.movements.drop(stream)


def _open(
    rows: GuardRows, stream: UUID, version: int, event: SwapStarted | SwapRedrafted
) -> None:
    event.swap.use(rows)
    rows.movements.put(stream, MovementRow(SWAP, version, OWNER, event.swap.mint, event.at))


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How a purse is to be: keysets in use, and how many free proofs of one amount.

    A swap may cost `fee_max` units. With `alike_max` 0 no number is too many.
    """

    active: frozenset[str]
    alike_max: int
    fee_max: int


@dataclass(frozen=True, slots=True)
class StartSwap:
    """Set aside what of a purse is not as it is ordered, to be swapped.

    First the proofs of keysets that are no longer in use; then, of each amount of which
    there are too many, all but half of what there may be, so that it is not soon to be
    done again. Raises `NothingToSwapError`; a repetition returns the newest event.
    """

    stream: UUID
    purse: Purse
    order: Order

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.keysets.add(self.purse.keyset_id)
        needs.purses.add((self.purse.mint, self.purse.unit))

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        if rows.movements.get(self.stream):
            raise AskTheLogError
        free = sorted(
            free_proofs(rows, self.purse), key=lambda spent: (spent.amount, spent.key)
        )
        stale = [spent for spent in free if spent.keyset_id not in self.order.active]
        # The largest first: what is worth most is not to be lost with an old keyset.
        inputs = self._affordable(stale[::-1])
        purpose = ROTATION
        if self._is_waste(inputs):
            inputs, purpose = self._affordable(self._too_many(free)), CONSOLIDATION
            swapped = sum(spent.amount for spent in inputs) - self.purse.fee(inputs)
            if self._is_waste(inputs) or swapped.bit_count() >= len(inputs):
                raise NothingToSwapError
        swap = SelfSwap.next(rows, self.purse, inputs)
        return Entry(self.stream, 1, SwapStarted(at=at, swap=swap, purpose=purpose))

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)

    def _too_many(self, free: Sequence[Spent]) -> list[Spent]:
        alike: dict[int, list[Spent]] = defaultdict(list)
        for spent in free:
            alike[spent.amount].append(spent)
        most = self.order.alike_max
        return [
            spent
            for group in alike.values()
            if 0 < most < len(group)
            for spent in group[most // 2 :]
        ]

    def _affordable(self, inputs: Sequence[Spent]) -> list[Spent]:
        """Return as many of `inputs` as one swap may have and the order allows to pay for."""
        taken: list[Spent] = []
        for spent in inputs[:INPUTS_MAX]:
            if self.purse.fee([*taken, spent]) > self.order.fee_max:
                break
            taken.append(spent)
        return taken

    def _is_waste(self, inputs: Sequence[Spent]) -> bool:
        return sum(spent.amount for spent in inputs) <= self.purse.fee(inputs)


@dataclass(frozen=True, slots=True)
class RedraftSwap:
    """Ask for other outputs, of the keyset and at the fee of `purse`, after `version`."""

    stream: UUID
    version: int
    swap: SelfSwap
    purse: Purse

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.keysets.add(self.purse.keyset_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        expect(rows, self.stream, self.version, SWAP)
        swap = SelfSwap.next(rows, self.purse, self.swap.inputs)
        return Entry(self.stream, self.version + 1, SwapRedrafted(at=at, swap=swap))

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)


@dataclass(frozen=True, slots=True)
class FinishSwap:
    """Record the mint's signatures on the outputs of `swap`; `version` is the newest.

    There is no other end. Giving a swap up would need another swap of its inputs to
    ourselves, so that no late copy of it can land; and that is the same thing once more.
    """

    stream: UUID
    version: int
    swap: SelfSwap
    proofs: tuple[Signed, ...]

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        expect(rows, self.stream, self.version, SWAP)
        done = SwapDone(at=at, swap=self.swap, proofs=self.proofs)
        return Entry(self.stream, self.version + 1, done)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, SwapDone)
