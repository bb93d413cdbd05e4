"""Statements: every arrow that touches an account, and what the account stood at after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from domain.posting import available, held
from projections.chart import (
    BY_SIDE,
    NotToldError,
    Query,
    Source,
    balance_msat,
    passed_msat,
    told_upto,
)
from projections.journal import lines as journal_lines
from projections.moments import DAYS_END, Period, day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Row = tuple[Any, ...]
"""A line of the journal as a store tells it."""

PAGE = 1_000
COLUMNS = "position, line, at, stream, topic, source, destination, amount_msat"
BEHIND = "position >= ? AND (position > ? OR line > ?) AND position <= ?"


class Line(NamedTuple):
    """One arrow; `balances_msat` are what the statement's accounts stand at after it."""

    position: int
    line: int
    at: datetime
    stream: UUID
    topic: str
    source: str
    destination: str
    amount_msat: int
    balances_msat: tuple[int, ...]


class Place(NamedTuple):
    """Where a part of a statement ends: `line` of the event at `position`."""

    position: int = 0
    line: int = -1


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a statement, told up to the position `upto` of the log.

    `opening_msat` is what each account stood at before the first of `lines`; `next` is
    behind which place a further part begins, `None` when there is none.
    """

    upto: int
    opening_msat: tuple[int, ...]
    lines: tuple[Line, ...]
    next: Place | None

    @property
    def closing_msat(self) -> tuple[int, ...]:
        return self.lines[-1].balances_msat if self.lines else self.opening_msat


def accounts_of(name: str) -> tuple[str, ...]:
    """Return the accounts that `name` means: a client's id means both that it has.

    >>> accounts_of("house:earned")
    ('house:earned',)
    """
    try:
        client = UUID(name)
    except ValueError:
        return (name,)
    return available(client), held(client)


def read_part(
    query: Query,
    accounts: Sequence[str],
    period: Period,
    after: Place | None = None,
    limit: int = PAGE,
) -> Part:
    """Return at most `limit` lines of `accounts` in `period`, those behind `after`.

    Raises `NotToldError` while the journal is made anew.
    """
    upto = told_upto(query)
    place = after or Place()
    opening = tuple(
        _opening(query, account, period, upto) + passed_msat(query, account, period, place)
        for account in accounts
    )
    return _part(query, _Wanted(tuple(accounts), period, upto), place, limit, opening)


class Statement:
    """The whole statement of `accounts`, read part by part in bounded memory.

    It is complete up to `upto`, the head of the log when it was begun: what the journal
    has not told yet is read from the log. Raises `NotToldError`.
    """

    def __init__(
        self, source: Source, accounts: Sequence[str], period: Period, page: int = PAGE
    ) -> None:
        self._source = source
        self._page = page
        head = source.head()
        with source.snapshot() as query:
            told = told_upto(query)
            opening = [_opening(query, account, period, told) for account in accounts]
        self.upto = max(head, told)
        self._wanted = _Wanted(tuple(accounts), period, told)
        if period.begin is not None:
            for row in self._tail(Period(None, period.begin)):
                opening = _after(row, accounts, opening)
        self.opening_msat = tuple(opening)

    def lines(self) -> Iterator[Line]:
        """Yield the lines in the order of the log."""
        part = Part(self._wanted.upto, self.opening_msat, (), Place())
        while part.next is not None:
            with self._source.snapshot() as query:
                if told_upto(query) < self._wanted.upto:
                    raise NotToldError
                part = _part(query, self._wanted, part.next, self._page, part.closing_msat)
            yield from part.lines
        rows = self._tail(self._wanted.period)
        yield from _with_balances(rows, self._wanted.accounts, part.closing_msat)

    def _tail(self, period: Period) -> Iterator[Row]:
        touched = set(self._wanted.accounts)
        for page in self._source.log(self._wanted.upto, self.upto):
            for position, entry in page:
                if period.has(entry.event.at):
                    rows = journal_lines(position, entry)
                    yield from (row for row in rows if touched.intersection(row[5:7]))


class _Wanted(NamedTuple):
    """Which lines a statement is of, and how far the journal tells them."""

    accounts: tuple[str, ...]
    period: Period
    upto: int


def _part(
    query: Query, wanted: _Wanted, after: Place, limit: int, opening: tuple[int, ...]
) -> Part:
    rows = _rows(query, wanted, after, limit + 1)
    lines = tuple(_with_balances(rows[:limit], wanted.accounts, opening))
    more = len(rows) > limit
    place = Place(lines[-1].position, lines[-1].line) if more else None
    return Part(wanted.upto, opening, lines, place)


def _rows(query: Query, wanted: _Wanted, after: Place, limit: int) -> list[Row]:
    accounts, period, upto = wanted
    first, last = _span(query, accounts, period, upto)
    within, bounds = _within(period)
    branches: list[str] = []
    values: list[Any] = []
    for account in accounts:
        # A branch for each index, and each reads no more lines than are wanted in all.
        for side, _ in BY_SIDE:
            branches.append(
                f"SELECT * FROM (SELECT {COLUMNS} FROM journal WHERE {side} = ?"  # noqa: S608
                f" AND {BEHIND}{within} ORDER BY position, line LIMIT ?) AS {side}"
            )
            from_position = max(first, after.position)
            values += [account, from_position, after.position, after.line, last]
            values += [*bounds, limit]
    # An arrow between two of the accounts comes from both sides: UNION tells it once.
    statement = f"{' UNION '.join(branches)} ORDER BY position, line LIMIT ?"
    return query(statement, [*values, limit])


def _span(query: Query, accounts: Sequence[str], period: Period, upto: int) -> tuple[int, int]:
    """Return the first and the last position that a line of `period` can have, up to `upto`."""
    begin, end = period
    marks = ", ".join("?" * len(accounts))
    first, last = query(
        "SELECT MIN(first_position), MAX(last_position) FROM daily"  # noqa: S608
        f" WHERE account IN ({marks}) AND day >= ? AND day <= ?",
        [*accounts, day_of(begin) if begin else "", day_of(end) if end else DAYS_END],
    )[0]
    return (upto + 1, upto) if first is None else (first, min(last, upto))


def _opening(query: Query, account: str, period: Period, upto: int) -> int:
    return 0 if period.begin is None else balance_msat(query, account, period.begin, upto)


def _within(period: Period) -> tuple[str, list[datetime]]:
    begin, end = period
    text = (" AND at >= ?" if begin else "") + (" AND at < ?" if end else "")
    return text, [bound for bound in period if bound is not None]


def _with_balances(
    rows: Iterable[Row], accounts: Sequence[str], opening: Sequence[int]
) -> Iterator[Line]:
    balances = list(opening)
    for row in rows:
        balances = _after(row, accounts, balances)
        position, line, at, stream = row[:4]
        topic, source, destination, amount_msat = row[4:]
        yield Line(
            position=position,
            line=line,
            at=moment_of(at),
            stream=uuid_of(stream),
            topic=topic,
            source=source,
            destination=destination,
            amount_msat=amount_msat,
            balances_msat=tuple(balances),
        )


def _after(row: Row, accounts: Sequence[str], balances: Sequence[int]) -> list[int]:
    source, destination, amount_msat = row[5:8]
    return [
        balance + amount_msat * ((account == destination) - (account == source))
        for account, balance in zip(accounts, balances, strict=True)
    ]


def moment_of(at: str | datetime) -> datetime:
    return (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(UTC)


def uuid_of(stream: str | UUID) -> UUID:
    return UUID(stream) if isinstance(stream, str) else stream
