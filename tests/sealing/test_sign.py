from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from app.sealing.sign import Sealing, follow
from app.store.errors import StoreError
from app.store.seals import Seals
from domain.errors import LedgerBrokenError
from projections.chain import leaf
from projections.checkpoint import read
from projections.merkle import Frontier
from projections.tiles import EMPTY, TILE_SIZE, grow
from tests.domain.given import ALICE
from tests.sealing.given import KEY, compared, delete, positions, sealed, write
from tests.store.places import drop_guards_of_the_log
from tests.store.work import a_day

if TYPE_CHECKING:
    from tests.store.places import Place, Store

KILLS = 3


def root_of(store: Store) -> bytes:
    frontier = Frontier()
    for page in Seals(store).events():
        frontier.extend(leaf(event) for event in page)
    return frontier.root()


def test_an_empty_log_is_not_signed(store: Store) -> None:
    sealing = Sealing(Seals(store), KEY)

    assert sealing.seal() is None


def test_a_days_work_is_signed_as_it_stands_in_the_log(store: Store) -> None:
    a_day(store, ALICE)

    signed = Sealing(Seals(store), KEY).seal()

    assert signed is not None
    assert (signed.size, signed.position) == (len(positions(store)), store.head())
    assert read(signed.note).root == signed.root == root_of(store)


def test_the_log_is_signed_again_only_when_it_has_grown(store: Store) -> None:
    write(store, 3)
    sealing = Sealing(Seals(store), KEY)
    first = sealing.seal()

    again = sealing.seal()
    write(store, 2)
    grown = sealing.seal()

    assert first == again
    assert grown is not None
    assert [signed.size for signed in Seals(store).all_signed()] == [3, 5]
    assert grown.root == root_of(store)


def test_holes_in_the_positions_are_none_in_the_tree(store: Store) -> None:
    for count in (TILE_SIZE - 1, 2, 1):
        write(store, count)
        follow(Seals(store))

    signed = Sealing(Seals(store), KEY).seal()

    assert signed is not None
    assert signed.size == TILE_SIZE + 2
    assert signed.root == root_of(store)


def test_what_is_sealed_is_made_anew_from_the_log(store: Store) -> None:
    seals = sealed(store, TILE_SIZE + 5)
    before = list(seals.pages())

    seals.forget()
    assert seals.newest_page() == EMPTY
    follow(seals)

    assert list(seals.pages()) == before
    assert compared(store) is None


def test_two_who_seal_at_once_keep_one_tree(place: Place, store: Store) -> None:
    write(store, 10)
    other = Seals(place.open())
    pages, tiles = grow(EMPTY, other.tile, next(other.events()))
    follow(Seals(store))

    kept = other.add(EMPTY, pages, tiles)

    assert not kept
    assert compared(store) is None


def test_a_log_that_was_rewritten_is_not_signed_again(place: Place, store: Store) -> None:
    seals = sealed(store, 5)
    drop_guards_of_the_log(place)
    place.run("UPDATE stored_events SET topic = 'rate.forged'")
    write(store, 1)

    seals.forget()

    with pytest.raises(LedgerBrokenError, match="not those once signed"):
        Sealing(seals, KEY).seal()
    assert [signed.size for signed in seals.all_signed()] == [5]


def test_a_log_that_was_cut_is_not_signed_again(place: Place, store: Store) -> None:
    seals = sealed(store, 5)
    drop_guards_of_the_log(place)
    delete(place, store, store.head())

    seals.forget()

    with pytest.raises(LedgerBrokenError, match="5 events were signed, 4 are left"):
        Sealing(seals, KEY).seal()


def test_the_house_compares_its_log_by_itself(place: Place, store: Store) -> None:
    sealing = Sealing(sealed(store, 5), KEY)
    sealing.compare()
    drop_guards_of_the_log(place)
    place.run("UPDATE stored_events SET topic = 'rate.forged'")

    with pytest.raises(LedgerBrokenError, match="is not what was sealed"):
        sealing.compare()


@pytest.mark.parametrize(
    "statement", ["UPDATE checkpoint SET size = 4", "DELETE FROM checkpoint"]
)
def test_what_was_signed_stays_signed(store: Store, statement: str) -> None:
    seals = sealed(store, 5)

    with pytest.raises((StoreError, LedgerBrokenError)), store.transaction() as query:
        query(statement)

    assert [signed.size for signed in seals.all_signed()] == [5]


@pytest.mark.integration
def test_sealing_goes_on_where_it_was_killed(place: Place, store: Store) -> None:
    write(store, 20_000)
    program = (
        "import sys; from app.store.seals import Seals; from app.sealing.sign import follow;"
        "from tests.store.places import open_store; print('go', flush=True);"
        "follow(Seals(open_store(sys.argv[1])))"
    )

    for kill in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", program, place.where], stdout=subprocess.PIPE
        )
        with child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.07 * kill)
            child.send_signal(signal.SIGKILL)
    signed = Sealing(Seals(store), KEY).seal()

    assert signed is not None
    assert (signed.size, signed.root) == (20_000, root_of(store))
    assert compared(store) is None
