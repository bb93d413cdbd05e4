"""The tree cut into tiles of 256 hashes, as it is kept: nothing but the edge ever changes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from domain.errors import LedgerBrokenError
from projections.chain import GENESIS, Stored, leaf, link
from projections.merkle import HASH_BYTES, node_hash

TILE_BITS = 8
TILE_SIZE = 1 << TILE_BITS

ReadTile = Callable[[int, int], bytes]
"""`read(level, number)`: the hashes of a tile, one behind the other; empty if not kept."""


class Page(NamedTuple):
    """Up to 256 events that were sealed: the lowest tile, and what else is known of it.

    `positions` and `leaves` have one item an event; `before` is the chain's link in front
    of the first of them.
    """

    number: int
    before: bytes
    positions: tuple[int, ...]
    leaves: bytes

    @property
    def size(self) -> int:
        """Return how many events there are up to the end of this page."""
        return self.number * TILE_SIZE + len(self.positions)

    def leaf(self, place: int) -> bytes:
        return _item(self.leaves, place)

    def links(self) -> list[bytes]:
        """Return the link that each event of the page made, in order."""
        links, last = [], self.before
        for place in range(len(self.positions)):
            last = link(last, self.leaf(place))
            links.append(last)
        return links


EMPTY = Page(0, GENESIS, (), b"")


class Tile(NamedTuple):
    """A tile above the leaves: each hash is the root of a full tile one level below."""

    level: int
    number: int
    hashes: bytes


def pack(positions: Sequence[int]) -> bytes:
    return struct.pack(f">{len(positions)}Q", *positions)


def unpack(packed: bytes) -> tuple[int, ...]:
    """Return packed positions; raises `LedgerBrokenError` if they are damaged."""
    count, rest = divmod(len(packed), 8)
    if rest:
        raise LedgerBrokenError("a sealed page is damaged")
    return struct.unpack(f">{count}Q", packed)


def grow(
    newest: Page, read: ReadTile, events: Iterable[Stored]
) -> tuple[list[Page], list[Tile]]:
    """Return the pages and tiles that are new or changed once `events` come behind `newest`.

    `newest` is the last page kept, full or not, and `EMPTY` at first; `read` is asked for
    the edge of the tree as it was. Raises `LedgerBrokenError` when that is not kept, or
    when one of the `events` cannot be one.
    """
    pages: list[Page] = []
    positions, leaves = list(newest.positions), bytearray(newest.leaves)
    number, before = newest.number, newest.before
    last = newest.links()[-1] if positions else before
    fresh = 0
    for event in events:
        if len(positions) == TILE_SIZE:
            if fresh:
                pages.append(Page(number, before, tuple(positions), bytes(leaves)))
            number, before, positions, leaves = number + 1, last, [], bytearray()
        hashed = leaf(event)
        last = link(last, hashed)
        positions.append(event.position)
        leaves += hashed
        fresh += 1
    if fresh:
        pages.append(Page(number, before, tuple(positions), bytes(leaves)))
    roots = [tile_root(page.leaves) for page in pages if len(page.positions) == TILE_SIZE]
    return pages, _upper(pages[0].number if roots else 0, roots, read)


def _upper(first: int, roots: list[bytes], read: ReadTile) -> list[Tile]:
    """Return the tiles above for the `roots` of full tiles, the first with number `first`."""
    tiles: list[Tile] = []
    level = 0
    while roots:
        level += 1
        number, kept = divmod(first, TILE_SIZE)
        row = _edge(read, level, number, kept) + b"".join(roots)
        cut = TILE_SIZE * HASH_BYTES
        here = [
            Tile(level, number + place // cut, row[place : place + cut])
            for place in range(0, len(row), cut)
        ]
        tiles += here
        first = number
        roots = [tile_root(tile.hashes) for tile in here if len(tile.hashes) == cut]
    return tiles


def _edge(read: ReadTile, level: int, number: int, count: int) -> bytes:
    hashes = read(level, number)[: count * HASH_BYTES] if count else b""
    if len(hashes) < count * HASH_BYTES:
        raise LedgerBrokenError(f"the sealed tree has lost a tile of level {level}")
    return hashes


def tile_root(hashes: bytes) -> bytes:
    """Return the root over a tile's hashes, whose number is a power of two."""
    row = [_item(hashes, place) for place in range(len(hashes) // HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


class TiledTree:
    """Finds any node of the tree in its tiles; one for each proof, for it remembers tiles."""

    def __init__(self, read: ReadTile) -> None:
        self._read = read
        self._tiles: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        """Return the root over the `2**level` leaves from `index * 2**level` on.

        Raises `LedgerBrokenError` when the tiles do not hold it.
        """
        tile_level, inside = divmod(level, TILE_BITS)
        first = index << inside
        number, place = divmod(first, TILE_SIZE)
        end = (place + (1 << inside)) * HASH_BYTES
        hashes = self._tile(tile_level, number)
        if len(hashes) < end:
            raise LedgerBrokenError(f"the sealed tree has no node {index} at level {level}")
        return tile_root(hashes[place * HASH_BYTES : end])

    def _tile(self, level: int, number: int) -> bytes:
        key = level, number
        if key not in self._tiles:
            self._tiles[key] = self._read(level, number)
        return self._tiles[key]


def _item(hashes: bytes, place: int) -> bytes:
    return hashes[place * HASH_BYTES : (place + 1) * HASH_BYTES]
