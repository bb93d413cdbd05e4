"""Waiting, over real socket pairs: who is late is let go of, and nobody else."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent.socket import socketpair

from app.waiting import Waits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gevent.socket import socket

Ends = tuple["socket", "socket"]


@pytest.fixture
def pairs() -> Iterator[list[Ends]]:
    with ExitStack() as stack:
        made = [socketpair() for _ in range(3)]
        for each in (end for pair in made for end in pair):
            each.settimeout(20)
            stack.enter_context(each)
        yield made


def received(waits: Waits, end: socket) -> bytes:
    waits.until_ready(end._read_event)  # type: ignore[attr-defined]  # gevent's stubs omit it
    return end.recv(9)


def test_what_comes_ends_the_wait(pairs: list[Ends]) -> None:
    ours, theirs = pairs[0]
    waiting = gevent.spawn(received, Waits(20), ours)
    gevent.sleep(0)

    theirs.sendall(b"x")

    assert waiting.get(timeout=20) == b"x"


def test_who_waits_too_long_is_let_go_of(pairs: list[Ends]) -> None:
    waits = Waits(0.05)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            received(waits, pairs[0][0])


def test_each_is_late_by_its_own_beginning(pairs: list[Ends]) -> None:
    waits = Waits(0.2)
    late = [gevent.spawn(received, waits, ours) for ours, _ in pairs[:2]]
    gevent.sleep(0.15)
    in_time = gevent.spawn(received, waits, pairs[2][0])

    gevent.joinall(late)
    pairs[2][1].sendall(b"x")

    assert [type(each.exception) for each in late] == [TimeoutError, TimeoutError]
    assert in_time.get(timeout=20) == b"x"


def test_who_was_ended_otherwise_is_not_let_go_of_later(pairs: list[Ends]) -> None:
    waits = Waits(0.1)
    ours = pairs[0][0]

    given_up = gevent.spawn(received, waits, ours)
    gevent.sleep(0)
    given_up.kill()
    gevent.sleep(0.2)
    pairs[0][1].sendall(b"x")

    assert received(waits, ours) == b"x"


def test_who_is_ended_by_another_who_is_late_is_in_nobodys_way(pairs: list[Ends]) -> None:
    waits = Waits(0.1)

    def end_the_next() -> None:
        with pytest.raises(TimeoutError):
            received(waits, pairs[0][0])
        ended.throw(gevent.GreenletExit)

    gevent.spawn(end_the_next)
    ended = gevent.spawn(received, waits, pairs[1][0])
    last = gevent.spawn(received, waits, pairs[2][0])

    gevent.joinall([ended, last], timeout=20)

    assert isinstance(ended.value, gevent.GreenletExit)
    assert isinstance(last.exception, TimeoutError)
