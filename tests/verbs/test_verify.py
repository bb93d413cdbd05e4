"""A long ledger is verified by two processes, and comes to what one comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import pytest

from app.sealing.sign import Sealing
from app.store.seals import Seals
from app.verbs.verify import compared, compared_beside
from tests.domain.given import ALICE
from tests.sealing.given import KEY, PUBLIC, rewrite
from tests.store.places import drop_guards_of_the_log
from tests.store.work import a_day

if TYPE_CHECKING:
    from tests.store.places import Place, Store

pytestmark = pytest.mark.integration

WAYS = pytest.mark.parametrize("way", [compared, compared_beside])
Way = Callable[..., str | None]


@pytest.fixture
def sealed(place: Place) -> Store:
    store = place.open()
    a_day(store, ALICE)
    Sealing(Seals(store), KEY).seal()
    return store


def url_of(place: Place) -> str:
    return f"sqlite:///{place.where}" if place.engine == "sqlite" else place.where


@WAYS
def test_a_ledger_that_holds_has_no_difference(place: Place, sealed: Store, way: Way) -> None:
    assert way(sealed, url_of(place), PUBLIC) is None


@WAYS
def test_what_was_rewritten_is_named(place: Place, sealed: Store, way: Way) -> None:
    drop_guards_of_the_log(place)
    rewrite(place, sealed, 3, "topic = 'rate.observed'")

    assert way(sealed, url_of(place), PUBLIC) == "position 3 is not what was sealed"


@WAYS
def test_what_the_replay_finds_is_named(place: Place, sealed: Store, way: Way) -> None:
    place.run("UPDATE balance SET available_msat = available_msat + 1")

    told = way(sealed, url_of(place), PUBLIC)

    assert told is not None
    assert str(ALICE) in told


@WAYS
def test_another_houses_key_is_told_of(place: Place, sealed: Store, way: Way) -> None:
    assert "is not signed by" in str(way(sealed, url_of(place), bytes(range(1, 33))))


def test_when_the_second_process_finds_no_ledger_that_is_one_clear_line(
    place: Place, sealed: Store
) -> None:
    with pytest.raises(click.ClickException, match="the seals were not compared"):
        compared_beside(sealed, "postgresql://nobody@127.0.0.1:1/none", PUBLIC)
