"""A server on localhost that answers every connection with the bytes it was given."""

from __future__ import annotations

import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence


class CannedServer:
    """Answers with `parts`, one after the other, `pause_s` between them."""

    def __init__(self, *parts: bytes, pause_s: float = 0.0) -> None:
        self._parts: Sequence[bytes] = parts
        self._pause_s = pause_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.requests: list[bytes] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(_request(connection))
                self._send(connection)

    def _send(self, connection: socket.socket) -> None:
        try:
            for part in self._parts:
                connection.sendall(part)
                time.sleep(self._pause_s)
        except OSError:
            return


def _request(connection: socket.socket) -> bytes:
    """Read a whole request: closing before its end would break the connection."""
    with connection.makefile("rb") as stream:
        head = b""
        while (line := stream.readline()) not in {b"\r\n", b""}:
            head += line
        length = re.search(rb"content-length: (\d+)", head.lower())
        return head + stream.read(int(length[1]) if length else 0)


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return the bytes of an HTTP answer that ends with the connection."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
