"""Bodies: what clients send, read within limits of size and time, and what they are sent."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Response
from gevent import Timeout
from gunicorn.http.errors import ParseException
from werkzeug.wsgi import get_content_length, get_input_stream

from app.web.common import WHOLE
from app.web.refusals import (
    BodyLateError,
    BodyMalformedError,
    BodyTooLargeError,
    InvalidJsonError,
)
from app.web.visit import current_visit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from wsgiref.types import WSGIEnvironment

JSON_TYPE = "application/json"


class Bodies:
    """Reads bodies of at most `bytes_max` that arrive within `timeout_s`.

    Behind our own worker the body's line cuts off slower ones sooner; behind any other, a
    body that trickles in would hold its connection for ever.
    """

    def __init__(self, *, bytes_max: int, timeout_s: float) -> None:
        self._bytes_max = bytes_max
        self._timeout_s = timeout_s

    def read(self) -> bytes:
        """Return the body of the current request.

        Raises `BodyTooLargeError`, from the length that was announced if there is one, and
        `BodyLateError`, `BodyMalformedError`.
        """
        environ = current_visit().environ
        body: bytes | None = environ.get(WHOLE)
        if body is None:
            body = self._waited_for(environ)
        if len(body) > self._bytes_max:
            raise BodyTooLargeError
        return body

    def _waited_for(self, environ: WSGIEnvironment) -> bytes:
        if (get_content_length(environ) or 0) > self._bytes_max:
            raise BodyTooLargeError
        # A body in chunks announces no length; it is cut off one byte above the limit.
        stream = get_input_stream(environ, max_content_length=self._bytes_max + 1)
        try:
            with Timeout(self._timeout_s, BodyLateError()):
                return stream.read()
        except ParseException as error:
            raise BodyMalformedError from error

    def read_object(self) -> dict[str, Any]:
        """Return the JSON object that the body is; no body is an empty one.

        Raises `InvalidJsonError`, and what `read` raises.
        """
        body = self.read()
        return json_object(body) if body.strip() else {}


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that `body` is, strictly (RFC 8259), or raise `InvalidJsonError`.

    >>> json_object(b'{"model": "m"}')
    {'model': 'm'}
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJsonError from error
    if not isinstance(document, dict):
        raise InvalidJsonError
    return document


def as_json(
    document: object,
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return `document` as an answer."""
    body = msgspec.json.encode(document)
    return Response(body, status, dict(headers or {}), content_type=JSON_TYPE)
