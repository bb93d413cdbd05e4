from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    grew,
    includes,
    inclusion_proof,
    leaf_hash,
)
from tools import verify_ledger as alone

SIZE_MAX = 64
LEAVES = [leaf_hash(bytes([number])) for number in range(SIZE_MAX)]
# The tree that Certificate Transparency's own implementations are tested with.
KNOWN_DATA = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
              "606162636465666768696a6b6c6d6e6f"]  # fmt: skip
KNOWN_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive(leaves[:split]) + naive(leaves[split:])).digest()


ROOTS = [naive(LEAVES[:size]) for size in range(SIZE_MAX + 1)]


def node(level: int, index: int) -> bytes:
    return naive(LEAVES[index << level : (index + 1) << level])


def included(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """What we say; the stand-alone verifier must say the same."""
    ours = includes(leaf, index, size, proof, root)
    assert ours == alone.includes(leaf, index, alone.Checkpoint(size, root), proof)
    return ours


def grown(old: int, new: int, proof: list[bytes], before: bytes, after: bytes) -> bool:
    ours = grew(old, new, proof, before, after)
    assert ours == alone.grew(
        alone.Checkpoint(old, before), alone.Checkpoint(new, after), proof
    )
    return ours


def mutations(proof: list[bytes]) -> list[list[bytes]]:
    """A proof with each hash changed, dropped, doubled, swapped; and one too many."""
    places = range(len(proof))
    changed = [
        [*proof[:place], bytes([proof[place][0] ^ 1]) + proof[place][1:], *proof[place + 1 :]]
        for place in places
    ]
    dropped = [[*proof[:place], *proof[place + 1 :]] for place in places]
    doubled = [[*proof[:place], *proof[place:][:1], *proof[place:]] for place in places]
    swapped = [
        [*proof[:here], proof[there], proof[here], *proof[there + 1 :]]
        for here, there in pairwise(places)
    ]
    return [*changed, *dropped, *doubled, *swapped, [*proof, bytes(32)]]


def test_the_roots_are_those_every_implementation_knows() -> None:
    frontier = Frontier()
    roots = []

    for data in KNOWN_DATA:
        frontier.append(leaf_hash(bytes.fromhex(data)))
        roots.append(frontier.root().hex())

    assert roots == KNOWN_ROOTS


def test_an_empty_tree_has_a_root_as_well() -> None:
    assert Frontier().root() == EMPTY_ROOT == ROOTS[0]


def test_the_frontier_tells_the_root_of_every_size() -> None:
    frontier = Frontier()

    for size, leaf in enumerate(LEAVES, start=1):
        frontier.extend([leaf])

        assert (frontier.size, frontier.root()) == (size, ROOTS[size])
        assert len(frontier.peaks) == size.bit_count()


@pytest.mark.parametrize("size", range(1, SIZE_MAX + 1))
def test_every_leaf_is_proved_and_no_mutated_proof_is_believed(size: int) -> None:
    for index in range(size):
        proof = inclusion_proof(index, size, node)

        assert included(LEAVES[index], index, size, proof, ROOTS[size])
        for wrong in mutations(proof):
            assert not included(LEAVES[index], index, size, wrong, ROOTS[size])
        assert not included(LEAVES[index - 1], index, size, proof, ROOTS[size]) or size == 1
        assert not included(LEAVES[index], index, size, proof, ROOTS[size - 1])


@pytest.mark.parametrize("new", range(1, SIZE_MAX + 1))
def test_all_growth_is_proved_and_no_mutated_proof_is_believed(new: int) -> None:
    for old in range(1, new + 1):
        proof = consistency_proof(old, new, node)

        assert grown(old, new, proof, ROOTS[old], ROOTS[new])
        for wrong in mutations(proof):
            assert not grown(old, new, wrong, ROOTS[old], ROOTS[new])
        assert not grown(old, new, proof, ROOTS[old - 1], ROOTS[new])
        assert not grown(old, new, proof, ROOTS[old], ROOTS[new - 1])


@given(st.data())
def test_a_proof_with_any_bit_changed_is_not_believed(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, SIZE_MAX))
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, node)
    place = data.draw(st.integers(0, len(proof) * 32 * 8 - 1))
    joined = bytearray(b"".join(proof))

    joined[place // 8] ^= 1 << place % 8

    wrong = [bytes(joined[at : at + 32]) for at in range(0, len(joined), 32)]
    assert not included(LEAVES[index], index, size, wrong, ROOTS[size])


@given(st.integers(0, 99), st.integers(0, 99), st.lists(st.binary(min_size=32, max_size=32)))
def test_made_up_proofs_are_not_believed(one: int, other: int, proof: list[bytes]) -> None:
    root = leaf_hash(b"never in the tree")

    assert not included(bytes(32), one, other, proof, root)
    assert not grown(one, other, proof, bytes(32), root)


def test_what_cannot_be_proved_is_refused() -> None:
    for index, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(IndexError):
            inclusion_proof(index, size, node)
    for old, new in ((0, 3), (4, 3)):
        with pytest.raises(IndexError):
            consistency_proof(old, new, node)
