from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import LedgerBrokenError
from projections.chain import GENESIS, Stored, leaf, link
from projections.merkle import (
    Frontier,
    consistency_proof,
    grew,
    includes,
    inclusion_proof,
    range_hash,
)
from projections.tiles import EMPTY, TILE_SIZE, Page, TiledTree, grow, pack, unpack

EVENTS = [Stored(7 * place, bytes(16), 1, "t", b"{}") for place in range(1, 3 * TILE_SIZE + 2)]
LEAVES = [leaf(event) for event in EVENTS]
MANY = TILE_SIZE * TILE_SIZE + TILE_SIZE + 1


class Kept:
    """Pages and tiles as a store keeps them."""

    def __init__(self) -> None:
        self.newest = EMPTY
        self.tiles: defaultdict[tuple[int, int], bytes] = defaultdict(bytes)

    def read(self, level: int, number: int) -> bytes:
        return self.tiles[level, number]

    def add(self, events: list[Stored]) -> list[Page]:
        pages, tiles = grow(self.newest, self.read, events)
        for page in pages:
            self.tiles[0, page.number] = page.leaves
        self.tiles |= {(level, number): hashes for level, number, hashes in tiles}
        self.newest = pages[-1] if pages else self.newest
        return pages


def root_of(leaves: list[bytes]) -> bytes:
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root()


@settings(max_examples=30)
@given(st.sets(st.integers(0, len(EVENTS)), max_size=12))
def test_the_tree_is_the_same_in_whatever_portions_it_was_read(cuts: set[int]) -> None:
    kept = Kept()

    for start, end in pairwise(sorted({0, *cuts, len(EVENTS)})):
        kept.add(EVENTS[start:end])

    assert kept.newest.size == len(EVENTS)
    node = TiledTree(kept.read).node
    assert range_hash(0, len(EVENTS), node) == root_of(LEAVES)
    assert kept.tiles[1, 0] == b"".join(
        root_of(LEAVES[at : at + TILE_SIZE]) for at in range(0, 3 * TILE_SIZE, TILE_SIZE)
    )


def test_nothing_new_changes_nothing() -> None:
    kept = Kept()
    kept.add(EVENTS[:TILE_SIZE])

    assert grow(kept.newest, kept.read, []) == ([], [])


def test_pages_know_their_place_in_the_chain() -> None:
    pages = Kept().add(EVENTS)

    last, links = GENESIS, []
    for hashed in LEAVES:
        last = link(last, hashed)
        links.append(last)
    assert [found for page in pages for found in page.links()] == links
    assert [page.before for page in pages[1:]] == links[TILE_SIZE - 1 :: TILE_SIZE]
    assert [place for page in pages for place in page.positions] == [
        event.position for event in EVENTS
    ]


def test_proofs_are_made_from_tiles_of_three_levels() -> None:
    kept = Kept()
    events = [Stored(place, bytes(16), 1, "t", b"{}") for place in range(1, MANY + 1)]
    kept.add(events)
    leaves = [leaf(event) for event in events]
    root = root_of(leaves)

    for index in (0, 255, 256, TILE_SIZE * TILE_SIZE - 1, TILE_SIZE * TILE_SIZE, MANY - 1):
        proof = inclusion_proof(index, MANY, TiledTree(kept.read).node)
        assert includes(leaves[index], index, MANY, proof, root)
    for old in (1, 300, TILE_SIZE * TILE_SIZE, MANY - 1, MANY):
        proof = consistency_proof(old, MANY, TiledTree(kept.read).node)
        assert grew(old, MANY, proof, root_of(leaves[:old]), root)


def test_a_tile_that_is_lost_is_not_made_up() -> None:
    kept = Kept()
    kept.add(EVENTS[: TILE_SIZE + 1])
    del kept.tiles[1, 0]

    with pytest.raises(LedgerBrokenError, match="lost"):
        kept.add(EVENTS[TILE_SIZE + 1 :])
    with pytest.raises(LedgerBrokenError, match="no node 0 at level 8"):
        TiledTree(kept.read).node(8, 0)


def test_positions_are_packed_and_unpacked() -> None:
    positions = (1, 2, 2**63 - 1)

    assert unpack(pack(positions)) == positions
    with pytest.raises(LedgerBrokenError):
        unpack(pack(positions)[:-1])
