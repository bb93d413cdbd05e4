"""The floor of a proxy: a bare WSGI application that forwards and bills nothing.

It runs on the same gunicorn and gevent as the house. `MOCK_PORT` is where it forwards to.
"""

from __future__ import annotations

import os
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

PORT = int(os.environ.get("MOCK_PORT", "0"))
READ_BYTES = 65_536
IDLE: list[HTTPConnection] = []


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    connection = IDLE.pop() if IDLE else HTTPConnection("127.0.0.1", PORT)
    connection.request("POST", "/v1/chat/completions", body, {"content-type": "json"})
    answer = connection.getresponse()
    kind = answer.headers["content-type"]
    if answer.length is not None:
        whole = answer.read()
        IDLE.append(connection)
        size = str(len(whole))
        start_response("200 OK", [("content-type", kind), ("content-length", size)])
        return [whole]
    start_response("200 OK", [("content-type", kind)])
    return _chunks(answer, connection)


def _chunks(answer: HTTPResponse, connection: HTTPConnection) -> Iterator[bytes]:
    while chunk := answer.read1(READ_BYTES):
        yield chunk
    IDLE.append(connection)
