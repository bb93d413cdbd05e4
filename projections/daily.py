"""The daily roll-up: what each account, and each kind of account, took in and gave a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.posting import postings
from projections.moments import day_of
from projections.sheet import Line, Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.event import Entry

CLIENTS = ("client:*:available", "client:*:held")
WHOLES = (*CLIENTS, "mint:*")
"""The kinds of account that there are many of: each has lines of its own, for all of them."""
NO_CLIENT = "substr(account, 1, 7) <> 'client:'"
"""Which lines are of no client, in SQL: few of very many, found by an index of their own."""
NAMES = (
    "WITH RECURSIVE found (name) AS ("  # noqa: S608
    f"SELECT MIN(account) FROM daily WHERE {NO_CLIENT} UNION ALL"
    f" SELECT (SELECT MIN(account) FROM daily WHERE {NO_CLIENT} AND account > name)"
    " FROM found WHERE name IS NOT NULL) SELECT name FROM found WHERE name IS NOT NULL"
)
"""Asks for the names of all accounts that are no client's, from one to the next of them.

PostgreSQL reads the whole table for what SELECT DISTINCT says of the same.
"""


def names(account: str) -> tuple[str, ...]:
    """Return under which names `account` is rolled up: its own, and that of its kind.

    >>> names("house:earned"), names("mint:https://m.example")
    (('house:earned',), ('mint:https://m.example', 'mint:*'))
    """
    kind, _, rest = account.partition(":")
    if kind == "client":
        return account, f"client:*:{rest.rpartition(':')[2]}"
    return (account, "mint:*") if kind == "mint" else (account,)


def lines(position: int, entry: Entry) -> Sequence[Line]:
    """Return a line for either side of an arrow; they are added up by day."""
    arrows = postings(entry.event)
    if not arrows:
        return ()
    day = day_of(entry.event.at)
    told: list[Line] = []
    for source, destination, amount_msat in arrows:
        told.append((source, day, 0, amount_msat, 1, position, position))
        told.append((destination, day, amount_msat, 0, 1, position, position))
    return told


def wholes(line: Line) -> Sequence[Line]:
    """Return the line of all accounts of a kind that one account's line adds to."""
    account, *rest = line
    return [(name, *rest) for name in names(account)[1:]]


DAILY = Sheet(
    name="daily",
    columns=(
        ("account", "text"),
        ("day", "text"),
        ("in_msat", "int"),
        ("out_msat", "int"),
        ("lines", "int"),
        ("first_position", "int"),
        ("last_position", "int"),
    ),
    key_count=2,
    indexes=(
        ("daily_day", "(day, account)"),
        ("daily_house", f"(account, day) WHERE {NO_CLIENT}"),
    ),
    lines=lines,
    added=("in_msat", "out_msat", "lines"),
    newest=("last_position",),
    wholes=wholes,
)
