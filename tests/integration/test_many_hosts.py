"""Several hosts with one PostgreSQL: whichever machine dies, the house goes on by itself."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Thread
from typing import TYPE_CHECKING

import pytest
import requests

from tests.doubles.recipient import RecipientServer
from tests.integration.chaos import Customer
from tests.integration.client import Client, open_account
from tests.integration.cluster import Pair, Single
from tests.integration.house import build, new_address
from tests.integration.service import Service
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound
from tests.integration.test_random_kills import assert_books_and_diaries_agree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint
    from tests.store.places import Place

pytestmark = [pytest.mark.integration, pytest.mark.postgres, pytest.mark.timeout(400)]

HOSTS = 2
CUSTOMERS_A_HOST = 2
TOKENS_SAT = (512, 128, 64, 16)
CALM_S = 3.0
OFFICE_OPEN = "back office open"
# The lease and liveness of a dead process are lost with its connection, and the times of
# grace are there for those whose connection alone was lost.
NOTICED_WITHIN_S = 90.0


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair() as pair:
        yield pair


def wait_for(what: str, comes: Callable[[], object]) -> None:
    until_s = time.monotonic() + NOTICED_WITHIN_S
    while not comes():
        assert time.monotonic() < until_s, f"waited in vain for {what}"
        time.sleep(0.1)


def test_when_a_host_dies_another_takes_over_what_it_had(
    postgres_place: Place, mint: RealMint, upstream: UpstreamDouble, tmp_path: Path
) -> None:
    """M14: its holds are released for its death alone, and the lease is another's."""
    address = new_address(postgres_place.where, mint.url, upstream.base_url)
    with (
        Service(address, tmp_path / "one", {}) as one,
        Service(address, tmp_path / "other", {}) as other,
    ):
        wait_for("a back office", lambda: OFFICE_OPEN in one.log)
        client = open_account(one.base_url, mint.fund(1_000))
        there = Client(other.base_url, client.bearer)
        reading = Thread(target=leave_unread, args=(client,))
        reading.start()
        wait_for("a hold", lambda: there.info().document["reserved"])
        assert OFFICE_OPEN not in other.log

        one.kill()
        reading.join()

        wait_for("the other back office", lambda: OFFICE_OPEN in other.log)
        wait_for("the hold's release", lambda: not there.info().document["reserved"])
        assert there.chat().status == requests.codes.ok
    house = build(address)
    try:
        house.recover()
        assert_sound(house)
        assert_nothing_is_left_to_do(house)
    finally:
        house.close()


def test_workers_that_die_while_the_database_is_away_come_back_with_it(
    mint: RealMint, upstream: UpstreamDouble, tmp_path: Path
) -> None:
    with Single() as one:
        address = new_address(one.url, mint.url, upstream.base_url)
        with Service(address, tmp_path / "host", {}) as service:
            client = open_account(service.base_url, mint.fund(1_000))
            before = service.worker_pids()

            one.server.kill()
            for place in range(len(before)):
                service.kill_worker(place)
            wait_for("workers in vain", lambda: service.log.count("cannot start yet") > 1)
            one.server.start()
            service.wait_until_whole()

            assert not {*before} & {*service.worker_pids()}
            assert client.chat().status == requests.codes.ok


def leave_unread(client: Client) -> None:
    """Ask for an answer that takes far longer than its host will live."""
    try:
        client.chat(model="gpt-4o-mini+slow-60000")
    except requests.RequestException:
        return


def test_when_the_database_dies_its_standby_has_all_that_was_acknowledged(
    pair: Pair, mint: RealMint, upstream: UpstreamDouble, tmp_path: Path
) -> None:
    address = new_address(pair.url, mint.url, upstream.base_url)
    with ExitStack() as stack:
        bob = stack.enter_context(RecipientServer())
        services = [
            stack.enter_context(
                Service(address, tmp_path / f"host-{number}", {"GUARD_ALLOW": bob.netloc})
            )
            for number in range(HOSTS)
        ]
        customers = [
            Customer(
                service.base_url, [mint.fund(sat) for sat in TOKENS_SAT], seed, bob.address
            )
            for seed, service in enumerate(services * CUSTOMERS_A_HOST)
        ]
        served_before = live_through_failover(pair, customers)
    house = build(address)
    try:
        assert_books_and_diaries_agree(house, customers)
    finally:
        house.close()
    assert sum(len(customer.diary.served) for customer in customers) > served_before > 0
    assert [reply for customer in customers for reply in customer.diary.unclean] == []


def live_through_failover(pair: Pair, customers: list[Customer]) -> int:
    """Let all live while the primary dies and is replaced; return what was served before."""
    with ThreadPoolExecutor(len(customers)) as threads:
        list(threads.map(Customer.open, customers))
        until_s = time.monotonic() + 4 * CALM_S
        living = [threads.submit(customer.live, until_s) for customer in customers]
        time.sleep(CALM_S)
        served = sum(len(customer.diary.served) for customer in customers)
        pair.primary.kill()
        pair.standby.promote()
        for life in living:
            life.result()
        # Nobody restarts anything: those who are left find the new primary by themselves.
        list(threads.map(lambda customer: customer.client.chat(), customers))
        list(threads.map(Customer.leave, customers))
    return served
