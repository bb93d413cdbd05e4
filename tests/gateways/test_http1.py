from __future__ import annotations

import socket
from contextlib import closing

import pytest

from app.gateways.http1 import Answer, Connection, NotHttpError

OK = b"HTTP/1.1 200 OK\r\n"
IN_CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
ANSWERS = {
    "of known length": OK + b"Content-Length: 9\r\n\r\nnine here",
    "in chunks": IN_CHUNKS + b"4\r\nnine\r\n5;a=b\r\n here\r\n0\r\n\r\n",
    "in chunks with trailers": IN_CHUNKS + b"9\r\nnine here\r\n000\r\nA: b\r\nC: d\r\n\r\n",
    "after interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        + OK
        + b"content-length: 9\r\n\r\nnine here"
    ),
}
UNCLEAN = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "a status that is none": b"HTTP/1.1 2000 OK\r\n\r\n",
    "lines that end with LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
    "one line that ends with LF": OK + b"A: b\nContent-Length: 1\r\n\r\n",
    "a return alone": OK + b"A: b\rContent-Length: 1\r\n\r\n",
    "a null byte": OK + b"A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": OK + b"Content-Length : 0\r\n\r\n",
    "a folded field": OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a field without a name": OK + b": b\r\nContent-Length: 0\r\n\r\n",
    "a field without a colon": OK + b"Content-Length\r\n\r\n",
    "two lengths": OK + b"Content-Length: 0\r\nContent-Length: 4\r\n\r\n",
    "a signed length": OK + b"Content-Length: +4\r\n\r\n",
    "a negative length": OK + b"Content-Length: -4\r\n\r\n",
    "a length in hex": OK + b"Content-Length: 0x4\r\n\r\n",
    "length and chunks": (
        OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunked twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "another coding": OK + b"Transfer-Encoding: gzip\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk with a negative size": IN_CHUNKS + b"-1\r\nab\r\n0\r\n\r\n",
    "a chunk with a size in 0x": IN_CHUNKS + b"0x2\r\nab\r\n0\r\n\r\n",
    "a chunk without a size": IN_CHUNKS + b"\r\nab\r\n0\r\n\r\n",
    "a size that ends with LF": IN_CHUNKS + b"2\nab\r\n0\r\n\r\n",
    "a chunk longer than its size": IN_CHUNKS + b"1\r\nab\r\n0\r\n\r\n",
    "a return in an extension": IN_CHUNKS + b"2;a\rb\r\nab\r\n0\r\n\r\n",
    "a size without an end": IN_CHUNKS + b"2;" + b"a" * 2000,
    "trailers without an end": IN_CHUNKS + b"0\r\n" + b"A: b\r\n" * 4000,
    "a head without an end": OK + b"A: b\r\n" * 20_000,
    "only interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 9,
    "an end in the head": OK + b"Content-Length: 4\r\n",
    "an end in the body": OK + b"Content-Length: 4\r\n\r\nabc",
    "an end in a chunk": IN_CHUNKS + b"4\r\nabc",
    "an end between chunks": IN_CHUNKS + b"3\r\nabc\r\n",
    "an end in the trailers": IN_CHUNKS + b"0\r\nA: b\r\n",
}


class Pieces(Connection):
    """A connection on which just these `pieces` come, and then its end."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [piece for piece in pieces if piece]
        super().__init__(socket.socket())
        self._socket.close()

    def asked(self) -> Answer:
        return self._answer()

    def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def whole(answer: Answer) -> bytes:
    return b"".join(iter(answer.read, b""))


@pytest.mark.parametrize("sent", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_the_same_wherever_it_is_cut(sent: bytes) -> None:
    for place in range(len(sent) + 1):
        answer = Pieces(sent[:place], sent[place:]).asked()

        assert (answer.head.status, whole(answer)) == (200, b"nine here")
        assert answer.is_kept


@pytest.mark.parametrize("sent", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_the_same_byte_by_byte(sent: bytes) -> None:
    answer = Pieces(*(bytes([byte]) for byte in sent)).asked()

    assert whole(answer) == b"nine here"
    assert answer.is_kept


@pytest.mark.parametrize("sent", UNCLEAN.values(), ids=UNCLEAN)
@pytest.mark.parametrize("piece_bytes", [1, 65_536])
def test_what_is_not_clean_is_no_answer(sent: bytes, piece_bytes: int) -> None:
    pieces = (sent[at : at + piece_bytes] for at in range(0, len(sent), piece_bytes))

    with pytest.raises(NotHttpError):
        whole(Pieces(*pieces).asked())


@pytest.mark.parametrize("sent", ANSWERS.values(), ids=ANSWERS)
def test_after_an_answer_that_nobody_asked_for_no_other_is_asked_for(sent: bytes) -> None:
    answer = Pieces(sent + NEXT).asked()

    assert whole(answer) == b"nine here"
    assert not answer.is_kept


@pytest.mark.parametrize(
    "head",
    [
        OK + b"Connection: close\r\nContent-Length: 0\r\n",
        OK + b"Connection: x, Close\r\nContent-Length: 0\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n",
    ],
)
def test_a_server_that_will_hang_up_is_not_asked_again(head: bytes) -> None:
    answer = Pieces(head + b"\r\n").asked()

    assert answer.is_over
    assert not answer.is_kept


def test_an_older_server_may_keep_the_connection() -> None:
    head = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"

    assert Pieces(head).asked().is_kept


def test_without_a_length_an_answer_ends_with_its_connection() -> None:
    answer = Pieces(OK + b"\r\nall ", b"of it").asked()

    assert whole(answer) == b"all of it"
    assert not answer.is_kept


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_answers_have_no_body_whatever_they_say(status: bytes) -> None:
    answer = Pieces(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n").asked()

    assert whole(answer) == b""
    assert answer.is_kept


def test_a_field_that_comes_twice_is_one_list() -> None:
    answer = Pieces(OK + b"A: b\r\na:  c\t\r\nContent-Length: 0\r\n\r\n").asked()

    assert answer.head.fields["a"] == "b, c"


def test_the_end_that_comes_behind_the_last_event_is_read_over() -> None:
    ours, theirs = socket.socketpair()
    with closing(Connection(ours)) as connection, theirs:
        ours.settimeout(5)
        theirs.sendall(IN_CHUNKS + b"3\r\nabc\r\n")
        answer = connection.ask(b"x")
        answer.read()

        theirs.sendall(b"0\r\n\r\n")
        answer.skip()

        assert answer.is_kept
        assert connection.is_at_rest()


def test_what_has_not_come_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with closing(Connection(ours)) as connection, theirs:
        ours.settimeout(5)
        theirs.sendall(IN_CHUNKS + b"3\r\nabc\r\n")
        answer = connection.ask(b"x")
        answer.read()

        answer.skip()

        assert not answer.is_over
        assert ours.gettimeout() == 5


@pytest.mark.parametrize("is_ended", [True, False])
def test_a_connection_that_speaks_unasked_is_not_at_rest(*, is_ended: bool) -> None:
    ours, theirs = socket.socketpair()
    with closing(Connection(ours)) as connection, theirs:
        if is_ended:
            theirs.close()
        else:
            theirs.sendall(b"HTTP/1.1 408 Request Timeout\r\n")

        assert not connection.is_at_rest()
