"""One process at a time tells the log anew, and the back office leaves it to that one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from app.cli import main
from app.office import _follow
from app.store.locks import REBUILD, FileLocks
from projections.journal import JOURNAL
from tests.domain.given import ALICE
from tests.store.work import a_day

if TYPE_CHECKING:
    from click.testing import Result

    from tests.store.places import SqlitePlace, Store

pytestmark = pytest.mark.integration


@pytest.fixture
def store(sqlite_place: SqlitePlace) -> Store:
    opened = sqlite_place.open()
    a_day(opened, ALICE)
    return opened


def locks_of(place: SqlitePlace) -> FileLocks:
    """Return the ledger's locks as one more process has them."""
    return FileLocks(Path(f"{place.where}.locks"))


def rebuild(place: SqlitePlace) -> Result:
    return CliRunner().invoke(main, ["rebuild", "--database-url", f"sqlite:///{place.where}"])


def test_a_rebuild_tells_all_followers_up_to_the_head(
    sqlite_place: SqlitePlace, store: Store
) -> None:
    done = rebuild(sqlite_place)

    assert done.exit_code == 0
    assert {store.follower_position(name) for name in store.sheets} == {store.head()}


def test_two_do_not_rebuild_at_once(sqlite_place: SqlitePlace, store: Store) -> None:
    with closing(locks_of(sqlite_place)) as first:
        assert first.take(REBUILD)

        second = rebuild(sqlite_place)

    assert second.exit_code == 1
    assert "somebody else is rebuilding it" in second.output
    assert store.follower_position(JOURNAL.name) == 0


def test_the_back_office_follows_no_log_that_is_being_told_anew(
    sqlite_place: SqlitePlace, store: Store
) -> None:
    rebuilding = locks_of(sqlite_place)
    assert rebuilding.take(REBUILD)

    _follow(store, locks_of(sqlite_place))
    meanwhile = store.follower_position(JOURNAL.name)
    rebuilding.close()
    _follow(store, locks_of(sqlite_place))

    assert meanwhile == 0
    assert store.follower_position(JOURNAL.name) == store.head()
