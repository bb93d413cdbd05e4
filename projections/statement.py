"""Statements: every arrow that touches an account, and what the account stood at after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from projections.rates import OF_LINE, observed_in, rate_before

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from domain.event import Entry

Row = tuple[Any, ...]
"""A line of the journal as a store tells it."""

PAGE = 1_000
COLUMNS = f"position, line, at, stream, topic, source, destination, amount_msat, {OF_LINE}"
BEHIND = "position >= ? AND (position > ? OR line > ?) AND position <= ?"


class Line(NamedTuple):
    """One arrow; `balances_msat` are what the statement's accounts stand at after it.

    `btc_usd` is the rate of its event: the one it was priced at, else the newest observed
    until then; empty if there was none yet.
    """

    position: int
    line: int
    at: datetime
    stream: UUID
    topic: str
    source: str
    destination: str
    amount_msat: int
    balances_msat: tuple[int, ...]
    btc_usd: str = ""


class Stand(NamedTuple):
    """What the accounts of a statement stood at, and the newest rate just then, if any."""

    msat: tuple[int, ...]
    btc_usd: str = ""


class Place(NamedTuple):
    """Where a part of a statement ends: `line` of the event at `position`."""

    position: int = 0
    line: int = -1


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a statement, told up to the position `upto` of the log.

    `opening` is what each account stood at before the first of `lines`; `next` is behind
    which place a further part begins, `None` when there is none. `closing_btc_usd` is the
    newest rate where it ends.
    """

    upto: int
    opening: Stand
    lines: tuple[Line, ...]
    next: Place | None
    closing_btc_usd: str = ""

    @property
    def closing(self) -> Stand:
        msat = self.lines[-1].balances_msat if self.lines else self.opening.msat
        return Stand(msat, self.closing_btc_usd)


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
    opening_msat = tuple(
        _opening(query, account, period, upto) + passed_msat(query, account, period, place)
        for account in accounts
    )
    opening = Stand(
        opening_msat,
        _opening_rate(query, period, upto) if after is None else _rate_at(query, place),
    )
    part = _part(query, _Wanted(tuple(accounts), period, upto), place, limit, opening)
    more = part.next
    closes = rate_before(query, period.end, upto) if more is None else _rate_at(query, more)
    return replace(part, closing_btc_usd=closes)


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
            rate = _opening_rate(query, period, told)
            self.closing_btc_usd = rate_before(query, period.end, told)
            self._told_btc_usd = rate_before(query, None, told)
        self.upto = max(head, told)
        self._wanted = _Wanted(tuple(accounts), period, told)
        for position, entry in self._behind():
            at, observed = entry.event.at, observed_in(entry.event)
            if period.end is None or at < period.end:
                self.closing_btc_usd = observed or self.closing_btc_usd
            if period.begin is not None and at < period.begin:
                rate = observed or rate
                for row in journal_lines(position, entry):
                    opening = _after(row, accounts, opening)
        self.opening = Stand(tuple(opening), rate)

    def lines(self) -> Iterator[Line]:
        """Yield the lines in the order of the log."""
        part = Part(self._wanted.upto, self.opening, (), Place())
        while part.next is not None:
            with self._source.snapshot() as query:
                if told_upto(query) < self._wanted.upto:
                    raise NotToldError
                part = _part(query, self._wanted, part.next, self._page, part.closing)
            yield from part.lines
        yield from _with_balances(self._tail(), self._wanted.accounts, part.closing.msat)

    def _tail(self) -> Iterator[Row]:
        accounts, period, _ = self._wanted
        touched, newest = set(accounts), self._told_btc_usd
        for position, entry in self._behind():
            newest = observed_in(entry.event) or newest
            if period.has(entry.event.at):
                for *row, named in journal_lines(position, entry):
                    if touched.intersection(row[5:7]):
                        yield (*row, named or newest)

    def _behind(self) -> Iterator[tuple[int, Entry]]:
        """Yield what the followers have not told yet."""
        for page in self._source.log(self._wanted.upto, self.upto):
            yield from page


class _Wanted(NamedTuple):
    """Which lines a statement is of, and how far the journal tells them."""

    accounts: tuple[str, ...]
    period: Period
    upto: int


def _part(query: Query, wanted: _Wanted, after: Place, limit: int, opening: Stand) -> Part:
    rows = _rows(query, wanted, after, limit + 1)
    lines = tuple(_with_balances(rows[:limit], wanted.accounts, opening.msat))
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


def _opening_rate(query: Query, period: Period, upto: int) -> str:
    """Return the newest rate when `period` begins; there is none before everything."""
    return "" if period.begin is None else rate_before(query, period.begin, upto)


def _rate_at(query: Query, place: Place) -> str:
    return rate_before(query, None, place.position)


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
        topic, source, destination, amount_msat, btc_usd = row[4:]
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
            btc_usd=btc_usd or "",
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
