"""Hosts behind nginx, set up as operators are told to: they come and go, and nobody notices."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from threading import Event
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import requests

from tests.integration.client import Client, Reply, open_account
from tests.integration.front import Front
from tests.integration.house import COST_MSAT, build, new_address
from tests.integration.service import Service
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.house import Address
    from tests.integration.mint import RealMint
    from tests.store.places import Place

pytestmark = [pytest.mark.integration, pytest.mark.postgres, pytest.mark.timeout(300)]

HOSTS = 2
BUYERS = 6
FUNDED_SAT = 8_000
CALM_S = 1.0
# Nineteen pieces and a pause behind each: longer than it takes a host to stop listening.
LONG = "gpt-4o-mini+delay-150"
SLOW = "gpt-4o-mini+slow-8000"
WAIT_MAX_S = 30.0


@pytest.fixture
def address(postgres_place: Place, mint: RealMint, upstream: UpstreamDouble) -> Address:
    return new_address(postgres_place.where, mint.url, upstream.base_url)


@contextmanager
def site(address: Address, folder: Path) -> Iterator[tuple[Front, Sequence[Service]]]:
    with ExitStack() as stack:
        hosts = [
            stack.enter_context(Service(address, folder / f"host-{number}", {}))
            for number in range(HOSTS)
        ]
        yield stack.enter_context(Front(hosts, folder / "front")), hosts


def test_hosts_are_restarted_one_by_one_and_no_request_is_lost(
    address: Address, mint: RealMint, tmp_path: Path
) -> None:
    enough = Event()
    with site(address, tmp_path) as (front, hosts), ThreadPoolExecutor(BUYERS) as threads:
        clients = [open_account(front.base_url, mint.fund(FUNDED_SAT)) for _ in range(BUYERS)]
        buying = [threads.submit(buy, client, enough) for client in clients]
        try:
            for host in hosts:
                time.sleep(CALM_S)
                host.restart()
                time.sleep(front.left_alone_s)
        finally:
            enough.set()
        replies = [reply for each in buying for reply in each.result()]

    assert {reply.status for reply in replies if not is_whole(reply)} == set()
    house = build(address)
    try:
        assert_nothing_is_left_to_do(house)
        earned_msat = assert_sound(house).books.balances_msat["house:earned"]
        assert earned_msat == len(replies) * COST_MSAT
    finally:
        house.close()


def buy(client: Client, enough: Event) -> list[Reply]:
    """Ask again and again, every fourth time for a long stream."""
    replies: list[Reply] = []
    for number in count():
        if enough.is_set():
            break
        is_long = number % 4 == 0
        model = LONG if is_long else "gpt-4o-mini"
        replies.append(client.chat(stream=is_long, model=model))
    return replies


def is_whole(reply: Reply) -> bool:
    return reply.is_whole_stream or (
        reply.status == requests.codes.ok and "usage" in reply.document
    )


def test_what_has_reached_a_host_that_dies_is_sent_to_no_other(
    address: Address, mint: RealMint, upstream: UpstreamDouble, tmp_path: Path
) -> None:
    questions = [f"how many are {uuid4()}" for _ in range(HOSTS)]
    with site(address, tmp_path) as (front, hosts), ThreadPoolExecutor(HOSTS) as threads:
        client = open_account(front.base_url, mint.fund(FUNDED_SAT))
        slow = [threads.submit(client.chat, model=SLOW, question=each) for each in questions]
        wait_until_asked(upstream, questions)

        hosts[0].kill()
        after = [client.chat() for _ in range(2 * HOSTS)]
        statuses = sorted(each.result().status for each in slow)

    assert {each.status for each in after} == {requests.codes.ok}
    assert statuses == [requests.codes.ok, requests.codes.bad_gateway]
    assert times_asked(upstream, questions) == [1] * HOSTS


def wait_until_asked(upstream: UpstreamDouble, questions: Sequence[str]) -> None:
    until_s = time.monotonic() + WAIT_MAX_S
    while not all(times_asked(upstream, questions)):
        assert time.monotonic() < until_s, "not all were asked"
        time.sleep(0.05)


def times_asked(upstream: UpstreamDouble, questions: Sequence[str]) -> list[int]:
    bodies = [each.body for each in upstream.requests]
    return [sum(question.encode() in body for body in bodies) for question in questions]
