"""The log as the pages read it: single events, newest first, found by many marks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from app.web.admin.words import account_of, amount_msat, model_of
from domain.erasure import AccountErased
from domain.hold import Charged, Held
from domain.rate import RateObserved
from projections.halving import first_since
from projections.rates import rate_before
from projections.statement import accounts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from domain.event import Event
    from projections.chart import Query
    from projections.moments import Period

PAGE = 50
EXAMINED_MAX = 4_000
UNREAD_FACTOR = 16
"""How many more positions can be passed over when an event's text need not be read."""
ACCOUNT_EXAMINED_MAX = 2_000
COUNTED_MAX = 10_000
RATES_LOOKED_BACK = 2_000
"""Positions before an event among which the rate it happened at is looked for."""
POSITION_MAX = (1 << 63) - 1
PRICED = (Held.TOPIC, Charged.TOPIC)
"""The types of events that name a model."""


class Told(NamedTuple):
    """An event at its place in the log, and `version` in its movement `stream`."""

    position: int
    stream: UUID
    version: int
    event: Event

    @property
    def topic(self) -> str:
        return self.event.TOPIC

    @property
    def at(self) -> datetime:
        return self.event.at

    @property
    def amount_msat(self) -> int | None:
        return amount_msat(self.event)

    @property
    def account(self) -> str:
        # Of an erasure the account is the movement itself.
        erased = isinstance(self.event, AccountErased)
        return str(self.stream) if erased else account_of(self.event)

    @property
    def model(self) -> str:
        return model_of(self.event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What events are looked for by; what is empty finds all."""

    period: Period
    topic: str = ""
    account: str = ""
    model: str = ""
    amount_msat_min: int = 0
    stream: UUID | None = None

    def fit(self, told: Told) -> bool:
        """Tell whether an event bears the marks that only its text tells."""
        return (
            self.topic in {"", told.topic}
            and self.model in {"", told.model}
            and (told.amount_msat or 0) >= self.amount_msat_min
        )


class Found(NamedTuple):
    """A page of events, newest first; `older` is before which position the next begins."""

    events: tuple[Told, ...]
    older: int | None
    counted: int | None
    """How many there are in all, up to one more than are counted; `None` if not known."""


class Log:
    """Reads single events; `position` is the store's column for positions.

    A page reads `examined_max` events at most for marks that no index knows.
    """

    def __init__(
        self,
        position: str,
        decode: Callable[[str, bytes], Event],
        examined_max: int = EXAMINED_MAX,
    ) -> None:
        self._position = position
        self._decode = decode
        self._examined_max = examined_max
        self._select = (
            f"SELECT {position}, originator_id, originator_version, topic, state"  # noqa: S608
            " FROM stored_events"
        )

    def head(self, query: Query) -> int:
        """Return the newest position, 0 for an empty log."""
        found = query(f"SELECT MAX({self._position}) FROM stored_events")  # noqa: S608
        return int(found[0][0] or 0)

    def at(self, query: Query, position: int) -> Told | None:
        """Return the event at `position`, `None` if there is none."""
        found = self._told(query, f"WHERE {self._position} = ?", [position])
        return found[0] if found else None

    def movement(self, query: Query, stream: UUID, limit: int = PAGE) -> list[Told]:
        """Return the first events of a movement, in order."""
        tail = "WHERE originator_id = ? ORDER BY originator_version LIMIT ?"
        return self._told(query, tail, [stream, limit])

    def newest_of(self, query: Query, stream: UUID, limit: int) -> list[Told]:
        """Return the newest events of a movement that has many, newest first."""
        tail = "WHERE originator_id = ? ORDER BY originator_version DESC LIMIT ?"
        return self._told(query, tail, [stream, limit])

    def behind(self, query: Query, position: int, limit: int) -> list[Told]:
        """Return the first `limit` events behind `position`, in order."""
        tail = f"WHERE {self._position} > ? ORDER BY {self._position} LIMIT ?"
        return self._told(query, tail, [position, limit])

    def find(self, query: Query, marks: Marks, before: int | None, size: int = PAGE) -> Found:
        """Return the `size` newest events before the position `before` that bear `marks`.

        Times are found by halving, for a log's times rise as its positions do. A page that
        has looked at its share without filling says where the next must go on.
        """
        first, last = self._bounds(query, marks.period)
        top = last if before is None else min(before, last)
        if marks.stream is not None:
            events = [
                told
                for told in reversed(self.movement(query, marks.stream, size))
                if first <= told.position < top
                and marks.fit(told)
                and marks.account in {"", told.account}
            ]
            return Found(tuple(events), None, len(events))
        if marks.account:
            examined, floor = self._of_account(query, marks, (first, top), size)
        elif self._is_searched(marks):
            bounds = first, min(top, self.head(query) + 1)
            examined, floor = self._window(query, marks, bounds, size)
        else:
            examined, floor = self._newest(query, first, top, size), first
        fitting = [told for told in examined if marks.fit(told)]
        older = floor if floor > first else None
        if len(fitting) > size:
            older = fitting[size - 1].position
        counted = None
        if size == PAGE and not (marks.account or self._is_searched(marks)):
            counted = self._count(query, first, last)
        return Found(tuple(fitting[:size]), older, counted)

    def rates(self, query: Query, events: Sequence[Told]) -> dict[int, str]:
        """Return by position what a bitcoin cost in USD at each of `events`, if it is known.

        The rate that an event names itself, else the newest observed in the log before it.
        """
        positions = [told.position for told in events]
        if not positions:
            return {}
        tail = (
            f"WHERE {self._position} > ? AND {self._position} <= ? AND topic = ?"
            f" ORDER BY {self._position}"
        )
        # Of what lies further back, the follower has told which was the newest.
        first = min(positions)
        bounds = [first - RATES_LOOKED_BACK, max(positions)]
        observed = [(0, rate_before(query, None, first))]
        observed += [
            (told.position, told.event.btc_usd)
            for told in self._told(query, tail, [*bounds, RateObserved.TOPIC])
            if isinstance(told.event, RateObserved)
        ]
        known = {
            told.position: rate_of(told)
            or next((rate for at, rate in reversed(observed) if at <= told.position), "")
            for told in events
        }
        return {position: rate for position, rate in known.items() if rate}

    @staticmethod
    def _is_searched(marks: Marks) -> bool:
        return bool(marks.topic or marks.model or marks.amount_msat_min)

    def _newest(self, query: Query, first: int, top: int, size: int) -> list[Told]:
        tail = (
            f"WHERE {self._position} >= ? AND {self._position} < ?"
            f" ORDER BY {self._position} DESC LIMIT ?"
        )
        return self._told(query, tail, [first, top, size + 1])

    def _window(
        self, query: Query, marks: Marks, bounds: tuple[int, int], size: int
    ) -> tuple[list[Told], int]:
        """Return what may fit, newest first, and down to where it looked."""
        first, top = bounds
        is_read = bool(marks.model or marks.amount_msat_min)
        share = self._examined_max * (1 if is_read else UNREAD_FACTOR)
        floor = max(first, top - share)
        where, values = "", [floor, top]
        topics = (marks.topic,) if marks.topic else PRICED if marks.model else ()
        if topics:
            where = f" AND topic IN ({', '.join('?' * len(topics))})"
        tail = (
            f"WHERE {self._position} >= ? AND {self._position} < ?{where}"
            f" ORDER BY {self._position} DESC LIMIT ?"
        )
        limit = share if is_read else size + 1
        return self._told(query, tail, [*values, *topics, limit]), floor

    def _of_account(
        self, query: Query, marks: Marks, bounds: tuple[int, int], size: int
    ) -> tuple[list[Told], int]:
        """Return the newest events that moved an account's money, and down to where."""
        share = max(size + 1, ACCOUNT_EXAMINED_MAX if self._is_searched(marks) else 0)
        found = _positions(query, accounts_of(marks.account), bounds, share)
        told = [told for told in (self.at(query, position) for position in found) if told]
        return told, found[-1] if len(found) == share else bounds[0]

    def _count(self, query: Query, first: int, last: int) -> int:
        found = query(
            f"SELECT COUNT(*) FROM (SELECT 1 FROM stored_events"  # noqa: S608
            f" WHERE {self._position} >= ? AND {self._position} < ? LIMIT ?) AS counted",
            [first, last, COUNTED_MAX + 1],
        )
        return int(found[0][0])

    def _bounds(self, query: Query, period: Period) -> tuple[int, int]:
        begin, end = period
        first = 0 if begin is None else self._first_since(query, begin)
        return first, POSITION_MAX if end is None else self._first_since(query, end)

    def _first_since(self, query: Query, moment: datetime) -> int:
        """Return the position of the first event at or after `moment`, else behind the last."""

        def behind(position: int) -> tuple[int, datetime] | None:
            found = self.behind(query, position, 1)
            return (found[0].position, found[0].at) if found else None

        return first_since(moment, self.head(query), behind)

    def _told(self, query: Query, tail: str, values: Sequence[Any]) -> list[Told]:
        return [
            Told(position, _uuid(stream), version, self._decode(topic, bytes(state)))
            for position, stream, version, topic, state in query(
                f"{self._select} {tail}", values
            )
        ]


def _positions(
    query: Query, accounts: Sequence[str], bounds: tuple[int, int], limit: int
) -> list[int]:
    """Return the newest positions at which money of `accounts` moved, newest first."""
    found: set[int] = set()
    for account in accounts:
        for side in ("source", "destination"):
            rows = query(
                f"SELECT DISTINCT position FROM journal WHERE {side} = ?"  # noqa: S608
                " AND position >= ? AND position < ? ORDER BY position DESC LIMIT ?",
                [account, *bounds, limit],
            )
            found.update(row[0] for row in rows)
    return sorted(found, reverse=True)[:limit]


def rate_of(told: Told) -> str:
    """Return the rate that an event names itself, empty if it names none."""
    event = told.event
    if isinstance(event, RateObserved):
        return event.btc_usd
    terms = getattr(event, "terms", None)
    return "" if terms is None else str(terms.btc_usd)


def _uuid(stream: str | UUID) -> UUID:
    return stream if isinstance(stream, UUID) else UUID(hex=stream)
