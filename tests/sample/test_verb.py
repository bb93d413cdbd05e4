from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.store.errors import LogMovedError
from domain.guards import GuardRows
from projections.sheets import SHEETS
from tests.projections.story import made_up
from tests.store.work import tables, verified

if TYPE_CHECKING:
    from tests.store.places import Place


def seed(place: Place, *words: str) -> Result:
    url = place.where if place.engine == "postgresql" else f"sqlite:///{place.where}"
    place.open()
    return CliRunner().invoke(main, ["seed-sample", *words, "--database-url", url])


def test_a_sample_verifies_and_is_told_by_every_follower(place: Place) -> None:
    done = seed(place, "--events", "600", "--until", "2026-03-01")

    store = place.open()
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"A sample of {store.head()} events")
    assert verified(store) is None
    assert {store.follower_position(sheet.name) for sheet in SHEETS} == {store.head()}


@pytest.mark.postgres
def test_the_same_sample_is_the_same_on_either_engine(
    sqlite_place: Place, postgres_place: Place
) -> None:
    both = (sqlite_place, postgres_place)
    for place in both:
        seed(place, "--events", "300", "--until", "2026-03-01")

    (here, rows), (there, others) = (place.open().kept() for place in both)
    assert here == there
    assert tables(rows) == tables(others)


def test_a_ledger_with_a_log_is_refused_and_stays_as_it_is(place: Place) -> None:
    seed(place, "--events", "20")
    head = place.open().head()

    done = seed(place, "--events", "20")

    assert done.exit_code == 1
    assert f"has events up to position {head}; a sample needs an empty one" in done.stderr
    assert place.open().head() == head


def test_what_is_no_moment_is_refused(place: Place) -> None:
    for words in ("soon", "1970-01-01"):
        assert seed(place, "--until", words).exit_code == 2


def test_nothing_is_appended_to_a_log_that_others_have_written(place: Place) -> None:
    seed(place, "--events", "20")
    store = place.open()
    kept = store.kept()

    with pytest.raises(LogMovedError):
        store.append(made_up(1, 5).entries, GuardRows(), kept[0] - 1)

    assert store.kept()[0] == kept[0]
