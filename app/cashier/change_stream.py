"""A stream that brings its reader's change along, in places no client stumbles over."""

from __future__ import annotations

import json
import re
from collections import deque
from typing import TYPE_CHECKING, Protocol, Self

from app.cashier.meter import DONE, EVENT_END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FINISHED = re.compile(rb'"finish_reason"[ \t]*:[ \t]*"')
CHOICE = re.compile(rb'"choices"[ \t]*:[ \t]*\[[ \t]*\{')


class SettledStream(Protocol):
    """A stream that says when its bill has come to its end."""

    @property
    def is_settled(self) -> bool: ...

    def __next__(self) -> bytes: ...

    def close(self) -> None: ...


class ResumedStream:
    """A stream of which `pieces` were read already, from its beginning."""

    def __init__(self, pieces: Iterable[bytes], stream: SettledStream) -> None:
        self._pieces = deque(pieces)
        self._stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return self._pieces.popleft() if self._pieces else next(self._stream)

    @property
    def is_settled(self) -> bool:
        return not self._pieces and self._stream.is_settled

    def close(self) -> None:
        self._stream.close()


class ChangeStream:
    """A metered stream with change: in its finish chunk, and in a comment before its end.

    The last chunk with a `finish_reason` is kept back until the charge is written and the
    change is made, and then has the token as its member `cashu`; SDKs hand that on. The
    comment is for whoever reads the stream itself. A named event would break SDKs.

    `change` makes the change; it returns the token, "" if there is none, and None if it
    cannot be made just now.
    """

    def __init__(self, stream: SettledStream, change: Callable[[], str | None]) -> None:
        self._stream = stream
        self._change = change
        self._kept = b""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        while True:
            data = next(self._stream)
            if self._stream.is_settled:
                return self._end(data)
            out = self._passed(data)
            if out:
                return out

    def close(self) -> None:
        """Settle what is not settled; change that was not made waits to be asked for."""
        self._stream.close()

    def _passed(self, data: bytes) -> bytes:
        """Return what of `data` may go on: all before what may be the finish chunk."""
        if not self._kept and FINISHED.search(data) is None:
            return data
        out = b""
        for event in events_of(data):
            if self._kept and CHOICE.search(event):
                # Other choices are still being written, so that it was not the last.
                out, self._kept = out + self._kept, b""
            if self._kept or FINISHED.search(event):
                self._kept += event
            else:
                out += event
        return out

    def _end(self, data: bytes) -> bytes:
        done = DONE if data.endswith(DONE) else b""
        passed = self._passed(data.removesuffix(DONE))
        token = self._change()
        kept = with_member(self._kept, token) if token else self._kept
        if done or kept:
            return passed + kept + comment(token) + done
        # Streams with named events end by their last event: nobody reads what follows it.
        return comment(token) + passed


def comment(token: str | None) -> bytes:
    """Return the line about change that every reader of events skips (HTML standard)."""
    if token is None:
        return b": x-cashu-change pending\n\n"
    return f": x-cashu {token}\n\n".encode() if token else b""


def events_of(data: bytes) -> list[bytes]:
    """Return the events in `data`, each with the line ends that close it."""
    events, start = [], 0
    for found in EVENT_END.finditer(data):
        events.append(data[start : found.end()])
        start = found.end()
    return [*events, data[start:]] if start < len(data) else events


def with_member(events: bytes, token: str) -> bytes:
    """Return `events`, whose first is the finish chunk, with the token in that one."""
    first, *others = events_of(events) or [b""]
    try:
        document = json.loads(first.strip().removeprefix(b"data:"))
    except (ValueError, RecursionError):
        return events
    if not isinstance(document, dict):
        return events
    told = json.dumps({**document, "cashu": token}, separators=(",", ":"))
    return b"data: %b\n\n" % told.encode() + b"".join(others)
