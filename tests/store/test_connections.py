"""What connections a store takes: few, for they are for everybody, and durable ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from app.store.postgres import READERS_MAX
from tests.domain.given import ALICE
from tests.store.work import fund, ledger_on

if TYPE_CHECKING:
    from tests.store.places import Place

pytestmark = pytest.mark.postgres

CROWD = 3 * READERS_MAX
PATIENCE_S = 30.0
OPEN = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid()"
)


def test_a_crowd_of_readers_shares_few_connections(postgres_place: Place) -> None:
    store = postgres_place.open()
    fund(ledger_on(store), ALICE, 10)
    together = Barrier(CROWD)

    def read() -> int:
        together.wait(PATIENCE_S)
        with store.snapshot() as query:
            # Long enough for all the others to want a connection too.
            query("SELECT pg_sleep(0.05)")
            return int(query(OPEN)[0][0])

    with ThreadPoolExecutor(CROWD) as threads:
        seen = list(threads.map(lambda _: read(), range(CROWD)))

    assert 1 < max(seen) <= READERS_MAX + 1


def test_a_server_that_was_told_to_look_knows_how_rows_are_spread(
    postgres_place: Place,
) -> None:
    """Found with a million events: a page of the busiest account took 0.4 s."""
    store = postgres_place.open()
    fund(ledger_on(store), ALICE, 10)

    store.settle()

    known = "SELECT count(*) FROM pg_stats WHERE tablename = 'stored_events'"
    assert postgres_place.run(known)[0][0] > 0


@pytest.mark.parametrize(("told", "then"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_what_is_acknowledged_is_on_the_disk_whatever_the_server_is_told(
    postgres_place: Place, told: str, then: str
) -> None:
    store = postgres_place.open()
    name = postgres_place.run("SELECT current_database()")[0][0]
    postgres_place.run(f"ALTER DATABASE {name} SET synchronous_commit = {told}")

    store.close()

    with store.transaction() as query:
        assert query("SHOW synchronous_commit")[0][0] == then
