"""A line to a client, over a real socket pair: what is slow ends, what is quick does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent
import pytest
from gevent.socket import socketpair

from app.web.line import HEAD_BYTES_MAX, Line, Load, Patience
from app.web.refusals import BodyLateError, CrowdedError, HeadLateError, HeadTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gevent.socket import socket

PATIENCE = Patience(
    idle_s=0.2,
    crowded_idle_s=0.1,
    head_s=0.2,
    body_s=60,
    grace_s=0.2,
    bytes_per_s_min=1_000_000,
    send_s=0.2,
)
LOAD_BYTES_MAX = 300_000


@pytest.fixture
def ends() -> Iterator[tuple[socket, Line]]:
    ours, theirs = socketpair()
    ours.settimeout(20)
    line = Line(theirs, PATIENCE, Load(LOAD_BYTES_MAX))
    with ours:
        yield ours, line
    line.close()


@pytest.fixture
def client(ends: tuple[socket, Line]) -> socket:
    return ends[0]


@pytest.fixture
def line(ends: tuple[socket, Line]) -> Line:
    return ends[1]


def read_on(line: Line) -> None:
    """Read as long as there is anything to come."""
    while line.recv(65_536):
        pass


def test_a_head_that_never_ends_is_late(client: socket, line: Line) -> None:
    client.sendall(b"GET")
    assert line.recv(9) == b"GET"

    with pytest.raises(HeadLateError):
        line.recv(9)
    assert line.recv(9) == b""


def test_who_never_asks_is_not_told_anything(client: socket, line: Line) -> None:
    assert line.recv(9) == b""


def test_a_later_head_that_is_late_ends_the_line_without_a_word(
    client: socket, line: Line
) -> None:
    line.await_body(bool)
    line.await_request(idle_s=60)
    client.sendall(b"GET")
    assert line.recv(9) == b"GET"

    assert line.recv(9) == b""


def test_an_idle_line_ends(client: socket, line: Line) -> None:
    line.await_body(bool)
    line.await_request(PATIENCE.idle_s)

    assert line.recv(9) == b""


def test_a_body_below_the_lowest_rate_is_cut_off_long_before_its_deadline(
    client: socket, line: Line
) -> None:
    told_to_close: list[bool] = []
    line.await_body(lambda: told_to_close.append(True))

    def drip() -> None:
        while not told_to_close:
            client.sendall(b"x")
            gevent.sleep(0.02)

    dripping = gevent.spawn(drip)
    with pytest.raises(BodyLateError):
        read_on(line)
    dripping.join()

    assert told_to_close == [True]


def test_a_body_may_take_as_long_as_it_keeps_the_lowest_rate(
    client: socket, line: Line
) -> None:
    line.await_body(bool)
    client.sendall(b"x" * 200_000)
    received = 0
    while received < 200_000:
        received += len(line.recv(65_536))

    # The grace alone would be over: 200 kB have earned nothing more than that.
    gevent.sleep(PATIENCE.grace_s / 2)
    client.sendall(b"y")

    assert line.recv(9) == b"y"


def test_a_body_that_is_there_is_not_late_however_late_it_is_looked_at(
    client: socket, line: Line
) -> None:
    line.await_body(bool)
    client.sendall(b"x")

    gevent.sleep(2 * PATIENCE.grace_s)

    assert line.recv(9) == b"x"


def test_all_bodies_together_have_a_limit_and_what_is_answered_counts_no_more(
    client: socket, line: Line
) -> None:
    line.await_body(bool)
    sending = gevent.spawn(client.sendall, b"x" * LOAD_BYTES_MAX)
    received = 0
    while received < LOAD_BYTES_MAX:
        received += len(line.recv(65_536))
    client.sendall(b"x")

    with pytest.raises(CrowdedError):
        line.recv(1)
    sending.join()
    line.await_request(idle_s=60)

    assert line._load.bodies_bytes == 0


def test_a_head_has_a_greatest_size(client: socket, line: Line) -> None:
    sending = gevent.spawn(client.sendall, b"x" * (HEAD_BYTES_MAX + 1))

    with pytest.raises(HeadTooLargeError):
        read_on(line)

    sending.join()


def test_a_client_that_takes_nothing_has_hung_up(client: socket, line: Line) -> None:
    with pytest.raises(ConnectionResetError):
        line.sendall(b"x" * 10_000_000)


def test_a_client_that_reads_slowly_but_reads_gets_it_all(client: socket, line: Line) -> None:
    size = 3_000_000
    sending = gevent.spawn(line.sendall, b"x" * size)
    seen = 0
    while seen < size:
        seen += len(client.recv(200_000))
        gevent.sleep(0.005)

    sending.get()
    assert seen == size


def test_what_is_still_sent_at_the_close_is_thrown_away(client: socket, line: Line) -> None:
    closing = gevent.spawn(line.close)

    client.sendall(b"x" * 1_000_000)

    assert client.recv(9) == b""
    client.close()
    closing.join()
