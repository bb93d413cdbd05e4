"""Bytes on a socket, for what no HTTP library would send."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

WAIT_MAX_S = 30.0
READ_BYTES = 65_536


@dataclass(frozen=True)
class Answer:
    """One answer, and what came behind it before the connection ended."""

    status: int
    headers: dict[str, str]
    body: bytes
    rest: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error, as OpenAI's SDKs read it."""
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


def connect(base_url: str) -> socket.socket:
    port = int(base_url.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), WAIT_MAX_S)


def read_to_end(connection: socket.socket) -> bytes:
    """Return all that is sent until the other side ends the connection."""
    seen = b""
    try:
        while data := connection.recv(READ_BYTES):
            seen += data
    except ConnectionResetError:
        return seen
    return seen


def exchange(base_url: str, request: bytes) -> Answer:
    """Send `request`, and read until the service hangs up: it must do so by itself."""
    with connect(base_url) as connection:
        connection.sendall(request)
        return answer_of(read_to_end(connection))


def exchange_once(base_url: str, request: bytes) -> Answer:
    """Send `request` and that it was the last, so that no connection is kept for another."""
    with connect(base_url) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return answer_of(read_to_end(connection))


def answer_of(data: bytes) -> Answer:
    head, _, rest = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    size = int(headers["content-length"])
    return Answer(int(status.split(" ")[1]), headers, rest[:size], rest[size:])


def chat_head(bearer: str, size: int) -> bytes:
    """Return the head of a paid request with a body of `size` bytes."""
    return (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: house\r\n"
        f"Authorization: Bearer {bearer}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {size}\r\n\r\n"
    ).encode()
