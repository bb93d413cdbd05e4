"""What is owed to every client, in one tree that adds up: a Merkle sum tree.

Each node says what all below it are owed, and its hash covers the hashes *and the amounts* of
both its children. So whoever finds its own amount under the signed root knows that it is
part of the signed total: nothing can be left out below, and nothing negative can be hidden.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from projections.merkle import HASH_BYTES, LEAF, NODE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

NODE_BYTES = HASH_BYTES + 8
AMOUNTS = ("available_msat", "held_msat", "on_its_way_msat", "uncollected_msat")
SUFFIX = "/liabilities"

_LEAF = struct.Struct(">32s16s4Q")
_NODE = struct.Struct(">32sQ")


class Owed(NamedTuple):
    """What a client is owed: to spend, set aside, being paid out, in tokens not collected."""

    account_id: UUID
    available_msat: int
    held_msat: int
    on_its_way_msat: int
    uncollected_msat: int

    @property
    def amounts_msat(self) -> tuple[int, int, int, int]:
        return self[1:]

    @property
    def total_msat(self) -> int:
        return sum(self.amounts_msat)


class Node(NamedTuple):
    """The root of a part of the tree, and what all leaves of that part are owed together."""

    hash: bytes
    msat: int

    def packed(self) -> bytes:
        return _NODE.pack(*self)


EMPTY = Node(bytes(HASH_BYTES), 0)
"""A place that is nobody's: their number is made up to a power of two."""


@dataclass(frozen=True, slots=True)
class Liabilities:
    """What is signed: how long the log was, its root, and what was owed to all just then."""

    origin: str
    size: int
    log_root: bytes
    total: Node

    def text(self) -> str:
        """Return the text that is signed, its last newline included.

        >>> print(Liabilities("example.com", 3, bytes(32), Node(bytes(32), 7)).text(), end="")
        example.com/liabilities
        3
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
        7
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
        """
        roots = (base64.b64encode(root).decode() for root in (self.log_root, self.total.hash))
        log_root, root = roots
        return f"{self.origin}{SUFFIX}\n{self.size}\n{log_root}\n{self.total.msat}\n{root}\n"


def leaf(salt: bytes, owed: Owed) -> Node:
    """Return a client's place in the tree; who does not know the salt cannot guess at it."""
    packed = _LEAF.pack(salt, owed.account_id.bytes, *owed.amounts_msat)
    return Node(sha256(LEAF + packed).digest(), owed.total_msat)


def join(left: Node, right: Node) -> Node:
    hashed = sha256(NODE + left.packed() + right.packed()).digest()
    return Node(hashed, left.msat + right.msat)


def levels(leaves: Iterable[Node]) -> list[list[Node]]:
    """Return the tree from its leaves, empty places included, up to its root.

    >>> [len(level) for level in levels([EMPTY] * 5)]
    [8, 4, 2, 1]
    """
    row = list(leaves) or [EMPTY]
    row += [EMPTY] * ((1 << (len(row) - 1).bit_length()) - len(row))
    rows = [row]
    while len(row) > 1:
        row = [join(row[at], row[at + 1]) for at in range(0, len(row), 2)]
        rows.append(row)
    return rows


def unpack(packed: bytes) -> Node:
    """Return the node that `Node.packed` wrote."""
    hashed, msat = _NODE.unpack(packed)
    return Node(hashed, msat)


def beside(place: int, depth: int) -> Sequence[tuple[int, int]]:
    """Return the (level, place) of what is needed to get from a leaf to the root, bottom up.

    >>> beside(5, 3)
    [(0, 4), (1, 3), (2, 0)]
    """
    return [(level, (place >> level) ^ 1) for level in range(depth)]
