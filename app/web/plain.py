"""Answers as WSGI has them: to make Flask's takes longer than to make what they tell."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from flask import Response

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class PlainAnswer:
    """An answer as WSGI has it; names of `headers` are in small letters."""

    __slots__ = ("_body", "headers", "status_code")

    def __init__(
        self, status_code: int, headers: dict[str, str], body: Iterable[bytes] = ()
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self._body = body

    def __call__(
        self, _environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        line = LINES.get(self.status_code) or f"{self.status_code} UNKNOWN"
        start_response(line, [*self.headers.items()])
        return self._body

    def for_flask(self) -> Response:
        """Return the same answer as Flask wants it."""
        return Response(self._body, self.status_code, self.headers, direct_passthrough=True)


A = TypeVar("A", bound=PlainAnswer | Response)
