from __future__ import annotations

from hashlib import sha256

import pytest

from projections.liabilities import (
    EMPTY,
    NODE_BYTES,
    Node,
    Owed,
    beside,
    join,
    leaf,
    levels,
    unpack,
)
from tests.domain.given import ALICE, name

SALT = bytes(range(32))


def owed(number: int) -> Owed:
    return Owed(name(number), number, 2 * number, 0, 1)


def test_a_leaf_is_a_salted_hash_of_whose_it_is_and_of_every_amount() -> None:
    packed = SALT + ALICE.bytes + b"".join(n.to_bytes(8, "big") for n in (1, 2, 3, 4))

    found = leaf(SALT, Owed(ALICE, 1, 2, 3, 4))

    assert found == Node(sha256(b"\x00" + packed).digest(), 10)


def test_a_node_covers_both_amounts_below_it_and_their_order() -> None:
    one, other = leaf(SALT, owed(1)), leaf(SALT, owed(2))

    assert join(one, other).msat == one.msat + other.msat
    assert join(one, other).hash != join(other, one).hash
    # The sum is the same: only a hash of both amounts tells these two apart.
    moved = join(one._replace(msat=one.msat + 1), other._replace(msat=other.msat - 1))
    assert moved.msat == join(one, other).msat
    assert moved.hash != join(one, other).hash


@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 9])
def test_every_leaf_leads_to_the_root_by_what_is_beside_it(count: int) -> None:
    leaves = [leaf(SALT, owed(number)) for number in range(1, count + 1)]

    rows = levels(leaves)

    (root,) = rows[-1]
    assert root.msat == sum(each.msat for each in leaves)
    for place, found in enumerate(leaves):
        node, at = found, place
        for level, other in beside(place, len(rows) - 1):
            sibling = rows[level][other]
            node = join(sibling, node) if at & 1 else join(node, sibling)
            at >>= 1
        assert node == root


def test_nobody_is_owed_nothing() -> None:
    assert levels([]) == [[EMPTY]]


def test_a_node_is_kept_as_bytes() -> None:
    node = leaf(SALT, owed(7))

    assert len(node.packed()) == NODE_BYTES
    assert unpack(node.packed()) == node
