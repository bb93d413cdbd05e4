"""The express lane over a real socket pair, before an application of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.socket import socketpair

from app.web.common import WHOLE
from app.web.express import Body, Express, environ_of, peer_of
from app.web.line import Line, Load
from tests.web.test_line import LOAD_BYTES_MAX, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from gevent.socket import socket

PEER = peer_of(("203.0.113.7", 5), ("127.0.0.1", 8000))


class Application:
    """Answers with `pieces`, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status, self.fields = "200 OK", [("X-A", "b"), ("Content-Length", "4")]
        self.pieces: list[bytes] = [b"here"]
        self.asked: list[tuple[str, bytes]] = []
        self.whole: list[bytes | None] = []
        self.reads = True
        self.is_closed = False

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read() if self.reads else b""
        self.asked.append((environ["PATH_INFO"], body))
        self.whole.append(environ[WHOLE])
        start(self.status, self.fields)
        return self

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def ends() -> Iterator[tuple[socket, Line]]:
    ours, theirs = socketpair()
    ours.settimeout(20)
    line = Line(theirs, PATIENCE, Load(LOAD_BYTES_MAX))
    with ours:
        yield ours, line
    line.close()


def request_of(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = f"POST /v1/embeddings HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + body


def serve(application: Application, line: Line) -> bool:
    """Serve one request; tell whether it was a common one, and another may follow."""
    express = Express(application, environ_of({}))
    found = express.next(line)
    if found is None:
        return False
    request, data = found
    body = Body(line, data, request.length)
    reply = express.reply(line, body)
    line.await_body(reply.be_last)
    express.serve(request, body, reply, PEER)
    line.await_request(60)
    return not reply.is_last


def told(client: socket) -> tuple[list[str], bytes]:
    head, _, body = client.recv(65_536).partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


def test_head_and_body_go_out_in_one(
    application: Application, ends: tuple[socket, Line]
) -> None:
    client, line = ends
    client.sendall(request_of(b"{}"))

    assert serve(application, line)

    lines, body = told(client)
    assert lines[:2] == ["HTTP/1.1 200 OK", "Server: gunicorn"]
    assert lines[2].startswith("Date: ")
    assert lines[3:] == ["Connection: keep-alive", "X-A: b", "Content-Length: 4"]
    assert body == b"here"
    assert application.asked == [("/v1/embeddings", b"{}")]
    assert application.is_closed


def test_a_body_that_came_with_its_head_is_there_at_once(
    application: Application, ends: tuple[socket, Line]
) -> None:
    client, line = ends
    client.sendall(request_of(b"{}"))
    serve(application, line)
    client.sendall(request_of(b"{", 2))
    gevent.spawn_later(0.05, client.sendall, b"}")
    serve(application, line)

    assert application.whole == [b"{}", None]
    assert [body for _, body in application.asked] == [b"{}", b"{}"]


def test_what_has_no_length_goes_out_in_chunks(
    application: Application, ends: tuple[socket, Line]
) -> None:
    client, line = ends
    application.fields, application.pieces = [], [b"one", b"", b"x" * 17]
    client.sendall(request_of(b"{}"))

    assert serve(application, line)

    lines, body = told(client)
    assert lines[-1] == "Transfer-Encoding: chunked"
    assert body == b"3\r\none\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n"


def test_an_answer_without_a_body_has_none(
    application: Application, ends: tuple[socket, Line]
) -> None:
    client, line = ends
    application.status, application.fields = "204 No Content", []
    client.sendall(request_of(b"{}"))

    assert serve(application, line)

    assert told(client)[1] == b""


def test_a_body_that_comes_behind_its_head_is_waited_for(
    application: Application, ends: tuple[socket, Line]
) -> None:
    client, line = ends
    client.sendall(request_of(b"one ", 8))
    gevent.spawn_later(0.02, client.sendall, b"more" + request_of(b"{}"))

    assert serve(application, line)
    assert serve(application, line)

    assert [body for _, body in application.asked] == [b"one more", b"{}"]


def test_requests_sent_in_one_piece_are_answered_in_their_order(
    application: Application, ends: tuple[socket, Line]
) -> None:
    client, line = ends
    client.sendall(request_of(b"1") + request_of(b"22"))

    assert serve(application, line)
    assert serve(application, line)

    assert [body for _, body in application.asked] == [b"1", b"22"]


def test_a_line_ends_with_the_answer_to_a_body_that_nobody_has_read(
    application: Application, ends: tuple[socket, Line]
) -> None:
    client, line = ends
    application.reads = False
    client.sendall(request_of(b"half", 8))

    assert not serve(application, line)

    assert "Connection: close" in told(client)[0]


def test_a_client_that_ends_in_its_body_is_asked_no_more(
    application: Application, ends: tuple[socket, Line]
) -> None:
    client, line = ends
    client.sendall(request_of(b"half", 8))
    client.shutdown(1)

    assert not serve(application, line)

    assert application.asked[0][1] == b"half"


@pytest.mark.parametrize(
    "sent",
    [b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /v1/emb", b"\x16\x03\x01", b"\r\n"],
)
def test_what_is_not_common_stays_in_the_line(
    application: Application, ends: tuple[socket, Line], sent: bytes
) -> None:
    client, line = ends
    client.sendall(sent)

    assert not serve(application, line)

    assert line.recv(1) == sent[:1]
    assert len(sent) == 1 or line.recv(65_536) == sent[1:]


def test_a_line_break_in_a_header_field_is_never_sent(
    application: Application, ends: tuple[socket, Line]
) -> None:
    client, line = ends
    application.fields = [("X-A", "b\r\nSet-Cookie: c")]
    client.sendall(request_of(b"{}"))

    with pytest.raises(Exception, match="line break"):
        serve(application, line)

    assert application.is_closed
    line.close()
    assert client.recv(9) == b""


def test_a_body_can_be_read_in_pieces(ends: tuple[socket, Line]) -> None:
    client, line = ends
    body = Body(line, b"abcd", 6)
    client.sendall(b"efgh")

    pieces: list[Any] = [body.read(3), body.read(2), body.read(9), body.read()]

    assert pieces == [b"abc", b"de", b"f", b""]
    assert body.is_over


def test_a_socket_in_the_file_system_has_no_address() -> None:
    assert peer_of("", "/run/house.sock")["REMOTE_ADDR"] == ""
