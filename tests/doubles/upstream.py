"""A double of the upstream that can be told to misbehave, and remembers what it was asked.

Left alone it answers what the sample upstream answers. It is told how to misbehave by
`behave`, or by the model's name: `gpt-4o-mini+drop-3+delay-20` is cut after three chunks
that are 20 ms apart, and `+flood-500` sends 500 pieces of 10 kB each.
"""

from __future__ import annotations

import gzip
import json
import socket
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from app.demo.sample_upstream import create_sample_upstream
from tests.doubles.dialects import dialects

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from flask import Flask

IDLE_TIMEOUT_S = 30.0
WAIT_S_MAX = 10.0
PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 10_000)
NOT_THERE = b'{"detail":"Not Found"}'
FAILURE = b'{"error":{"message":"the double was told to fail","type":"server_error"}}'


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the double departs from an honest answer; by default it does not."""

    status: int | None = None
    body: bytes | None = None
    chunks: Sequence[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    omits_usage: bool = False
    gzips: bool = False
    hangs_up_unanswered: bool = False
    drops_after_chunks: int | None = None

    def as_named(self, model: str) -> Behaviour:
        """Return the behaviour that the suffixes of `model` ask for."""
        behaviour = self
        for suffix in model.split("+")[1:]:
            name, _, number = suffix.partition("-")
            count = int(number or 0)
            behaviour = {
                "delay": replace(behaviour, chunk_delay_s=count / 1000),
                "drop": replace(behaviour, drops_after_chunks=count),
                "flood": replace(behaviour, chunks=[PIECE] * count),
                "hangup": replace(behaviour, hangs_up_unanswered=True),
                "nousage": replace(behaviour, omits_usage=True),
                "slow": replace(behaviour, answer_delay_s=count / 1000),
                "status": replace(behaviour, status=count),
            }[name]
        return behaviour


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request as it reached the double; header names are in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, object]:
        document: dict[str, object] = json.loads(self.body)
        return document


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content_type: str
    chunks: Sequence[bytes]
    streams: bool


class UpstreamDouble:
    """A server on localhost, up while the `with` block runs.

    Paths that it `lacks` it knows nothing of, whatever it is told to do.
    """

    def __init__(self, lacks: Collection[str] = ()) -> None:
        self.lacks = lacks
        self.requests: list[SeenRequest] = []
        self.cut_streams = 0
        self.behaviour = Behaviour()
        self.stopping = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def connections(self) -> int:
        """How many connections were ever made to it."""
        return len(self._server.connections)

    def behave(self, behaviour: Behaviour) -> None:
        """Answer like this from now on."""
        self.behaviour = behaviour

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, double: UpstreamDouble) -> None:
        self.double = double
        self.sample: Flask = create_sample_upstream()
        self.sample.register_blueprint(dialects)
        self.connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def hang_up(self) -> None:
        """End every connection, so that the threads which read them end too."""
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other side was quicker

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that the tests cut."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_TIMEOUT_S
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("content-length", 0))))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Say nothing."""

    def _answer(self, body: bytes) -> None:
        double = self.server.double
        headers = {name.lower(): value for name, value in self.headers.items()}
        double.requests.append(SeenRequest(self.command, self.path, headers, body))
        if self.path in double.lacks:
            self._send(_Answer(404, "application/json", [NOT_THERE], streams=False))
            return
        behaviour = double.behaviour.as_named(_model(body))
        double.stopping.wait(min(behaviour.answer_delay_s, WAIT_S_MAX))
        if behaviour.hangs_up_unanswered:
            self.close_connection = True
            return
        self._send(_bent(self._honest_answer(body, headers), behaviour), behaviour)

    def _send(self, answer: _Answer, behaviour: Behaviour = Behaviour()) -> None:
        self.send_response(answer.status)
        self._send_headers(answer, behaviour)
        self._send_body(answer, behaviour)

    def _honest_answer(self, body: bytes, headers: Mapping[str, str]) -> _Answer:
        with self.server.sample.test_client() as client:
            honest = client.open(self.path, method=self.command, data=body, headers=headers)
            return _Answer(
                status=honest.status_code,
                content_type=honest.content_type,
                chunks=list(honest.iter_encoded()),
                streams=honest.content_type.startswith(("text/event-stream", "audio/")),
            )

    def _send_headers(self, answer: _Answer, behaviour: Behaviour) -> None:
        headers = {"content-type": answer.content_type}
        if behaviour.gzips:
            headers["content-encoding"] = "gzip"
        if answer.streams:
            headers["transfer-encoding"] = "chunked"
        else:
            headers["content-length"] = str(sum(map(len, answer.chunks)))
        for name, value in {**headers, **behaviour.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_body(self, answer: _Answer, behaviour: Behaviour) -> None:
        double = self.server.double
        try:
            for place, chunk in enumerate(answer.chunks):
                if place == behaviour.drops_after_chunks:
                    self.close_connection = True
                    return
                framed = b"%x\r\n%b\r\n" % (len(chunk), chunk) if answer.streams else chunk
                self.wfile.write(framed)
                double.stopping.wait(min(behaviour.chunk_delay_s, WAIT_S_MAX))
            if answer.streams:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            double.cut_streams += 1
            self.close_connection = True


def _bent(answer: _Answer, behaviour: Behaviour) -> _Answer:
    """Return the honest `answer` as `behaviour` changes it."""
    if behaviour.status is not None:
        answer = _Answer(behaviour.status, "application/json", [FAILURE], streams=False)
    if behaviour.omits_usage:
        answer = replace(answer, chunks=list(_without_usage(answer.chunks)))
    if behaviour.body is not None:
        answer = replace(answer, chunks=[behaviour.body], streams=False)
    if behaviour.chunks is not None:
        answer = replace(answer, chunks=list(behaviour.chunks), streams=True)
    if behaviour.gzips:
        answer = replace(answer, chunks=[gzip.compress(chunk) for chunk in answer.chunks])
    return answer


def _model(body: bytes) -> str:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return ""
    return str(document.get("model", "")) if isinstance(document, dict) else ""


def _without_usage(chunks: Sequence[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if chunk.startswith(b"{"):
            document = json.loads(chunk)
            document.pop("usage", None)
            yield json.dumps(document).encode()
        elif b'"choices":[],' not in chunk:
            yield chunk
