"""What one bitcoin was worth, as observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.command import Needs
from domain.event import Entry, Event
from domain.guards import NEWEST, GuardRows, RateRow


class RateObserved(Event, frozen=True, kw_only=True):
    """One bitcoin cost `btc_usd` US dollars (a decimal text) at each of `sources`' median."""

    TOPIC: ClassVar[str] = "rate.observed"
    btc_usd: str
    sources: tuple[str, ...]

    def apply(self, rows: GuardRows, _stream: UUID, _version: int) -> None:
        rows.rates.put(NEWEST, RateRow(self.btc_usd, self.at))


@dataclass(frozen=True, slots=True)
class ObserveRate:
    """Record a rate; prices of requests admitted from now on are worked out with it."""

    stream: UUID
    btc_usd: str
    sources: tuple[str, ...]

    def need(self, needs: Needs) -> None:
        """Read nothing: a rate is a fact whatever was before."""

    def decide(self, _rows: GuardRows, at: datetime) -> Entry:
        observed = RateObserved(at=at, btc_usd=self.btc_usd, sources=self.sources)
        return Entry(self.stream, 1, observed)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return history[0]
