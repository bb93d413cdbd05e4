"""The price lists that requests were ever charged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from domain.command import Needs
from domain.event import Entry, Event
from domain.guards import GuardRows


class PricesAdopted(Event, frozen=True, kw_only=True):
    """From now on requests may be charged by price list `version`, recorded here whole."""

    TOPIC: ClassVar[str] = "prices.adopted"
    version: str
    document: Mapping[str, Any]

    def apply(self, _rows: GuardRows, _stream: UUID, _version: int) -> None:
        """Change no guard row: a charge names its list, nobody asks for the newest."""


@dataclass(frozen=True, slots=True)
class AdoptPrices:
    """Record a price list; one that was adopted before is answered with that event."""

    stream: UUID
    version: str
    document: Mapping[str, Any]

    def need(self, needs: Needs) -> None:
        """Read nothing: the stream's name is the list's version."""

    def decide(self, _rows: GuardRows, at: datetime) -> Entry:
        adopted = PricesAdopted(at=at, version=self.version, document=self.document)
        return Entry(self.stream, 1, adopted)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return history[0]
