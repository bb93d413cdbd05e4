"""What every format is written from: one record an event, or one a day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from domain.event import Event, EventCodec
from domain.hold import Charged, Held, Released
from domain.posting import KINDS, Posting, postings
from domain.rate import RateObserved
from projections.moments import Period, day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from projections.chain import Stored


class Origin(NamedTuple):
    """Which event a record is of; `request_id` is set for the events of a paid request."""

    stored: Stored
    stream: UUID
    at: datetime
    model: str
    request_id: UUID | None


@dataclass(frozen=True, slots=True)
class Record:
    """The arrows of one event, or of all `events` of a day, in which case it has no origin.

    `btc_usd` is the rate of the event, else the newest observed until then; empty if none.
    """

    day: str
    position: int
    postings: tuple[Posting, ...]
    btc_usd: str
    events: int = 1
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events are wanted: those in `period` that touch one of `accounts`, if any."""

    period: Period
    accounts: frozenset[str] = frozenset()

    def takes(self, at: datetime, arrows: Iterable[Posting]) -> bool:
        return self.period.has(at) and (
            not self.accounts
            or any(
                arrow.source in self.accounts or arrow.destination in self.accounts
                for arrow in arrows
            )
        )


def records(log: Iterable[Stored], selection: Selection, newest: str = "") -> Iterator[Record]:
    """Yield a record for each selected event, also for those that move no money.

    `newest` is the rate that was in force where `log` begins. Raises `UnknownTopicError`,
    `LedgerBrokenError`.
    """
    codec = EventCodec(KINDS)
    for stored in log:
        event = codec.decode(stored.topic, stored.state)
        newest = event.btc_usd if isinstance(event, RateObserved) else newest
        arrows = tuple(postings(event))
        if selection.takes(event.at, arrows):
            yield _record(stored, event, arrows, newest)


def by_day(each: Iterable[Record]) -> Iterator[Record]:
    """Add up the arrows between the same two accounts on one day; one record a day.

    Should clocks have disagreed around midnight, a day may come in several parts.
    """
    day, position, rate, events = "", 0, "", 0
    sums: Counter[tuple[str, str]] = Counter()
    for record in each:
        if record.day != day:
            if sums:
                yield _rolled_up(day, position, rate, events, sums)
            day, events = record.day, 0
            sums.clear()
        for source, destination, amount_msat in record.postings:
            sums[source, destination] += amount_msat
        position, rate = record.position, record.btc_usd or rate
        events += bool(record.postings)
    if sums:
        yield _rolled_up(day, position, rate, events, sums)


def _rolled_up(
    day: str, position: int, rate: str, events: int, sums: Counter[tuple[str, str]]
) -> Record:
    arrows = tuple(Posting(*accounts, msat) for accounts, msat in sorted(sums.items()))
    return Record(day, position, arrows, rate, events)


def _record(stored: Stored, event: Event, arrows: tuple[Posting, ...], newest: str) -> Record:
    stream = UUID(bytes=stored.stream)
    terms = event.terms if isinstance(event, Held | Charged) else None
    request_id = stream if isinstance(event, Held | Charged | Released) else None
    origin = Origin(stored, stream, event.at, terms.model if terms else "", request_id)
    rate = (terms.btc_usd if terms else "") or newest
    return Record(day_of(event.at), stored.position, arrows, rate, origin=origin)
