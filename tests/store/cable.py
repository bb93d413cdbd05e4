"""A cable to a server, which can be cut at the worst moment there is."""

from __future__ import annotations

import contextlib
import socket
from threading import Thread
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from types import TracebackType

CHUNK_BYTES = 65_536
WAIT_S = 20.0
COMMIT = b"COMMIT\x00"


class Cable:
    """Carries connections to the server at `url`, until it is armed.

    Armed to `swallow`, it lets the next COMMIT through and cuts the connection when the
    server has answered, so that nobody hears of it; armed to `cut`, it stops the COMMIT.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[Thread] = []
        self.armed = ""
        port = self._listener.getsockname()[1]
        user = f"{parts.username}:{parts.password}" if parts.password else parts.username
        self.url = urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}"))

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(WAIT_S)

    def _start(self, work: object, *parts: socket.socket) -> None:
        assert callable(work)
        thread = Thread(target=work, args=parts, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server, WAIT_S)
            server.settimeout(None)
            self._start(self._there, client, server)
            self._start(self._back, client, server)

    def _there(self, client: socket.socket, server: socket.socket) -> None:
        for said in iter(lambda: _read(client), b""):
            if self.armed and COMMIT in said:
                if self.armed == "cut":
                    break
                self.armed = "swallowing"
            _write(server, said)
        _hang_up(server)
        _hang_up(client)

    def _back(self, client: socket.socket, server: socket.socket) -> None:
        for said in iter(lambda: _read(server), b""):
            if self.armed == "swallowing":
                self.armed = ""
                break
            _write(client, said)
        _hang_up(client)
        _hang_up(server)


def _read(line: socket.socket) -> bytes:
    try:
        return line.recv(CHUNK_BYTES)
    except OSError:
        return b""


def _write(line: socket.socket, said: bytes) -> None:
    try:
        line.sendall(said)
    except OSError:
        line.close()


def _hang_up(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
