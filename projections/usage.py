"""What was used of each model a day, by account and by the whole house."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from domain.hold import Charged, counting
from projections.sheet import Line, Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.event import Entry
    from projections.chart import Query

HOUSE = UUID(int=0)
"""No account: under this id stands what all accounts together used."""

AMOUNTS = (
    "requests",
    "estimated",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "images",
    "web_searches",
    "cost_msat",
    "shortfall_msat",
)
"""What is counted: `estimated` are those requests whose upstream named no usage."""


def lines(_position: int, entry: Entry) -> Sequence[Line]:
    """Return what a charge adds to the lines of its account, a child's key and the house."""
    event = entry.event
    if not isinstance(event, Charged):
        return ()
    day, used = event.at.astimezone(UTC).date().isoformat(), event.usage
    amounts = (
        1,
        int(used.estimated),
        used.prompt_tokens,
        used.completion_tokens,
        used.cached_tokens,
        used.reasoning_tokens,
        used.images,
        used.web_searches,
        event.cost_msat,
        event.shortfall_msat,
    )
    owners = (*(counting(event.account_id, event.key_id) or (event.account_id,)), HOUSE)
    return [(owner, day, event.terms.model, *amounts) for owner in owners]


USAGE = Sheet(
    name="usage",
    columns=(
        ("account_id", "uuid"),
        ("day", "text"),
        ("model", "text"),
        *((name, "int") for name in AMOUNTS),
    ),
    key_count=3,
    indexes=(),
    lines=lines,
    added=AMOUNTS,
)


class Used(NamedTuple):
    """What was used of `model` on `day`; either is empty where it was added up over."""

    day: str
    model: str
    amounts: dict[str, int]


def read_usage(
    query: Query, account_id: UUID, days: tuple[str, str], by: Sequence[str], limit: int
) -> list[Used]:
    """Return at most `limit` lines of what `account_id` used, `HOUSE` for everybody.

    From the first of `days` to before the other; `by` are those of "day" and "model" that
    have lines of their own.
    """
    kept = [name for name in ("day", "model") if name in by]
    sums = ", ".join(f"SUM({name})" for name in AMOUNTS)
    rows = query(
        f"SELECT {', '.join([*kept, sums])} FROM usage"  # noqa: S608
        " WHERE account_id = ? AND day >= ? AND day < ?"
        + (f" GROUP BY {', '.join(kept)} ORDER BY {', '.join(kept)}" if kept else "")
        + " LIMIT ?",
        (account_id, *days, limit),
    )
    return [_used(dict(zip((*kept, *AMOUNTS), row, strict=True))) for row in rows]


def read_total(query: Query, account_id: UUID) -> tuple[int, int]:
    """Return how many requests `account_id` has ever made, and what it has paid, in msat."""
    found = query(
        "SELECT SUM(requests), SUM(cost_msat - shortfall_msat) FROM usage WHERE account_id = ?",
        (account_id,),
    )
    requests, paid_msat = found[0]
    return int(requests or 0), int(paid_msat or 0)


def _used(row: dict[str, Any]) -> Used:
    amounts = {name: int(row[name] or 0) for name in AMOUNTS}
    return Used(row.get("day", ""), row.get("model", ""), amounts)
