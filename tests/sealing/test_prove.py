from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.sealing.prove import NotSealedError, Proofs
from app.sealing.sign import Sealing
from app.store.seals import Seals
from projections.checkpoint import read
from projections.merkle import grew, includes
from projections.tiles import TILE_SIZE
from tests.sealing.given import KEY, positions, sealed, write

if TYPE_CHECKING:
    from tests.store.places import Store

COUNTS = (3, TILE_SIZE, 1, TILE_SIZE + 7)


def test_events_are_proved_under_every_checkpoint_that_covers_it(store: Store) -> None:
    for count in COUNTS:
        seals = sealed(store, count)
    proofs = Proofs(seals)

    for index, position in list(enumerate(positions(store)))[::11]:
        for signed in seals.all_signed():
            if index < signed.size:
                found = proofs.inclusion(position, signed.size)
                root = read(found.note).root
                assert found.index == index
                assert includes(found.leaf, index, found.size, found.proof, root)


def test_each_checkpoint_is_the_beginning_of_the_later_ones(store: Store) -> None:
    for count in COUNTS:
        seals = sealed(store, count)
    proofs = Proofs(seals)
    sizes = [signed.size for signed in seals.all_signed()]

    for old in sizes:
        for new in (size for size in sizes if size >= old):
            found = proofs.consistency(old, new)
            assert grew(old, new, found.proof, found.old.root, found.new.root)
    assert proofs.consistency(sizes[0]).new == proofs.checkpoint()


def test_what_no_checkpoint_covers_is_not_proved(store: Store) -> None:
    seals = sealed(store, 5)
    write(store, 1)
    proofs = Proofs(seals)
    last, unsealed = positions(store)[-2:]
    first = positions(store)[0]
    Sealing(seals, KEY).seal()

    for position, size in ((unsealed, 5), (unsealed + 99, None), (first, 4)):
        with pytest.raises(NotSealedError):
            proofs.inclusion(position, size)
    for old, new in ((4, 5), (6, 5), (5, 7)):
        with pytest.raises(NotSealedError):
            proofs.consistency(old, new)
    assert proofs.inclusion(last, 5).index == 4


def test_nothing_is_proved_before_anything_is_sealed(store: Store) -> None:
    with pytest.raises(NotSealedError):
        Proofs(Seals(store)).checkpoint()


def test_holes_in_the_positions_hold_no_event(store: Store) -> None:
    write(store, 2)
    seals = sealed(store, 2)
    holes = set(range(1, store.head())) - set(positions(store))

    for hole in holes:
        with pytest.raises(NotSealedError):
            Proofs(seals).inclusion(hole)
