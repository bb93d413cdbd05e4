"""The clients of benchmarks: buyers who ask again at once, and readers of paced streams.

Raw connections in one event loop, which cost a small part of what is measured.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
from dataclasses import dataclass, field
from functools import partial
from statistics import quantiles
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

QUESTION = "Which half of the stick was kept by whom, and who could cut it? " * 8
WAIT_MAX_S = 60.0
SENT_AT = re.compile(rb'"content":"(\d+)"')
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
DONE = b"[DONE]"
STAMP_BYTES_MAX = 40
NS_PER_MS, MS_PER_S = 1e6, 1_000


@dataclass(frozen=True)
class Target:
    """Where requests go, whose keys they show, and what else they have to say."""

    port: int
    keys: Sequence[str]
    path: str = "/v1/chat/completions"
    headers: tuple[str, ...] = ()

    def request(self, number: int, model: str, *, stream: bool) -> bytes:
        document = {
            "model": model,
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": 100,
            "stream": stream,
        }
        body = json.dumps(document).encode()
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Content-Type: application/json",
            f"Authorization: Bearer {self.keys[number % len(self.keys)]}",
            "Accept: */*",
            "User-Agent: bench/1",
            *self.headers,
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Seen:
    """What the clients saw: times in ms, and how many were not answered as they should."""

    times_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    transit_ms: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0.0

    def __iadd__(self, other: Seen) -> Self:
        self.times_ms += other.times_ms
        self.first_ms += other.first_ms
        self.transit_ms += other.transit_ms
        self.failed += other.failed
        self.seconds += other.seconds
        return self


def percentile(values: Sequence[float], place: int) -> float:
    return quantiles(values, n=100)[place - 1] if len(values) > 1 else float("nan")


class _Client(asyncio.Protocol):
    """One connection, and the answer that comes on it."""

    def __init__(self, seen: Seen, ended: Callable[[], None]) -> None:
        self._seen = seen
        self._ended = ended
        self._data = b""
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> None:
        self._data = b""
        self._began_ns = monotonic_ns()
        self._transport.write(request)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._is_over:
            self._seen.failed += 1
            self.end()

    def end(self) -> None:
        self._is_over = True
        self._transport.close()
        self._ended()


C = TypeVar("C", bound=_Client)


class Buyer(_Client):
    """Asks for whole answers, one after the other, `every_s` seconds if that is longer."""

    def begin(self, request: bytes, until_s: float, every_s: float) -> None:
        self._request, self._until_s, self._every_s = request, until_s, every_s
        self.ask(request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, rest = self._data.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not end or (length is not None and len(rest) < int(length[1])):
            return
        if length is None and not rest.endswith(b"0\r\n\r\n"):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._seen.failed += 1
        took_ms = (monotonic_ns() - self._began_ns) / NS_PER_MS
        self._seen.times_ms.append(took_ms)
        rest_s = self._every_s - took_ms / MS_PER_S
        if rest_s > 0:
            asyncio.get_running_loop().call_later(rest_s, self._go_on)
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self._is_over:
            return
        if monotonic() < self._until_s:
            self.ask(self._request)
        else:
            self.end()


class Reader(_Client):
    """Asks for one stream, and looks how old its chunks are."""

    _is_whole = False

    def data_received(self, data: bytes) -> None:
        now_ns = monotonic_ns()
        text = self._data + data
        stamps = SENT_AT.findall(text)
        seen = self._seen
        if stamps and self._began_ns:
            seen.first_ms.append((now_ns - self._began_ns) / NS_PER_MS)
            self._began_ns = 0
        seen.transit_ms += [(now_ns - int(stamp)) / NS_PER_MS for stamp in stamps]
        self._data = text[text.rfind(b"}") + 1 :][-STAMP_BYTES_MAX:]
        self._is_whole = self._is_whole or DONE in text
        if text.endswith(b"0\r\n\r\n"):
            seen.failed += not self._is_whole
            self.end()


async def buy(
    target: Target,
    clients: int,
    seconds: float,
    model: str = "mock-1-0",
    every_s: float = 0.0,
) -> Seen:
    """Let so many buy all the time, or one thing `every_s` seconds; return what they saw."""
    seen = Seen()
    began_s = monotonic()
    until_s = began_s + seconds

    def begin(client: Buyer, number: int) -> None:
        client.begin(target.request(number, model, stream=False), until_s, every_s)

    pause_s = every_s / clients
    await _all(target, range(clients), lambda ended: Buyer(seen, ended), begin, pause_s)
    seen.seconds = monotonic() - began_s
    return seen


async def read(target: Target, streams: int, model: str, over_s: float) -> Seen:
    """Read so many streams at once, begun one by one in `over_s` seconds."""
    seen = Seen()
    began_s = monotonic()

    def begin(client: Reader, number: int) -> None:
        client.ask(target.request(number, model, stream=True))

    pause_s = over_s / streams
    await _all(target, range(streams), lambda ended: Reader(seen, ended), begin, pause_s)
    seen.seconds = monotonic() - began_s
    return seen


async def _all(
    target: Target,
    numbers: Iterable[int],
    make: Callable[[Callable[[], None]], C],
    begin: Callable[[C, int], None],
    pause_s: float,
) -> None:
    """Have a client for each number, one begun `pause_s` after the other, until all end."""
    loop = asyncio.get_running_loop()
    waiting = []
    next_s = monotonic()
    for number in numbers:
        ended: asyncio.Future[None] = loop.create_future()
        client = make(partial(ended.set_result, None))
        await loop.create_connection(partial(_same, client), "127.0.0.1", target.port)
        begin(client, number)
        waiting.append(ended)
        next_s += pause_s
        await asyncio.sleep(max(0.0, next_s - monotonic()))
    async with asyncio.timeout(WAIT_MAX_S):
        await asyncio.gather(*waiting)


def _same(client: C) -> C:
    return client


def quietly() -> None:
    """Let no collection of garbage come between a chunk and its clock."""
    gc.collect()
    gc.freeze()
    gc.disable()
