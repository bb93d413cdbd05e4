"""What is sealed, as a store keeps it: the log's raw events, pages, tiles and checkpoints."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from app.store.sheet_tables import FOLLOWED, FOLLOWS
from domain.errors import LedgerBrokenError
from projections.chain import Stored
from projections.tiles import EMPTY, TILE_SIZE, Page, Tile, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.store.opening import Store
    from app.store.reads import Query

FOLLOWER = "seal"
EVENTS_MAX = 8_192
LOWEST = -(1 << 63)
PAGES_MAX = 64
CHECKPOINTS_MAX = 1_000

UPSERT_PAGE = (
    "INSERT INTO sealed_page (number, last_position, before, positions, leaves)"
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET"
    " last_position = excluded.last_position, before = excluded.before,"
    " positions = excluded.positions, leaves = excluded.leaves"
)
UPSERT_TILE = (
    "INSERT INTO tree_tile (level, number, hashes) VALUES (?, ?, ?)"
    " ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes"
)
PAGE = "SELECT number, before, positions, leaves FROM sealed_page"
SIGNED = "SELECT size, position, root, note, at FROM checkpoint"


class Signed(NamedTuple):
    """A checkpoint that was signed: the first `size` events, the last one at `position`."""

    size: int
    position: int
    root: bytes
    note: str
    at: datetime


class Seals:
    """Reads and writes the tables of what is sealed; reads may come from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # SQLite refuses to hand out text that is damaged: as bytes it can at least be named.
        text = "CAST({} AS BLOB)" if store.engine == "sqlite" else "{}"
        select = (
            f"SELECT {store.position}, {text.format('originator_id')}, originator_version,"
            f" {text.format('topic')}, state FROM stored_events"
        )
        self._events = (
            f"{select} WHERE {store.position} > ? ORDER BY {store.position} LIMIT {EVENTS_MAX}"
        )
        self._newest = (
            f"{select} WHERE originator_id = ? ORDER BY originator_version DESC LIMIT 1"
        )

    def events(self, after: int = LOWEST) -> Iterator[list[Stored]]:
        """Yield the log behind the position `after` as it is stored, in pages, in order.

        By default also what was slipped in before position 1, where nobody else looks.
        Raises `LedgerBrokenError` naming the position of a row that cannot be an event.
        """
        while rows := self._rows(self._events, after):
            yield [_stored(row) for row in rows]
            after = rows[-1][0]

    def newest_of(self, stream: UUID) -> Stored | None:
        """Return a movement's newest event as it is stored, `None` if it never began."""
        found = self._rows(self._newest, stream)
        return _stored(found[0]) if found else None

    def newest_page(self) -> Page:
        """Return the last page, full or not; `EMPTY` while nothing is sealed."""
        found = self._rows(f"{PAGE} ORDER BY number DESC LIMIT 1")
        return _page(found[0]) if found else EMPTY

    def page_of(self, position: int) -> Page | None:
        """Return the page that an event's position falls into, `None` behind the last."""
        found = self._rows(
            f"{PAGE} WHERE last_position >= ? ORDER BY last_position LIMIT 1", position
        )
        return _page(found[0]) if found else None

    def pages(self) -> Iterator[Page]:
        """Yield all pages in order, up to the first that is not full."""
        select = f"{PAGE} WHERE number > ? ORDER BY number LIMIT {PAGES_MAX}"
        after = -1
        while rows := self._rows(select, after):
            for row in rows:
                page = _page(row)
                yield page
                if len(page.positions) < TILE_SIZE:
                    # It may have grown since: what follows does not continue what was read.
                    return
            after = rows[-1][0]

    def links(self) -> Iterator[tuple[int, bytes]]:
        """Yield each sealed event's position and the chain's link at it, in order."""
        return chain.from_iterable(
            zip(page.positions, page.links(), strict=True) for page in self.pages()
        )

    def tile(self, level: int, number: int) -> bytes:
        """Return the hashes of a tile, the leaves of a page for level 0; empty if unknown."""
        if level == 0:
            found = self._rows("SELECT leaves FROM sealed_page WHERE number = ?", number)
        else:
            found = self._rows(
                "SELECT hashes FROM tree_tile WHERE level = ? AND number = ?", level, number
            )
        return bytes(found[0][0]) if found else b""

    def add(self, newest: Page, pages: Sequence[Page], tiles: Sequence[Tile]) -> bool:
        """Keep what came behind `newest`; False if somebody else has gone on from there."""
        before = newest.positions[-1] if newest.positions else 0
        after = pages[-1].positions[-1]
        with self._store.transaction() as query:
            query(FOLLOWS, [FOLLOWER])
            moved = query(f"{FOLLOWED} RETURNING position", [after, FOLLOWER, before])
            if moved:
                _write(query, pages, tiles)
        return bool(moved)

    def forget(self) -> None:
        """Drop the pages and tiles, to be made anew from the log; what was signed stays."""
        with self._store.transaction() as query:
            query("DELETE FROM sealed_page")
            query("DELETE FROM tree_tile")
            query("DELETE FROM follower WHERE name = ?", [FOLLOWER])

    def sign(self, size: int, position: int, root: bytes, note: str) -> None:
        """Keep a checkpoint that was signed, for ever; once for each size."""
        with self._store.transaction() as query:
            query(
                "INSERT INTO checkpoint (size, position, root, note, at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [size, position, root, note, datetime.now(UTC)],
            )

    def newest_signed(self) -> Signed | None:
        """Return the newest checkpoint, `None` while there is none."""
        found = self._rows(f"{SIGNED} ORDER BY size DESC LIMIT 1")
        return _signed(found[0]) if found else None

    def signed(self, size: int) -> Signed | None:
        """Return the checkpoint of a tree of `size` events, if it was signed."""
        found = self._rows(f"{SIGNED} WHERE size = ?", size)
        return _signed(found[0]) if found else None

    def all_signed(self) -> Iterator[Signed]:
        """Yield all checkpoints, the oldest first."""
        select = f"{SIGNED} WHERE size > ? ORDER BY size LIMIT {CHECKPOINTS_MAX}"
        after = -1
        while rows := self._rows(select, after):
            yield from (_signed(row) for row in rows)
            after = rows[-1][0]

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._store.snapshot() as query:
            return query(statement, values)


def _write(query: Query, pages: Sequence[Page], tiles: Sequence[Tile]) -> None:
    for page in pages:
        positions = page.positions
        values = [page.number, positions[-1], page.before, pack(positions), page.leaves]
        query(UPSERT_PAGE, values)
    for tile in tiles:
        query(UPSERT_TILE, list(tile))


def _stored(row: tuple[Any, ...]) -> Stored:
    position, stream, version, topic, state = row
    try:
        if isinstance(stream, UUID):
            return Stored(position, stream.bytes, version, topic, state)
        return Stored(position, _unhex(stream), version, topic.decode(), bytes(state))
    except (ValueError, TypeError, AttributeError) as error:
        raise LedgerBrokenError(f"position {position} holds no event") from error


def _unhex(stream: bytes) -> bytes:
    raw = bytes.fromhex(stream.decode())
    # Spaces and capitals are read as well, and would hide a changed byte.
    if raw.hex().encode() != stream:
        raise ValueError(stream)
    return raw


def _page(row: tuple[Any, ...]) -> Page:
    number, before, positions, leaves = row
    return Page(number, bytes(before), unpack(bytes(positions)), bytes(leaves))


def _signed(row: tuple[Any, ...]) -> Signed:
    size, position, root, note, at = row
    moment = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    return Signed(size, position, bytes(root), note, moment)
