"""A visit: what is known of the request being answered, for its headers and its log line."""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import current_app, g, request

from app.logs import RequestLine, log_request
from domain.identity import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID
    from wsgiref.types import WSGIEnvironment

logger = logging.getLogger(__name__)

CHANCE_BYTES = 10
WITNESS = "tallystick.witness"
"""Where the application keeps who is told of every request, once it has ended."""


def new_request_id() -> UUID:
    """Return an identifier nobody else has, that sorts by its time."""
    return in_order(time.time_ns() // 1_000_000, os.urandom(CHANCE_BYTES))


@dataclass(slots=True)
class Admitted:
    """A request that was let in at the cost of `key`, counted as `tokens` for now."""

    key: UUID
    tokens: int = 0


@dataclass(slots=True)
class Visit:
    """One request on its way through the house.

    `route` is spelled as we spell it, never as it was asked; what was asked is in `environ`.
    `request_id` names the request
    in its headers, in the log and, if it is paid for, its hold. `ends_later` is set for a
    stream, which is written down when it has ended, and of which the time to its first chunk
    is noted; what is to be done then is `at_end`.
    """

    method: str
    route: str
    environ: WSGIEnvironment = field(repr=False)
    request_id: UUID = field(default_factory=new_request_id)
    began_s: float = field(default_factory=time.monotonic)
    account_id: UUID | None = None
    model: str | None = None
    charged_msat: int | None = None
    used_tokens: int = 0
    ends_later: bool = False
    at_end: list[Callable[[], object]] = field(default_factory=list)
    first_chunk_ms: int | None = None
    witness: Callable[[RequestLine], None] | None = None
    admitted: Admitted | None = None
    refused_key: UUID | None = None

    @property
    def path(self) -> str:
        """The path that was asked for, as it was asked."""
        return str(self.environ["PATH_INFO"])

    def header(self, name: str) -> str | None:
        """Return a header field of the request; names are in small letters."""
        place = name.upper().replace("-", "_")
        value: str | None = self.environ.get(
            place if place == "CONTENT_TYPE" else f"HTTP_{place}"
        )
        return value

    def use(self, tokens: int) -> None:
        """Note how many tokens the request has used, once that is known."""
        self.used_tokens = tokens

    def begin_stream(self) -> None:
        """Note that the first chunk is on its way."""
        self.first_chunk_ms = self._passed_ms()

    def _passed_ms(self) -> int:
        return round((time.monotonic() - self.began_s) * 1000)

    def write_down(self, status: int) -> None:
        """Write the one line that operators see of the request, which has ended."""
        for act in self.at_end:
            act()
        line = RequestLine(
            request_id=str(self.request_id),
            method=self.method,
            route=self.route,
            status=status,
            duration_ms=self._passed_ms(),
            first_chunk_ms=self.first_chunk_ms,
            account_id=None if self.account_id is None else str(self.account_id),
            model=self.model,
            charged_msat=self.charged_msat,
        )
        log_request(logger, line)
        if self.witness is not None:
            self.witness(line)


AHEAD: ContextVar[Visit | None] = ContextVar("ahead", default=None)
"""The visit that is answered here without Flask, if one is."""


@contextmanager
def ahead(visit: Visit) -> Iterator[None]:
    """Answer `visit` here and now, before Flask hears of it."""
    token = AHEAD.set(visit)
    try:
        yield
    finally:
        AHEAD.reset(token)


def current_visit() -> Visit:
    """Return the visit of the request that is being answered here."""
    visit: Visit | None = AHEAD.get() or g.get("visit")
    if visit is None:
        rule = request.url_rule
        visit = g.visit = Visit(
            request.method,
            "none" if rule is None else rule.rule,
            request.environ,
            witness=current_app.extensions.get(WITNESS),
        )
    return visit
