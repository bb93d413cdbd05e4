"""Whoever is slow keeps nobody waiting but himself, and not for longer than his deadline."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.integration.client import CHAT, Client, chat_body, open_account
from tests.integration.dripping import Crowd, slow_body, slow_head, slow_reader
from tests.integration.house import COST_MSAT, QUESTION, new_address
from tests.integration.raw import answer_of, connect, exchange, exchange_once, read_to_end
from tests.integration.service import Service

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint

    Start = Callable[..., Client]
    Dial = Callable[[str, int, bytes], list[socket.socket]]

pytestmark = pytest.mark.integration

WAIT_MAX_S = 30.0
FUNDED_SAT = 50_000
DRIPPERS = 100
LATE = "gpt-4o-mini+slow-4000"
KEPT = b"GET /v1/info HTTP/1.1\r\nHost: house\r\n\r\n"
INFO = KEPT[:-2] + b"Connection: close\r\n\r\n"


@pytest.fixture
def begin(
    mint: RealMint, upstream: UpstreamDouble, tmp_path: Path
) -> Iterator[Callable[..., Service]]:
    """How to start a service with these settings."""
    services: list[Service] = []

    def begin(**settings: str) -> Service:
        url = f"sqlite:///{tmp_path}/ledger.db"
        address = new_address(url, mint.url, upstream.base_url)
        services.append(Service(address, tmp_path / "home", settings))
        return services[0].__enter__()

    yield begin
    for service in services:
        service.stop()


@pytest.fixture
def start(begin: Callable[..., Service], mint: RealMint) -> Start:
    """How to start a service with these settings, and have money there."""

    def start(**settings: str) -> Client:
        return open_account(begin(**settings).base_url, mint.fund(FUNDED_SAT))

    return start


@pytest.fixture
def dial() -> Iterator[Dial]:
    """How to open so many connections that send so much; they are closed in the end."""
    with ExitStack() as opened:

        def dial(base_url: str, count: int, request: bytes) -> list[socket.socket]:
            lines = [opened.enter_context(connect(base_url)) for _ in range(count)]
            for line in lines:
                line.sendall(request)
            return lines

        yield dial


def wait_until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_MAX_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_a_hundred_slow_clients_starve_nobody_and_are_cut_off(start: Start) -> None:
    """Heads, bodies and readers that drip: honest requests are all served meanwhile."""
    client = start(HEAD_TIMEOUT_S="8", BODY_TIMEOUT_S="8", SEND_TIMEOUT_S="2")
    kinds = (slow_head, slow_body, slow_reader)
    crowd = Crowd([kinds[place % 3](client) for place in range(DRIPPERS)])
    heads, bodies, readers = (crowd.drippers[place::3] for place in range(3))

    with crowd, ThreadPoolExecutor(4) as threads:
        were_hanging = [dripper.is_hanging for dripper in (*heads, *bodies)]
        honest = list(threads.map(lambda _: client.chat(), range(20)))
        ends = [dripper.read_to_end() for dripper in (*heads, *bodies)]

    assert {reply.status for reply in honest} == {200}
    assert all(were_hanging)
    answers = [answer_of(end) for end in ends]
    assert {answer.status for answer in answers} == {408}
    assert {answer.error["code"] for answer in answers} == {"request_timeout"}
    # What a reader left was read on, and paid for; the heads and bodies cost nothing.
    wait_until(lambda: client.msat()[1] == 0)
    assert all(b"[DONE]" not in reader.read_to_end() for reader in readers)
    assert client.chat().status == 200


def test_a_reader_that_takes_nothing_has_hung_up_and_pays_for_what_was_made(
    start: Start,
) -> None:
    client = start(SEND_TIMEOUT_S="1")
    before_msat, _ = client.msat()

    reader = slow_reader(client)
    wait_until(lambda: client.msat()[1] > 0)
    wait_until(lambda: client.msat()[1] == 0)

    assert client.msat()[0] < before_msat
    assert b"HTTP/1.1 200 " in reader.read_to_end()


def test_one_request_too_many_is_told_to_come_back_and_costs_nothing(start: Start) -> None:
    client = start(WORKERS="1", REQUESTS_MAX="2")
    before_msat, _ = client.msat()

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(client.chat, model=LATE) for _ in range(2)]
        wait_until(lambda: exchange(client.base_url, INFO).status == 503)
        refused = [
            exchange(client.base_url, INFO),
            exchange_once(client.base_url, paid_request(client)),
        ]
        replies = [each.result() for each in running]

    assert {(each.status, each.error["code"]) for each in refused} == {(503, "overloaded")}
    assert {each.headers["retry-after"] for each in refused} == {"2"}
    assert {reply.status for reply in replies} == {200}
    assert client.msat() == (before_msat - 2 * COST_MSAT, 0)


def paid_request(client: Client) -> bytes:
    """Return a whole request that would be served, and cost something."""
    body = json.dumps(chat_body(stream=False, model="gpt-4o-mini", question=QUESTION)).encode()
    head = (
        f"Host: house\r\nAuthorization: Bearer {client.bearer}\r\nContent-Length: {len(body)}"
    )
    return f"POST {CHAT} HTTP/1.1\r\n{head}\r\n\r\n".encode() + body


def test_one_connection_too_many_is_told_to_come_back(start: Start, dial: Dial) -> None:
    client = start(WORKERS="1", CONNECTIONS_MAX="2", HEAD_TIMEOUT_S="60")
    lines = dial(client.base_url, 2, INFO[:10])

    wait_until(lambda: exchange(client.base_url, INFO).status == 503)
    for line in lines:
        line.close()

    wait_until(lambda: exchange(client.base_url, INFO).status == 200)


def test_a_connection_that_asks_nothing_makes_room_for_one_that_asks(
    start: Start, dial: Dial
) -> None:
    client = start(WORKERS="1", CONNECTIONS_MAX="2")
    idle = dial(client.base_url, 2, KEPT)
    assert all(line.recv(16).startswith(b"HTTP/1.1 200 ") for line in idle)

    answer = exchange(client.base_url, INFO)

    # The one that has been idle for longest was ended; it had been answered in full.
    assert answer.status == 200
    assert any(read_to_end(line) for line in idle[:1])


def test_connections_that_ask_nothing_do_not_hold_up_the_end(
    begin: Callable[..., Service], dial: Dial
) -> None:
    service = begin()
    idle = dial(service.base_url, 4, KEPT)
    assert all(line.recv(16).startswith(b"HTTP/1.1 200 ") for line in idle)

    service.terminate()

    assert all(read_to_end(line) for line in idle)
    assert service.wait_until_ended() == 0


def test_bodies_together_have_a_limit(start: Start) -> None:
    client = start(WORKERS="1", BODIES_BYTES_MAX="100000")
    before_msat, _ = client.msat()
    refused = client.chat(question="x " * 60_000)

    assert (refused.status, refused.error["code"]) == (503, "overloaded")
    assert client.chat().status == 200
    assert client.msat() == (before_msat - COST_MSAT, 0)


def test_a_key_has_so_many_requests_at_once_and_one_that_hangs_up_frees_its_place(
    start: Start,
) -> None:
    client = start(WORKERS="1", RATE_LIMIT_CONCURRENT="1", DRAIN_SECONDS="1")
    before_msat, _ = client.msat()

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(client.chat, stream=True, model="gpt-4o-mini+delay-200")
        wait_until(lambda: client.msat()[1] > 0)
        refused = client.chat()
        first = running.result()
    client.leave_a_stream(model="gpt-4o-mini+delay-50")
    wait_until(lambda: client.chat().status == 200)

    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
    assert first.is_whole_stream
    assert client.msat() == (before_msat - 3 * COST_MSAT, 0)
