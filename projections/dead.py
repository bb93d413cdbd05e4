"""Which proofs and tokens are dead: a mint has said so, and need not be asked for a while."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from domain.deposit import Refused
from projections.sheet import Line, Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.event import Entry
    from projections.chart import Source

SPENT = 11001
LASTS = {SPENT: timedelta(days=30)}
LASTS_OTHERWISE = timedelta(days=1)
"""How long a mint's word is taken; that a proof is spent is true for ever, yet rows are not
kept for what nobody presents any more."""


def lines(_position: int, entry: Entry) -> Sequence[Line]:
    """Return a line for each mark of a refusal, with the moment until which it holds."""
    event = entry.event
    if not isinstance(event, Refused):
        return ()
    until = event.at + LASTS.get(event.code, LASTS_OTHERWISE)
    return [(mark, until, event.code) for mark in event.dead]


DEAD = Sheet(
    name="dead",
    columns=(("mark", "text"), ("until", "time"), ("code", "int")),
    key_count=2,
    indexes=(),
    lines=lines,
)


def find_dead(source: Source, marks: Sequence[str], now: datetime) -> int | None:
    """Return the mint's code for the first of `marks` that is dead, `None` if none is."""
    places = ", ".join("?" * len(marks))
    with source.snapshot() as query:
        found = query(
            f"SELECT code FROM dead WHERE mark IN ({places}) AND until > ?"  # noqa: S608
            " ORDER BY code DESC LIMIT 1",
            (*marks, now),
        )
    return int(found[0][0]) if found else None
