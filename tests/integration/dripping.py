"""Clients that take their time: with their heads, their bodies, or with what they are sent."""

from __future__ import annotations

import json
import select
import threading
import time
from typing import TYPE_CHECKING, Self

from tests.integration.client import chat_body
from tests.integration.house import QUESTION
from tests.integration.raw import chat_head, connect, read_to_end

if TYPE_CHECKING:
    from tests.integration.client import Client

DRIP_EVERY_S = 0.2
# More than all buffers on the way can hold.
FLOOD = "gpt-4o-mini+flood-600"


class Dripper:
    """One slow client: it sends `at_once`, then a byte of `drops` now and then.

    It reads nothing before it is asked for its end, and then all there is.
    """

    def __init__(self, base_url: str, at_once: bytes, drops: bytes) -> None:
        self._connection = connect(base_url)
        self._connection.sendall(at_once)
        self._drops = drops

    def drip(self) -> bool:
        """Send one more byte; tell whether the service still takes them."""
        drop, self._drops = self._drops[:1], self._drops[1:]
        try:
            self._connection.sendall(drop)
        except OSError:
            return False
        return True

    @property
    def is_hanging(self) -> bool:
        """Tell whether the service has neither answered nor hung up."""
        return select.select([self._connection], [], [], 0) == ([], [], [])

    def read_to_end(self) -> bytes:
        """Return all that was sent; the service must have hung up, or do so now."""
        with self._connection:
            return read_to_end(self._connection)


def slow_head(client: Client) -> Dripper:
    head = chat_head(client.bearer, 0)
    return Dripper(client.base_url, head[:20], head[20:] * 100)


def slow_body(client: Client) -> Dripper:
    body = json.dumps(chat_body(stream=False, model=FLOOD, question=QUESTION)).encode()
    return Dripper(client.base_url, chat_head(client.bearer, 10_000), body + b" " * 10_000)


def slow_reader(client: Client) -> Dripper:
    body = json.dumps(chat_body(stream=True, model=FLOOD, question=QUESTION)).encode()
    return Dripper(client.base_url, chat_head(client.bearer, len(body)) + body, b"")


class Crowd:
    """Many slow clients, kept dripping by a thread while the `with` block lasts."""

    def __init__(self, drippers: list[Dripper]) -> None:
        self.drippers = drippers
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._drip)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _drip(self) -> None:
        taking = list(self.drippers)
        while taking and not self._ending.is_set():
            taking = [dripper for dripper in taking if dripper.drip()]
            time.sleep(DRIP_EVERY_S)
