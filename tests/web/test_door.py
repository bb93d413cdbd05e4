"""Whoever comes while there is no room is told so at the door, and nothing else is."""

from __future__ import annotations

import socket as plain
from contextlib import closing
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent import socket
from gevent.pool import Pool

from app.web.door import SOME, Door
from app.web.wire import crowded

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = b'{"model": "m"}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: house\r\n"
WHOLE = b"%bContent-Length: %d\r\n\r\n%b" % (HEAD, len(BODY), BODY)
SERVED = b"served"
PAUSE_S = 0.05
ONE = 1


class House:
    """A door, and what is behind it: a handler that reads all it is sent and says so."""

    def __init__(self) -> None:
        self.is_full = False
        self.refused = 0
        self.seen: list[bytes] = []
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        self.place = listener.getsockname()
        self.door = Door(
            listener, self._handle, Pool(10), ONE, lambda: self.is_full, self._refusal
        )
        self.door.start()

    def _refusal(self) -> bytes:
        self.refused += 1
        return crowded(is_last=True)

    def _handle(self, client: socket.socket, _address: object) -> None:
        with closing(client):
            self.seen.append(client.recv(1_000))
            client.sendall(SERVED)

    def ask(self, data: bytes) -> bytes:
        """Return all that is answered, when the door opens to what is there already."""
        with closing(plain.create_connection(self.place)) as line:
            line.sendall(data)
            gevent.sleep(PAUSE_S)
            line.settimeout(1.0)
            answer = b""
            while piece := line.recv(1_000):
                answer += piece
            return answer


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.door.stop()


def test_where_there_is_room_all_come_in(house: House) -> None:
    assert house.ask(WHOLE) == SERVED
    assert house.seen == [WHOLE]


def test_who_finds_no_room_is_told_at_the_door(house: House) -> None:
    house.is_full = True

    answer = house.ask(WHOLE)

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 2\r\n" in answer
    assert house.seen == []
    assert house.refused == 1


@pytest.mark.parametrize(
    "data",
    [WHOLE[:-1], HEAD, WHOLE + WHOLE, b"GET /v1/info HTTP/1.1\r\nHost: house\r\n\r\n"],
    ids=["a body to come", "half a head", "two at once", "another route"],
)
def test_what_is_not_one_whole_common_request_comes_in_untouched(
    house: House, data: bytes
) -> None:
    house.is_full = True

    assert house.ask(data) == SERVED
    assert house.seen == [data]
    assert house.refused == 0


def test_who_says_nothing_yet_comes_in_and_is_waited_for(house: House) -> None:
    house.is_full = True
    with closing(plain.create_connection(house.place)) as line:
        gevent.sleep(PAUSE_S)
        line.sendall(WHOLE)
        gevent.sleep(PAUSE_S)

        assert line.recv(1_000) == SERVED
    assert house.seen == [WHOLE]


def test_more_are_let_in_at_a_time_only_to_be_told(house: House) -> None:
    house.is_full = True
    house.ask(WHOLE)
    full = house.door.max_accept
    house.is_full = False
    house.ask(WHOLE)

    assert (full, house.door.max_accept) == (SOME, ONE)
