"""A proxy that loses requests, or answers, as a network does at the worst of moments."""

from __future__ import annotations

import socketserver
import threading
import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Self

from tests.integration.raw import WAIT_MAX_S, connect, read_to_end

if TYPE_CHECKING:
    import socket

READ_BYTES = 65_536


class Fate(Enum):
    """What becomes of one request."""

    ANSWERED = auto()
    REQUEST_LOST = auto()
    ANSWER_LOST = auto()
    DELAYED = auto()
    SERVER_ERROR = auto()
    RATE_LIMITED = auto()


DELAY_S = 1.5
FROM_AFAR = b"X-Forwarded-For: 192.0.2.7"
NO_BODY = b"Content-Length: 0\r\nConnection: close\r\n\r\n"
REFUSALS = {
    Fate.SERVER_ERROR: b"HTTP/1.1 503 Service Unavailable\r\n",
    Fate.RATE_LIMITED: b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n",
}


class FaultProxy:
    """Stands before `base_url` while the `with` block lasts; each connection is one request.

    The `fates` come one after the other, and the last one for all that follow. With `at`,
    only requests whose first line ends in that path have a fate; the others are answered.
    """

    def __init__(self, base_url: str, fates: list[Fate], at: str = "") -> None:
        self.base_url = base_url
        self._fates = fates
        self._at = at
        self._lock = threading.Lock()
        self.requests = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def next_fate(self, request: bytes) -> Fate:
        path = request.split(b" ", 2)[1].decode()
        if not path.endswith(self._at):
            return Fate.ANSWERED
        with self._lock:
            fate = self._fates[min(self.requests, len(self._fates) - 1)]
            self.requests += 1
            return fate


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False
    proxy: FaultProxy


class _Handler(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(WAIT_MAX_S)
        request = _one_request(self.request)
        if not request:
            return
        fate = self.server.proxy.next_fate(request)
        if fate is Fate.REQUEST_LOST:
            return
        if fate in REFUSALS:
            self.request.sendall(REFUSALS[fate] + NO_BODY)
            return
        with connect(self.server.proxy.base_url) as connection:
            connection.sendall(request)
            answer = read_to_end(connection)
        if fate is Fate.DELAYED:
            time.sleep(DELAY_S)
        if fate is not Fate.ANSWER_LOST:
            self.request.sendall(answer)


def _one_request(connection: socket.socket) -> bytes:
    """Read one request, and make it the last one of its connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        some = connection.recv(READ_BYTES)
        if not some:
            return b""
        data += some
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    sizes = [line for line in lines if line.lower().startswith(b"content-length:")]
    size = int(sizes[0].partition(b":")[2]) if sizes else 0
    while len(body) < size:
        body += connection.recv(READ_BYTES)
    kept = [line for line in lines if not line.lower().startswith(b"connection:")]
    return b"\r\n".join((*kept, b"Connection: close", FROM_AFAR, b"", b"")) + body
