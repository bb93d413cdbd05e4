"""An account's history: what came in and went out of it, newest first, with running balance."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.posting import available, held, mint
from projections.chart import Query, passed_msat, told_upto
from projections.moments import Period
from projections.statement import moment_of, uuid_of

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

LINES_PER_EVENT = 4
"""More arrows than this no event has between one account and the rest of the world."""

COLUMNS = "position, line, at, stream, topic, source, destination, amount_msat"
MINT = mint("")


class Change(NamedTuple):
    """What one event has added to an account, or taken from it if `change_msat` is below 0.

    `balance_msat` is what was available and held together after it; `mint` where the money
    came from or went to, if it was a mint.
    """

    position: int
    at: datetime
    stream: UUID
    topic: str
    change_msat: int
    balance_msat: int
    mint: str


def read_history(
    query: Query, account_id: UUID, before: int | None, limit: int
) -> tuple[list[Change], int | None]:
    """Return at most `limit` changes before the position `before`, and where older ones begin.

    What moves between what is available and what is held is no change. Raises
    `NotToldError` while the journal is made anew.
    """
    upto = told_upto(query)
    end = upto + 1 if before is None else min(before, upto + 1)
    free, kept = available(account_id), held(account_id)
    place = (end, -1)
    total = sum(passed_msat(query, name, Period(), place) for name in (free, kept))
    found: list[Change] = []
    for _, rows in groupby(_rows(query, free, kept, end, limit), key=lambda row: row[0]):
        lines = list(rows)
        change = sum(_signed(line, free, kept) for line in lines)
        found.append(_change(lines, change, total))
        total -= change
    older = found[limit - 1].position if len(found) > limit else None
    return found[:limit], older


def _rows(query: Query, free: str, kept: str, end: int, limit: int) -> list[Any]:
    """Return the newest lines before `end` that touch the account on one side only.

    Each branch reads as many as `limit` events and one more can have, so that none of
    those is cut.
    """
    branches: list[str] = []
    values: list[Any] = []
    for side, other in (("source", "destination"), ("destination", "source")):
        for name, twin in ((free, kept), (kept, free)):
            branches.append(
                f"SELECT * FROM (SELECT {COLUMNS} FROM journal WHERE {side} = ?"  # noqa: S608
                f" AND {other} <> ? AND position < ? ORDER BY position DESC LIMIT ?)"
                f" AS b{len(branches)}"
            )
            values += [name, twin, end, LINES_PER_EVENT * (limit + 1)]
    statement = f"{' UNION ALL '.join(branches)} ORDER BY position DESC, line"
    return query(statement, values)


def _signed(row: Any, free: str, kept: str) -> int:
    return int(-row[7] if row[5] in {free, kept} else row[7])


def _change(lines: list[Any], change_msat: int, balance_msat: int) -> Change:
    position, _, at, stream, topic = lines[0][:5]
    ends = [end for line in lines for end in line[5:7] if end.startswith(MINT)]
    return Change(
        position=position,
        at=moment_of(at),
        stream=uuid_of(stream),
        topic=topic,
        change_msat=change_msat,
        balance_msat=balance_msat,
        mint=ends[0].removeprefix(MINT) if ends else "",
    )
