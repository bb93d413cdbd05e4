"""The live feed: every event as it is recorded, for whoever is signed in (SSE)."""

from __future__ import annotations

import json
import time
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, request

from app.web.admin.room import NUMBER, FormError, Room, asked_number, page
from domain.event import Entry
from projections.telling import telling

if TYPE_CHECKING:
    from app.web.admin.auditor import Auditor

LOOK_EVERY_S = 1.0
QUIET_MAX_S = 15.0
LASTS_S = 3600.0
"""After that the browser asks again, and whether it is signed in is looked at again."""

FEEDS_MAX = 20
"""Feeds that one process gives at the same time."""

PAGE = 200
ANEW = b"retry: 2000\n\n"
STILL_HERE = b": still here\n\n"


class Feed(Room):
    """Tells events behind the position that the browser has seen (`Last-Event-ID`).

    Begins at `?after=<position>`, or at what is recorded next. Each event is an SSE message:
    its position as `id`, its type as `event`, and its postings as JSON.
    """

    def __init__(
        self,
        auditor: Auditor,
        name: str,
        place: str,
        *,
        lasts_s: float = LASTS_S,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        super().__init__(auditor, name, place, in_menu=False)
        self.lasts_s = lasts_s
        self.look_every_s = look_every_s
        self.open = 0

    @page("/")
    def index(self) -> Any:
        if self.open >= FEEDS_MAX:
            return Response("Too many feeds are open.\n", HTTPStatus.SERVICE_UNAVAILABLE)
        after = _after()
        if after is None:
            after = int(self.auditor.look(self.auditor.log.head))
        answer = Response(Messages(self, after), content_type="text/event-stream")
        answer.headers["X-Accel-Buffering"] = "no"
        return answer


class Messages:
    """What one browser is sent; a class, so that closing it makes room even if never read."""

    def __init__(self, feed: Feed, after: int) -> None:
        feed.open += 1
        self._feed: Feed | None = feed
        self._after = after
        self._ends_s = time.monotonic() + feed.lasts_s
        self._ready = deque([ANEW])

    def __iter__(self) -> Messages:
        return self

    def __next__(self) -> bytes:
        quiet_since_s = time.monotonic()
        while not self._ready:
            feed = self._feed
            now_s = time.monotonic()
            if feed is None or now_s >= self._ends_s:
                raise StopIteration
            if now_s - quiet_since_s >= QUIET_MAX_S:
                return STILL_HERE
            self._read(feed)
            if not self._ready:
                time.sleep(feed.look_every_s)
        return self._ready.popleft()

    def close(self) -> None:
        if self._feed is not None:
            self._feed.open -= 1
            self._feed = None

    def _read(self, feed: Feed) -> None:
        auditor = feed.auditor
        found = auditor.look(lambda query: auditor.log.behind(query, self._after, PAGE))
        for told in found:
            document = telling(told.position, Entry(told.stream, told.version, told.event))
            self._ready.append(
                f"id: {told.position}\nevent: {told.topic}\n"
                f"data: {json.dumps(document, separators=(',', ':'))}\n\n".encode()
            )
            self._after = told.position


def _after() -> int | None:
    seen = request.headers.get("Last-Event-ID", "")
    if not seen:
        return asked_number("after")
    if not NUMBER.fullmatch(seen):
        raise FormError("'Last-Event-ID' is the position of an event.")
    return int(seen)
