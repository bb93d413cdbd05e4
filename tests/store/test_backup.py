"""A backup is the log and what was signed of it; it is whole, or it is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.sealing.check import check
from app.sealing.sign import Sealing, SigningKey
from app.store.backup import dump, load
from app.store.errors import BackupError
from app.store.seals import Seals
from domain.msat import Msat
from projections.follow import verify
from tests.domain.given import ALICE, TERMS
from tests.store.places import SqlitePlace
from tests.store.work import a_day, ledger_on, silent, tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.store.places import Place, Store

KEY = SigningKey(bytes(32), "house.example")


def worked(place: Place) -> Store:
    store = place.open()
    a_day(store, ALICE)
    Sealing(Seals(store), KEY).seal()
    a_day(store, ALICE)
    return store


def saved(store: Store) -> list[str]:
    return list(dump(Seals(store), store.head(), silent))


def filled(place: Place, lines: list[str]) -> Store:
    store = place.open()
    load(store, lines, silent)
    return place.open()


def test_what_was_saved_is_there_again_to_the_byte(place: Place, tmp_path: Path) -> None:
    """From either engine into another database, and the house goes on there."""
    source = worked(place)
    other = SqlitePlace(tmp_path)
    lines = saved(source)

    store = filled(other, lines)

    assert tables(store.kept()[1]) == tables(source.kept()[1])
    assert saved(store) == lines
    assert verify(store, silent) is None
    assert check(Seals(store), silent, KEY.verifier.public) is None
    assert [signed.note for signed in Seals(store).all_signed()] == [
        signed.note for signed in Seals(source).all_signed()
    ]
    a_day(store, ALICE)
    ledger_on(store).hold(uuid4(), ALICE, Msat(1), TERMS)
    Sealing(Seals(store), KEY).seal()
    assert verify(store, silent) is None
    assert store.head() > source.head()
    other.close()


def test_a_backup_moves_the_house_to_the_other_engine(place: Place, tmp_path: Path) -> None:
    other = SqlitePlace(tmp_path)
    lines = saved(worked(other))

    store = filled(place, lines)

    assert saved(store) == lines
    a_day(store, ALICE)
    assert verify(store, silent) is None
    other.close()


def test_what_happens_during_a_backup_is_not_in_it(place: Place) -> None:
    store = worked(place)
    lines = dump(Seals(store), store.head(), silent)
    first = next(lines)
    head = store.head()
    a_day(store, ALICE)
    Sealing(Seals(store), KEY).seal()

    rest = [json.loads(line) for line in lines]

    assert json.loads(first) == {"tallystick_backup": 1}
    assert max(line["position"] for line in rest if "topic" in line) == head
    assert rest[-1]["checkpoints"] == 1


def test_a_database_that_has_a_log_is_left_alone(place: Place) -> None:
    store = worked(place)
    lines = saved(store)

    with pytest.raises(BackupError, match="empty"):
        load(store, lines, silent)

    assert saved(store) == lines


def changed(lines: list[str]) -> list[str]:
    return [lines[0], lines[1].replace("mint.example", "mint.exbmple"), *lines[2:]]


def moved(lines: list[str]) -> list[str]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


DAMAGES: list[Callable[[list[str]], list[str]]] = [
    changed,
    moved,
    lambda lines: [lines[0], *lines[2:]],
    lambda lines: lines[:-1],
    lambda lines: lines[:-2] + lines[-1:],
    lambda lines: lines[:7],
    lambda lines: lines[1:],
    lambda lines: [],
    lambda lines: ["[]\n", *lines],
    lambda lines: ['{"tallystick_backup":2}\n', *lines[1:]],
    lambda lines: [lines[0], '{"topic":"x"}\n', *lines[1:]],
    lambda lines: [lines[0], '{"topic":1,"position":1,"version":1}\n', *lines[1:]],
    lambda lines: [*lines[:-2], '{"note":"x"}\n', lines[-1]],
    lambda lines: [*lines[:5], "garbage\n", *lines[5:]],
]


@pytest.mark.parametrize("damage", DAMAGES, ids=range(len(DAMAGES)))
def test_a_backup_that_is_not_whole_changes_nothing(
    sqlite_place: Place, tmp_path: Path, damage: Callable[[list[str]], list[str]]
) -> None:
    other = SqlitePlace(tmp_path)
    lines = saved(worked(other))
    store = sqlite_place.open()

    with pytest.raises(BackupError):
        load(store, damage(lines), silent)

    assert store.head() == 0
    assert list(Seals(store).all_signed()) == []
    load(store, lines, silent)
    other.close()
