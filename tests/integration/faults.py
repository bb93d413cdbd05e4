"""A proxy that loses requests, or answers, as a network does at the worst of moments."""

from __future__ import annotations

import socketserver
import threading
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


class FaultProxy:
    """Stands before `base_url` while the `with` block lasts; each connection is one request.

    The `fates` come one after the other, and the last one for all that follow.
    """

    def __init__(self, base_url: str, fates: list[Fate]) -> None:
        self.base_url = base_url
        self._fates = fates
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

    def next_fate(self) -> Fate:
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
        fate = self.server.proxy.next_fate()
        if fate is Fate.REQUEST_LOST:
            return
        with connect(self.server.proxy.base_url) as connection:
            connection.sendall(request)
            answer = read_to_end(connection)
        if fate is Fate.ANSWERED:
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
    return b"\r\n".join((*kept, b"Connection: close", b"", b"")) + body
