"""The tables that follow the log: their indexes, how lines are added, how far each has read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.store.shape import create_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from projections.sheet import Line, Sheet

FOLLOWER = create_table(
    "follower", (("name", "text"), ("position", "int")), 1, {"text": "TEXT", "int": "BIGINT"}
)
"""How far each follower of the log has read."""

FOLLOWS = "INSERT INTO follower (name, position) VALUES (?, 0) ON CONFLICT DO NOTHING"
FOLLOWED = "UPDATE follower SET position = ? WHERE name = ? AND position = ?"
"""Changes no row when another process has told the same page meanwhile."""


def create_indexes(sheet: Sheet) -> dict[str, str]:
    """Return the statements that make the indexes of a sheet, by the names of these."""
    return {
        name: f"CREATE INDEX IF NOT EXISTS {name} ON {sheet.name} {what}"
        for name, what in sheet.indexes
    }


def create_sheets(sheets: Iterable[Sheet], types: dict[str, str]) -> Iterator[str]:
    """Yield the statements that make all tables that follow the log."""
    yield FOLLOWER
    for sheet in sheets:
        yield create_table(sheet.name, sheet.columns, sheet.key_count, types)
        yield from create_indexes(sheet).values()


def write_lines(sheet: Sheet, source: str = "") -> str:
    """Return the statement that adds lines to a table: those `source` (SQL) yields, or one."""
    columns = [name for name, _ in sheet.columns]
    source = source or f"VALUES ({', '.join('?' * len(columns))})"
    keys = ", ".join(columns[: sheet.key_count])
    changes = [f"{name} = {sheet.name}.{name} + excluded.{name}" for name in sheet.added]
    changes += [f"{name} = excluded.{name}" for name in sheet.newest]
    again = f"DO UPDATE SET {', '.join(changes)}" if changes else "DO NOTHING"
    return (
        f"INSERT INTO {sheet.name} ({', '.join(columns)}) {source} ON CONFLICT ({keys}) {again}"
    )


def spelled(sheet: Sheet, lines: Sequence[Line]) -> Iterator[tuple[Any, ...]]:
    """Return lines with identifiers and times as SQLite keeps them, column by column."""
    columns: list[Sequence[Any]] = list(zip(*lines, strict=True))
    for place, (_, kind) in enumerate(sheet.columns if lines else ()):
        if kind == "uuid":
            columns[place] = [identity.hex for identity in columns[place]]
        elif kind == "time":
            columns[place] = [moment.isoformat() for moment in columns[place]]
    return zip(*columns, strict=True)
