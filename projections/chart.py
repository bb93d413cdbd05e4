"""The chart of accounts at any moment: what each account stood at, down to the msat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from domain.posting import postings
from projections.daily import CLIENTS, DAILY, NAMES, WHOLES, names
from projections.journal import JOURNAL
from projections.moments import DAYS_END, day_of, start_of_day
from projections.moments import moment as read_moment
from projections.rates import RATES, observed_in, rate_before

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from projections.moments import Period

Query = Callable[..., list[tuple[Any, ...]]]
"""`query(statement, values)` on one consistent view, places marked by question marks."""

DAY = timedelta(days=1)
BY_SIDE = (("source", -1), ("destination", 1))


class NotToldError(Exception):
    """The journal is being made anew just now; ask again in a while."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class Source(Protocol):
    """What the books are read from."""

    def head(self) -> int:
        """Return the newest position of the log."""

    def log(self, after: int = 0, upto: int | None = None) -> Iterator[Any]:
        """Yield pages of (position, entry), in order."""

    def snapshot(self) -> AbstractContextManager[Query]:
        """Open one consistent view of the followers' tables."""


def told_upto(query: Query) -> int:
    """Return the position up to which the journal, the rates and the daily sums tell the log.

    Raises `NotToldError` while one of them is made anew.
    """
    names = (JOURNAL.name, RATES.name, DAILY.name)
    found: dict[str, int] = dict(
        query("SELECT name, position FROM follower WHERE name IN (?, ?, ?)", names)
    )
    journal, rates, daily = (found.get(name, 0) for name in names)
    # A day's sums cannot be cut at a position, so that it is theirs that counts.
    if journal < daily or rates < daily:
        raise NotToldError
    return daily


def balance_msat(query: Query, account: str, moment: datetime | None, upto: int) -> int:
    """Return what `account` stood at just before `moment`, at the position `upto`.

    The days before are sums already; of the day of `moment` the lines are added up.
    """
    until, values = _until(moment)
    whole = query(
        f"SELECT SUM(in_msat - out_msat) FROM daily WHERE account = ?{until}",  # noqa: S608
        (account, *values),
    )[0][0]
    if moment is None or start_of_day(moment) == moment:
        return int(whole or 0)
    part = 0
    for first, last in query(
        "SELECT first_position, last_position FROM daily WHERE account = ? AND day = ?",
        (account, day_of(moment)),
    ):
        for side, sign in BY_SIDE:
            found = query(
                f"SELECT SUM(amount_msat) FROM journal WHERE {side} = ?"  # noqa: S608
                " AND position BETWEEN ? AND ? AND at >= ? AND at < ?",
                (account, first, min(last, upto), start_of_day(moment), moment),
            )
            part += sign * int(found[0][0] or 0)
    return int(whole or 0) + part


def passed_msat(query: Query, account: str, period: Period, place: tuple[int, int]) -> int:
    """Return what the lines of `period` up to `place`, a position and a line, add to `account`.

    Days that lie whole in both are sums already; of the few others the lines are added up.
    """
    passed, (begin, end), (position, _) = 0, period, place
    for day, added_msat, first, last in query(
        "SELECT day, in_msat - out_msat, first_position, last_position FROM daily"
        " WHERE account = ? AND first_position <= ? AND day >= ? AND day <= ?",
        (account, position, day_of(begin) if begin else "", day_of(end) if end else DAYS_END),
    ):
        opens = read_moment(day)
        closes = opens + DAY
        if last < position and (begin or opens) <= opens and closes <= (end or closes):
            passed += int(added_msat)
            continue
        bounds = max(begin or opens, opens), min(end or closes, closes)
        for side, sign in BY_SIDE:
            found = query(
                f"SELECT SUM(amount_msat) FROM journal WHERE {side} = ?"  # noqa: S608
                " AND position BETWEEN ? AND ? AND (position < ? OR line <= ?)"
                " AND at >= ? AND at < ?",
                (account, first, min(last, position), *place, *bounds),
            )
            passed += sign * int(found[0][0] or 0)
    return passed


def chart_msat(query: Query, moment: datetime | None, upto: int) -> dict[str, int]:
    """Return what every account stood at just before `moment`, at the position `upto`."""
    balances: dict[str, int] = defaultdict(int)
    until, values = _until(moment)
    marks = ", ".join("?" * len(WHOLES))
    for account, amount in query(
        f"SELECT account, SUM(in_msat - out_msat) FROM daily WHERE account NOT IN ({marks})"  # noqa: S608
        f"{until} GROUP BY account",
        (*WHOLES, *values),
    ):
        balances[account] += int(amount)
    if moment is None or start_of_day(moment) == moment:
        return balances
    first, last = query(
        "SELECT MIN(first_position), MAX(last_position) FROM daily WHERE day = ?",
        (day_of(moment),),
    )[0]
    for side, sign in BY_SIDE if first is not None else ():
        for account, amount in query(
            f"SELECT {side}, SUM(amount_msat) FROM journal"  # noqa: S608
            f" WHERE position BETWEEN ? AND ? AND at >= ? AND at < ? GROUP BY {side}",
            (first, min(last, upto), start_of_day(moment), moment),
        ):
            balances[account] += sign * int(amount)
    return balances


def read_chart(source: Source, moment: datetime | None) -> tuple[int, dict[str, int]]:
    """Return the log's newest position and what every account stood at before `moment`.

    What the followers have not told yet is read from the log. Raises `NotToldError`.
    """
    head = source.head()
    with source.snapshot() as query:
        upto = told_upto(query)
        balances = chart_msat(query, moment, upto)
    for page in source.log(upto, max(head, upto)):
        for _, entry in page:
            if moment is None or entry.event.at < moment:
                for arrow in postings(entry.event):
                    balances[arrow.source] -= arrow.amount_msat
                    balances[arrow.destination] += arrow.amount_msat
    return max(head, upto), {name: msat for name, msat in sorted(balances.items()) if msat}


def read_rate(source: Source, moment: datetime | None, position: int) -> str:
    """Return the newest rate observed before `moment`, in the log up to `position`.

    Empty if there was none yet. Raises `NotToldError`.
    """
    with source.snapshot() as query:
        upto = min(told_upto(query), position)
        rate = rate_before(query, moment, upto)
    for page in source.log(upto, position):
        for _, entry in page:
            if moment is None or entry.event.at < moment:
                rate = observed_in(entry.event) or rate
    return rate


def read_totals(source: Source) -> dict[str, int]:
    """Return what the house's accounts and each mint stand at, and all clients together.

    The name of all clients' accounts of a kind has a star for the id. However many clients
    there are, as many rows are read. Raises `NotToldError`.
    """
    head = source.head()
    balances: dict[str, int] = defaultdict(int)
    with source.snapshot() as query:
        upto = told_upto(query)
        wanted = [*CLIENTS, *(name for (name,) in query(NAMES))]
        marks = ", ".join("?" * len(wanted))
        for account, amount in query(
            "SELECT account, SUM(in_msat - out_msat) FROM daily"  # noqa: S608
            f" WHERE account IN ({marks}) GROUP BY account",
            wanted,
        ):
            balances[account] += int(amount)
    for page in source.log(upto, max(head, upto)):
        for _, entry in page:
            for arrow in postings(entry.event):
                for name in names(arrow.source):
                    balances[name] -= arrow.amount_msat
                for name in names(arrow.destination):
                    balances[name] += arrow.amount_msat
    return {
        name: balance_msat
        for name, balance_msat in balances.items()
        if name in WHOLES or not name.startswith("client:")
    }


def account_msat(source: Source, account: str, position: int) -> int:
    """Return what `account` stands at just at `position` of the log.

    Raises `NotToldError`.
    """
    with source.snapshot() as query:
        upto = told_upto(query)
        stands_msat = balance_msat(query, account, None, upto)
    # The followers may have told less by now than is asked for, or more.
    sign = 1 if upto < position else -1
    for page in source.log(min(upto, position), max(upto, position)):
        for _, entry in page:
            for arrow in postings(entry.event):
                moved = (arrow.destination == account) - (arrow.source == account)
                stands_msat += sign * moved * arrow.amount_msat
    return stands_msat


def _until(moment: datetime | None) -> tuple[str, Sequence[Any]]:
    return ("", ()) if moment is None else (" AND day < ?", (day_of(moment),))
