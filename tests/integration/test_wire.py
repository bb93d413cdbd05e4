"""What is not clean HTTP is refused by the real gunicorn, in the words of OpenAI's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.client import open_account
from tests.integration.raw import Answer, connect, exchange, read_to_end

if TYPE_CHECKING:
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = pytest.mark.integration

POST = b"POST /v1/balance/create HTTP/1.1\r\nHost: house\r\n"
GET = b"GET /v1/info HTTP/1.1\r\nHost: house\r\n"
SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: house\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"

# A proxy in front and this server must never see different requests in the same bytes
# (RFC 9112, 11.2).
AMBIGUOUS = {
    "length and chunks": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunks and length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    ),
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "the same length twice": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length in hex": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "a length with a space in it": POST + b"Content-Length: 1 0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two lines of chunked": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, then identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "identity alone": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "gzip alone": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "chunked in HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n0\r\n\r\n",
    "chunked by another name": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked behind a tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 0\r\n\r\n",
    "a folded field": POST + b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a field without a name": POST + b": b\r\n\r\n",
    "a field without a colon": POST + b"Content-Length\r\n\r\n",
    "a null byte": POST + b"X-A: b\x00c\r\n\r\n",
    "a return alone": POST + b"X-A: b\rContent-Length: 9\r\n\r\n",
    "lines that end with LF": GET.replace(b"\r\n", b"\n") + b"\n",
    "one line that ends with LF": GET + b"X-A: b\nX-B: c\r\n\r\n",
    "two hosts": GET + b"Host: other\r\n\r\n",
    "a lower-case method": GET.replace(b"GET", b"get") + b"\r\n",
    "HTTP/0.9": b"GET /v1/info\r\n\r\n",
    "HTTP/2.0": GET.replace(b"HTTP/1.1", b"HTTP/2.0") + b"\r\n",
    "a space in the address": GET.replace(b"/v1/info", b"/v1/in fo") + b"\r\n",
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}
BAD_CHUNKS = {
    "a negative size": b"-1\r\n",
    "a size with 0x": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a size with a plus": b"+2\r\n{}\r\n0\r\n\r\n",
    "a size with a space": b"2 \r\n{}\r\n0\r\n\r\n",
    "a size with an underscore": b"0_2\r\n{}\r\n0\r\n\r\n",
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "a size that ends with LF": b"2\n{}\r\n0\r\n\r\n",
    "more data than its size": b"1\r\n{}\r\n0\r\n\r\n",
    "a return in an extension": b"2;a\rb\r\n{}\r\n0\r\n\r\n",
    "a length among the trailers": b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n",
}


def is_told_well(answer: Answer) -> bool:
    """Tell whether every SDK, every browser and our own log can make sense of it."""
    kinds = {type(answer.error[name]) for name in ("message", "type", "code")}
    return (
        kinds == {str}
        and answer.headers["content-type"] == "application/json"
        and answer.headers["access-control-allow-origin"] == "*"
        and len(answer.headers["x-request-id"]) == 36
    )


@pytest.mark.parametrize("request_", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_read(
    request_: bytes, service: Service
) -> None:
    answer = exchange(service.base_url, request_ + SMUGGLED)

    assert answer.status in {400, 501}
    assert answer.headers["connection"] == "close"
    assert answer.rest == b""
    assert is_told_well(answer)


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_malformed_chunks_are_refused_and_nothing_behind_them_is_read(
    chunks: bytes, service: Service
) -> None:
    answer = exchange(service.base_url, CHUNKED + b"\r\n" + chunks + SMUGGLED)

    assert answer.status == 400
    assert answer.rest == b""
    assert is_told_well(answer)


LIMITS = {
    "an address that is too long": (GET.replace(b"/v1", b"/" * 9_000) + b"\r\n", 414),
    "a field that is too large": (GET + b"X-A: " + b"b" * 66_000 + b"\r\n\r\n", 431),
    "too many fields": (GET + b"X-A: b\r\n" * 200 + b"\r\n", 431),
    "a head that is too large": (GET + (b"X-A: " + b"b" * 60_000 + b"\r\n") * 5, 431),
    "an expectation": (GET + b"Expect: 200-ok\r\n\r\n", 417),
    "an unknown coding": (POST + b"Transfer-Encoding: br\r\n\r\n", 501),
    "a body that is too large": (
        POST + b"Connection: close\r\nContent-Length: 99999999\r\n\r\n", 413
    ),
    "no such method": (GET.replace(b"GET", b"BREW") + b"Connection: close\r\n\r\n", 405),
    "no such address": (
        GET.replace(b"/v1/info", b"/v1/nothing") + b"Connection: close\r\n\r\n", 404
    ),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "status"), LIMITS.values(), ids=LIMITS)
def test_every_refusal_is_json_whoever_refuses(
    request_: bytes, status: int, service: Service
) -> None:
    answer = exchange(service.base_url, request_)

    assert answer.status == status
    assert is_told_well(answer)


def test_a_credential_in_a_malformed_field_is_neither_told_nor_logged(
    service: Service,
) -> None:
    secret = b"sk-" + b"5" * 40

    answer = exchange(service.base_url, GET + b"Authoriz ation: " + secret + b"\r\n\r\n")

    assert answer.status == 400
    assert secret not in answer.body
    assert secret.decode() not in service.log


def test_a_client_that_is_refused_while_it_sends_can_read_why(service: Service) -> None:
    with connect(service.base_url) as connection:
        connection.sendall(POST + b"Connection: close\r\nContent-Length: 30000000\r\n\r\n")
        for _ in range(30):
            connection.sendall(b"x" * 100_000)
        seen = read_to_end(connection)

    assert seen.startswith(b"HTTP/1.1 413 ")


def test_requests_sent_in_one_piece_are_answered_in_their_order(
    service: Service, mint: RealMint
) -> None:
    key = open_account(service.base_url, mint.fund(10)).bearer.encode()
    first = GET.replace(b"/v1/info", b"/v1/balance/info") + b"Authorization: Bearer " + key
    last = GET + b"Connection: close\r\n\r\n"

    answer = exchange(service.base_url, first + b"\r\n\r\n" + last)

    assert b'"balance"' in answer.body
    assert answer.rest.startswith(b"HTTP/1.1 200 ")
