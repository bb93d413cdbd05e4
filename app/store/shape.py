"""The shape of a table that is told from the log, and the SQL that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.guards import GuardRows, Table

Columns = tuple[tuple[str, str], ...]

SQLITE_TYPES = {"uuid": "TEXT", "text": "TEXT", "int": "INTEGER", "time": "TEXT"}
POSTGRES_TYPES = {"uuid": "uuid", "text": "text", "int": "bigint", "time": "timestamptz"}
AMOUNTS_NEVER_NEGATIVE = (
    "available_msat",
    "held_msat",
    "amount_msat",
    "next_counter",
    "unswapped_msat",
    "lost_msat",
    "spent_msat",
    "total_msat",
)
MAY_BE_UNKNOWN = (
    "movement_id",
    "password_id",
    "key_id",
    "parent_id",
    "salt",
    "limit_msat",
    "valid_until",
    "expires_at",
    "set_to",
)


@dataclass(frozen=True)
class GuardTable:
    """One guard table: `columns` are (name, kind) pairs, the first `key_count` its key.

    `flatten(key, row)` gives a row's values in the order of the columns, with identifiers
    and times as text (SQLite); `build(values)` is its inverse for both engines. What makes
    its identifiers may be handed to it, `build(values, identify)`.
    """

    name: str
    attribute: str
    key_count: int
    columns: Columns
    flatten: Callable[[Any, Any], tuple[Any, ...]]
    build: Callable[..., tuple[Any, Any]]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns[: self.key_count])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)

    def of(self, rows: GuardRows) -> Table[Any, Any]:
        table: Table[Any, Any] = getattr(rows, self.attribute)
        return table

    def create(self, types: dict[str, str]) -> str:
        return create_table(self.name, self.columns, self.key_count, types)

    def upsert(self, source: str) -> str:
        """Return the statement that writes the rows that `source` (SQL) yields."""
        values = ", ".join(f"{name} = excluded.{name}" for name in self.names[self.key_count :])
        return (
            f"INSERT INTO {self.name} ({', '.join(self.names)}) {source}"
            f" ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET {values}"
        )

    def delete(self, mark: str) -> str:
        return f"DELETE FROM {self.name} WHERE {self.where(mark)}"

    def where(self, mark: str) -> str:
        return " AND ".join(f"{name} = {mark}" for name in self.keys)

    def select(self) -> str:
        return f"SELECT {', '.join(self.names)} FROM {self.name}"


def create_table(name: str, columns: Columns, key_count: int, types: dict[str, str]) -> str:
    """Return the statement that makes a table whose first `key_count` columns are its key."""
    parts = [f"{column} {types[kind]} {_rule(column)}" for column, kind in columns]
    keys = ", ".join(column for column, _ in columns[:key_count])
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(parts)}, PRIMARY KEY ({keys}))"


def _rule(name: str) -> str:
    if name in AMOUNTS_NEVER_NEGATIVE:
        return f"NOT NULL CHECK ({name} >= 0)"
    return "" if name in MAY_BE_UNKNOWN else "NOT NULL"


class Identities(dict[str, UUID]):
    """Identifiers by their hex; each is made once, and those of commands are not made at all.

    Making one takes longer than reading the row it stands in; and an identifier that is the
    very object of the command is found in a dict without being compared.
    """

    def __missing__(self, text: str) -> UUID:
        made = self[text] = UUID(hex=text)
        return made
