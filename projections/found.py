"""What mints have signed for us and the log cannot explain, for those who reconcile."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.keyset import KeysetAdvanced
from projections.sheet import Line, Sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.event import Entry


class Found(NamedTuple):
    """Counters of a keyset that were passed over, and what of them was unspent at `at`."""

    at: datetime
    mint: str
    unit: str
    keyset_id: str
    counter_from: int
    counter_to: int
    signed_count: int
    unspent_msat: int


def lines(position: int, entry: Entry) -> Sequence[Line]:
    event = entry.event
    if not isinstance(event, KeysetAdvanced):
        return ()
    found = Found(
        event.at,
        event.mint,
        event.unit,
        event.keyset_id,
        event.counter_from,
        event.counter_to,
        event.signed_count,
        event.unspent_msat,
    )
    return [(position, *found)]


FOUND = Sheet(
    name="found",
    columns=(
        ("position", "int"),
        ("at", "time"),
        ("mint", "text"),
        ("unit", "text"),
        ("keyset_id", "text"),
        ("counter_from", "int"),
        ("counter_to", "int"),
        ("signed_count", "int"),
        ("unspent_msat", "int"),
    ),
    key_count=1,
    indexes=(),
    lines=lines,
)


def read_found(query: Callable[..., list[tuple[Any, ...]]]) -> list[Found]:
    """Return all that was found, oldest first."""
    columns = ", ".join(Found._fields)
    rows = query(f"SELECT {columns} FROM found ORDER BY position")  # noqa: S608
    return [Found(_moment(at), *rest) for at, *rest in rows]


def _moment(at: str | datetime) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else at
