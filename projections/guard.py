"""The guard rows worked out from the log alone, and compared with those that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.event import Entry
    from domain.guards import GuardRows, Table

TABLES = (
    "accounts",
    "holds",
    "keys",
    "movements",
    "keysets",
    "proofs",
    "rates",
    "reconciled",
    "providers",
    "operators",
    "settings",
    "ys",
    "exposures",
)


def fold(rows: GuardRows, entries: Iterable[Entry]) -> None:
    """Let `rows` follow `entries`; raises `LedgerBrokenError` at an impossible one."""
    for stream, version, event in entries:
        event.apply(rows, stream, version)


def settle(rows: GuardRows) -> GuardRows:
    """Mark exactly the rows there are as changed, so that a store writes these."""
    for name in TABLES:
        table: Table[object, object] = getattr(rows, name)
        table.changed = set(table.rows)
    return rows


def keep(rows: GuardRows) -> None:
    """Mark every row as unchanged, once a store has written those that were."""
    for name in TABLES:
        table: Table[object, object] = getattr(rows, name)
        table.changed.clear()


def differences(log: GuardRows, kept: GuardRows) -> Iterator[str]:
    """Yield a line for each row in which the `kept` tables and the `log` disagree."""
    for name in TABLES:
        expected: dict[Any, object] = getattr(log, name).rows
        actual: dict[Any, object] = getattr(kept, name).rows
        keys = expected.keys() | actual.keys()
        for key in sorted(key for key in keys if expected.get(key) != actual.get(key)):
            says, has = expected.get(key), actual.get(key)
            yield f"{name} {key}: the log says {says}, the guard row has {has}"
