"""Proofs of ours that are spent at their mint, and not by anything that the log knows of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.command import Needs
from domain.errors import NothingLostError
from domain.event import Entry, Event
from domain.guards import GuardRows
from domain.msat import MSAT_PER_UNIT
from domain.purse import Purse, Spent, free_proofs


class ProofsLost(Event, frozen=True, kw_only=True):
    """After an old backup was restored: what it calls free was spent since; it is gone.

    Left in the purse, these proofs would be taken for refunds that can never be made.
    """

    TOPIC: ClassVar[str] = "proofs.lost"
    mint: str
    unit: str
    proofs: tuple[Spent, ...]

    @property
    def lost_msat(self) -> int:
        return sum(spent.amount for spent in self.proofs) * MSAT_PER_UNIT[self.unit]

    def apply(self, rows: GuardRows, _stream: UUID, _version: int) -> None:
        for spent in self.proofs:
            rows.proofs.drop(spent.key)


@dataclass(frozen=True, slots=True)
class LoseProofs:
    """Take out of a purse those of `spent` that are free still, and so spent by nobody here.

    A proof that a movement of this log has spent was set aside before, and is never free
    again. Raises `NothingLostError` if none is left.
    """

    stream: UUID
    purse: Purse
    spent: tuple[Spent, ...]

    def need(self, needs: Needs) -> None:
        needs.purses.add((self.purse.mint, self.purse.unit))

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        free = set(free_proofs(rows, self.purse))
        gone = tuple(spent for spent in self.spent if spent in free)
        if not gone:
            raise NothingLostError
        lost = ProofsLost(at=at, mint=self.purse.mint, unit=self.purse.unit, proofs=gone)
        return Entry(self.stream, 1, lost)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return history[0]
