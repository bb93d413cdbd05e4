"""Comparing the books with the mints: what each mint says of the proofs we count as ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from domain.command import Needs
from domain.deposit import newest
from domain.event import Entry, Event
from domain.guards import GuardRows, ReconciledRow
from domain.identity import reconciliation_of


class Compared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a mint says (NUT-07) of the proofs that the books count there, in msat.

    `free_msat` of `booked_msat` can be spent; the others are `in_flight_msat` in movements
    that are not finished, `stuck_msat` in such as take too long, `uncollected_msat` in
    tokens we issued. What has none of these names is unexplained: `missing_msat` are
    proofs that we call free and the mint calls spent.
    """

    booked_msat: int
    free_msat: int
    in_flight_msat: int = 0
    stuck_msat: int = 0
    uncollected_msat: int = 0
    missing_msat: int = 0

    @property
    def unexplained_msat(self) -> int:
        named_msat = self.in_flight_msat + self.stuck_msat + self.uncollected_msat
        return self.booked_msat - self.free_msat - named_msat


class Reconciled(Event, frozen=True, kw_only=True):
    """A mint was asked about all our proofs there; the owner draws only what is explained."""

    TOPIC: ClassVar[str] = "mint.reconciled"
    mint: str
    compared: Compared

    def apply(self, rows: GuardRows, _stream: UUID, version: int) -> None:
        row = ReconciledRow(version, self.compared.unexplained_msat, self.at)
        rows.reconciled.put(self.mint, row)


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Record what a mint says just now."""

    mint: str
    compared: Compared

    @property
    def stream(self) -> UUID:
        return reconciliation_of(self.mint)

    def need(self, needs: Needs) -> None:
        needs.reconciled.add(self.mint)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        row = rows.reconciled.get(self.mint)
        reconciled = Reconciled(at=at, mint=self.mint, compared=self.compared)
        return Entry(self.stream, row.version + 1 if row else 1, reconciled)

    def replay(self, history: Sequence[Entry]) -> Entry:
        # Another process has compared at the same moment.
        return newest(self.stream, history)
