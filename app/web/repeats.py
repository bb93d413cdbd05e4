"""Repeats: what SDKs send again by themselves is known, without a name, and charged once.

OpenAI's and Anthropic's SDKs give their requests no `Idempotency-Key`. All they say is
`x-stainless-retry-count`: 0 at first, 1 and 2 when they send the same bytes again because no
answer came. So a first request's hold gets a name that follows from its bytes, its key and
the time, and a repetition looks for it.
"""

from __future__ import annotations

import hmac
import re
import time
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from app.web.visit import current_visit
from domain.errors import RequestInProgressError, RequestRepeatedError
from domain.hold import Released
from domain.identity import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from app.cashier.answer import Served
    from app.cashier.bill import Call
    from domain.event import Entry

HEADER = "x-stainless-retry-count"
COUNT = re.compile(r"[0-9]{1,3}")
COUNT_MAX = 10
# As long as SDKs wait for an answer; a repetition is known for one to two of these.
WINDOW_S = 600
TWINS_MAX = 10_000
FIRST, TWIN = "first", "twin"


class Repeats:
    """Serves calls that have no name, unless it is certain that they are repetitions.

    Whoever asks the same twice within the time, say to choose from two answers, has twins;
    then no repetition of either can be told from the other, and all of them are served. The
    names cannot be worked out by who has not the key: the log shows nothing of a request,
    nor that two were equal.
    """

    def __init__(
        self,
        serve: Callable[[Call], Served],
        history: Callable[[UUID], list[Entry]],
        clock: Callable[[], float] = time.time,
        twins_max: int = TWINS_MAX,
    ) -> None:
        self._serve = serve
        self._history = history
        self._clock = clock
        self._twins_max = twins_max
        # What is known to have twins is not looked for again; the newest are kept.
        self._twins: dict[tuple[bytes, int], None] = {}

    def serve(self, call: Call, key: str) -> Served:
        """Serve the current request, which is `call`, paid by whoever has `key`.

        Raises `RequestRepeatedError` if it was charged before, `RequestInProgressError`
        while it is being served, and what serving raises.
        """
        count = current_visit().header(HEADER) or ""
        if not COUNT.fullmatch(count):
            return self._serve(call)
        mark = _mark(call, key)
        window = int(self._clock() // WINDOW_S)
        if int(count):
            return self._again(call, mark, window, min(int(count), COUNT_MAX))
        return self._at_first(call, mark, window)

    def _at_first(self, call: Call, mark: bytes, window: int) -> Served:
        if (mark, window) in self._twins:
            return self._serve(call)
        for which in (FIRST, TWIN):
            try:
                return self._serve_as(_place(mark, window, which), call)
            except (RequestInProgressError, RequestRepeatedError):
                continue
        self._twins[mark, window] = None
        if len(self._twins) > self._twins_max:
            del self._twins[next(iter(self._twins))]
        return self._serve_as(call.request_id, call)

    def _again(self, call: Call, mark: bytes, window: int, count: int) -> Served:
        windows = (window, window - 1)
        firsts = [self._history(_place(mark, each, FIRST)) for each in windows]
        if all(firsts) or any(self._history(_place(mark, each, TWIN)) for each in windows):
            return self._serve(call)
        for hold_id, history in self._earlier(mark, windows, count):
            current_visit().request_id = hold_id
            if len(history) == 1:
                raise RequestInProgressError(hold_id)
            if not isinstance(history[-1].event, Released):
                raise RequestRepeatedError(hold_id, history[-1].event)
        try:
            return self._serve_as(_place(mark, window, str(count)), call)
        except RequestRepeatedError as error:
            if not isinstance(error.end, Released):
                raise
            return self._serve_as(call.request_id, call)

    def _earlier(
        self, mark: bytes, windows: tuple[int, ...], count: int
    ) -> Iterator[tuple[UUID, list[Entry]]]:
        """Go through the earlier attempts at what is being repeated for the `count`th time."""
        for window in windows:
            for which in (FIRST, *map(str, range(1, count))):
                hold_id = _place(mark, window, which)
                history = self._history(hold_id)
                if history:
                    yield hold_id, history

    def _serve_as(self, hold_id: UUID, call: Call) -> Served:
        current_visit().request_id = hold_id
        return self._serve(replace(call, request_id=hold_id))


def _mark(call: Call, key: str) -> bytes:
    secret = sha256(key.encode()).digest()
    return hmac.digest(secret, call.path.encode() + b"\0" + call.body, "sha256")


def _place(mark: bytes, window: int, which: str) -> UUID:
    """Return the hold of one attempt; it sorts by its time, as those of chance do."""
    digest = hmac.digest(mark, f"{window} {which}".encode(), "sha256")
    return in_order(window * WINDOW_S * 1000, digest[:10])
