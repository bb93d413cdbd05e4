"""What was found on Nostr, and what relays say of our listing: rows made anew at any time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from app.store.opening import Store

PROVIDERS, RELAYS, LISTED = "provider", "relay", "listed"
WRITE = (
    "INSERT INTO nostr_row (room, name, place, document, more, at) VALUES (?, ?, ?, ?, ?, ?)"
)
READ = "SELECT name, document, more, at FROM nostr_row WHERE room = ? ORDER BY place, name"


class NostrRow(NamedTuple):
    """One row: two JSON texts, the second for whoever wants `more`, and when it was written."""

    name: str
    document: str
    more: str
    at: datetime


class NostrRows:
    """Reads and writes the rows; a room is written as a whole, so that what is gone is gone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def replace(self, room: str, rows: Iterable[tuple[str, str, str]]) -> None:
        """Write what a room now holds, in this order: names, documents and more of them."""
        at = datetime.now(UTC)
        with self._store.transaction() as query:
            query("DELETE FROM nostr_row WHERE room = ?", [room])
            for place, (name, document, more) in enumerate(rows):
                query(WRITE, [room, name, place, document, more, at])

    def all(self, room: str) -> list[NostrRow]:
        """Return what a room holds, in its order."""
        with self._store.snapshot() as query:
            return read(room)(query)


def read(room: str) -> Callable[[Callable[..., list[tuple[Any, ...]]]], list[NostrRow]]:
    """Return what reads a room on a view of the store that is already open."""

    def rows(query: Callable[..., list[tuple[Any, ...]]]) -> list[NostrRow]:
        return [
            NostrRow(
                name, document, more, datetime.fromisoformat(at) if isinstance(at, str) else at
            )
            for name, document, more, at in query(READ, [room])
        ]

    return rows
