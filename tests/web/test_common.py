from __future__ import annotations

from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.wsgi import create

from app.web.common import common
from tests.integration.test_wire import AMBIGUOUS

LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
HEAD = (
    LINE
    + b"Host: house:8000\r\nAuthorization: Bearer sk-1\r\nContent-Type: application/json\r\n"
    b"X-Stainless-Retry-Count:0\r\nAccept: */*\t \r\nUser-Agent: client/1 (a; b)\r\n"
    b"Connection: Keep-Alive\r\nX-Forwarded-For: 203.0.113.7\r\nContent-Length: 2\r\n"
)
RARE = {
    "another method": HEAD.replace(b"POST", b"PUT"),
    "another path": HEAD.replace(b"completions", b"complete"),
    "a query": HEAD.replace(b"completions", b"completions?a=b"),
    "an absolute address": HEAD.replace(b"/v1", b"http://house/v1"),
    "an escaped path": HEAD.replace(b"/v1/", b"/v1/%63"),
    "HTTP/1.0": HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no host": HEAD.replace(b"Host:", b"Hosts:"),
    "no length": HEAD.replace(b"Content-Length: 2\r\n", b""),
    "a huge length": HEAD.replace(b"Length: 2", b"Length: 200000000"),
    "a length in other digits": HEAD.replace(b"Length: 2", b"Length: \xc2\xb2"),
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n",
    "an expectation": HEAD + b"Expect: 100-continue\r\n",
    "an upgrade": HEAD + b"Upgrade: h2c\r\n",
    "a last request": HEAD.replace(b"Keep-Alive", b"close"),
    "a field twice": HEAD + b"Accept: a\r\n",
    "a field twice in another case": HEAD + b"ACCEPT: a\r\n",
    "a length twice": HEAD + b"Content-Length: 2\r\n",
    "an underscore": HEAD + b"Content_Length: 3\r\n",
    "an empty value": HEAD + b"A:\r\n",
    "a value beyond ASCII": HEAD + "A: é\r\n".encode(),
    "words of two proxies": HEAD + b"X-Forwarded-Proto: https\r\nX-Forwarded-SSL: off\r\n",
    "too many fields": HEAD + b"".join(b"A%d: b\r\n" % number for number in range(64)),
}


def as_gunicorn_reads(request: bytes) -> dict[str, Any]:
    settings = Config()
    settings.set("limit_request_field_size", 65_000)
    read = next(RequestParser(settings, iter([request]), ("127.0.0.1", 1)))
    _, environ = create(read, None, ("127.0.0.1", 1), ("127.0.0.1", 2), settings)
    return dict(environ)


def test_a_common_request_says_what_gunicorn_reads_in_it() -> None:
    found = common(HEAD)

    assert found is not None
    assert found.length == 2
    theirs = as_gunicorn_reads(HEAD + b"\r\n{}")
    kept = {name: value for name, value in theirs.items() if name.startswith("HTTP_")}
    wanted = ("CONTENT_TYPE", "CONTENT_LENGTH", "PATH_INFO", "RAW_URI")
    assert found.environ == kept | {name: theirs[name] for name in wanted}


@pytest.mark.parametrize("head", RARE.values(), ids=RARE)
def test_what_is_rare_is_not_common(head: bytes) -> None:
    assert common(HEAD) is not None
    assert common(head) is None


@pytest.mark.parametrize("request_", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_not_common(request_: bytes) -> None:
    head = request_.partition(b"\r\n\r\n")[0] + b"\r\n"

    assert common(head.replace(b"/v1/balance/create", b"/v1/chat/completions")) is None


def test_every_byte_that_is_changed_is_read_as_gunicorn_reads_it_or_left_to_it() -> None:
    for place in range(len(HEAD)):
        for byte in b"\0\t\n\r :_,a2\x7f\xff":
            changed = HEAD[:place] + bytes([byte]) + HEAD[place + 1 :]

            found = common(changed)

            if found is not None:
                theirs = as_gunicorn_reads(changed + b"\r\n{}")
                assert found.environ.items() <= theirs.items()
