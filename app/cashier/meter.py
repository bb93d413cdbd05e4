"""The meter: reads from an upstream's answer what the request used up."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from app.cashier.costs import add_cost
from app.cashier.documents import parsed, written
from app.cashier.usage import estimate, usage_from, usage_members, with_searches
from app.gateways.operator import without_operator
from app.gateways.upstream import UpstreamBrokenError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from domain.bounds import Usage

EVENT_BYTES_MAX = 4 * 1024 * 1024
DONE = b"data: [DONE]\n\n"

# A line ends with CRLF, LF or CR, an event with two line ends in a row.
EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
EVENT_END_BYTES_MAX = 4
BLANK_LINES = re.compile(rb"[\r\n]+")
LINE_OF_NAME = re.compile(rb"(?:^|[\r\n])event:")
LINE_END = re.compile(rb"\r\n|\n|\r")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Only what holds one of these can matter to the meter; all else is passed on unparsed.
MARKS = (b'"usage"', b'"error"', b"[DONE]", b'"message_stop"')
USAGE_NULL = b'"usage":null'
LAST_TYPES = frozenset(
    {
        "message_stop",
        "response.completed",
        "response.incomplete",
        "speech.audio.done",
        "transcript.text.done",
    }
)
# The text that an answer shows its reader, in all dialects; never across a line.
DELIVERED_TEXT = re.compile(
    rb'"(?:content|reasoning_content|reasoning|text|arguments|delta|thinking|partial_json'
    rb'|refusal|audio)"[ \t]*:[ \t]*"((?:[^"\\\r\n]++|\\[^\r\n])*+)"'
)
# These repeat every text whole when it is done: only the deltas count.
RESPONSES = re.compile(rb'"type"[ \t]*:[ \t]*"(?:response|transcript)\.')
RESPONSES_TEXT = re.compile(rb'"delta"[ \t]*:[ \t]*"((?:[^"\\\r\n]++|\\[^\r\n])*+)"')


class SoundMeter:
    """Passes a sound on; it tells no usage. Its last piece is held back until `tail`."""

    is_events = False
    tells_cost = False
    done = False
    knows_usage = True
    usage: Usage | None = None

    def __init__(self) -> None:
        self.delivered_text_characters = 0
        self._last = b""

    def used(self) -> Usage | None:
        return None

    def feed(self, data: bytes) -> bytes:
        out, self._last = self._last, data
        self.delivered_text_characters += len(data)
        return out

    def finish(self) -> bytes:
        return b""

    def tail(self, _cost: Mapping[str, object] | None = None) -> bytes:
        return self._last

    def fault(self, message: str) -> bytes:
        """Raise `UpstreamBrokenError`: the connection is cut, for nothing can be said in it."""
        raise UpstreamBrokenError(message)


class StreamMeter:
    """Passes a stream of server-sent events on, and reads its usage on the way.

    What comes last (the usage chunk, `[DONE]`, Responses' and Anthropic's last event) is
    held back until `tail`, so that the charge is written before the client sees the end.
    Events go through byte for byte as they came. The output depends on the stream only,
    not on how it was cut into reads.

    With `usage_invited` False the usage chunk is dropped: naive clients crash on it.
    `is_anthropic` says in which tongue to add what the upstream has not said.
    """

    is_events = True

    def __init__(self, *, usage_invited: bool, is_anthropic: bool = False) -> None:
        self._is_anthropic = is_anthropic
        self.usage: Usage | None = None
        self.done = False
        self.errored = False
        self.delivered_bytes = 0
        self.delivered_text_characters = 0
        self._usage_invited = usage_invited
        self._pending = bytearray()
        self._searched = 0
        self._oversized = False
        self._ended = False
        self._first = b""
        self._usage_chunk = b""
        self._last_event = b""
        self._told: dict[str, object] = {}
        self._is_partial = False

    @property
    def knows_usage(self) -> bool:
        """Tell whether the usage was told to its end."""
        return self.usage is not None and not self._is_partial

    @property
    def tells_cost(self) -> bool:
        """Tell whether there is a place in the stream for what it has cost."""
        return self._is_anthropic or self._usage_invited or bool(self._last_event)

    def used(self) -> Usage | None:
        """Return the usage; what was written is estimated while only its start was told."""
        if self.usage is None or not self._is_partial:
            return self.usage
        guess = estimate(0, self.delivered_text_characters).completion_tokens
        written = max(self.usage.completion_tokens, guess)
        return replace(self.usage, completion_tokens=written, estimated=True)

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived; return what may go to the client now."""
        if self.done:
            return b""
        if self._pending or self._oversized or not _is_plain(data):
            self._pending += data
            data = b"".join(self._complete_events())
        elif not self._first:
            self._remember(data)
        return self._delivered(data)

    def finish(self) -> bytes:
        """Say that the stream ended as it should; return what was still incomplete."""
        self._ended = True
        remainder = bytes(self._pending)
        self._pending.clear()
        if not remainder or self.done:
            return b""
        return self._delivered(self._event(remainder + _missing_end(remainder)))

    def tail(self, cost: Mapping[str, object] | None = None) -> bytes:
        """Return what was held back, to be sent once the charge is written.

        The usage chunk, only if it was invited, carries `cost`; then `[DONE]`, if the
        upstream sent it or ended without it as it should.
        """
        held = self._last_event
        if self._is_anthropic:
            return (cost_event(cost) if cost else b"") + held
        if not held and self._usage_invited:
            held = self._usage_chunk or (self._synthetic_usage_chunk() if cost else b"")
        if held and cost:
            held = with_cost(held, cost)
        # Streams with named events, Responses' and Anthropic's, do not know [DONE].
        named = LINE_OF_NAME.search(self._first) is not None
        return held + (DONE if self.done or (self._ended and not named) else b"")

    def fault(self, message: str) -> bytes:
        """Return the event which says that the stream has broken off, and why."""
        error = {"message": message, "type": "upstream_error", "param": None}
        if self._is_anthropic:
            error = {"type": "api_error", "message": message}
            return b"event: error\n" + rendered({"type": "error", "error": error})
        return rendered({"error": {**error, "code": "upstream_broken"}})

    def _remember(self, events: bytes) -> None:
        """Keep the first event with data: it shows the dialect, and names the answer."""
        self._first = next((e for e in EVENT_END.split(events) if b"data:" in e), b"")

    def _delivered(self, data: bytes) -> bytes:
        self.delivered_bytes += len(data)
        pattern = RESPONSES_TEXT if RESPONSES.search(self._first) else DELIVERED_TEXT
        for text in pattern.findall(data):
            self.delivered_text_characters += len(text.decode(errors="replace"))
        return data

    def _complete_events(self) -> Iterator[bytes]:
        """Take every complete event off what is pending; yield what goes to the client."""
        pending, start = self._pending, 0
        while not self.done:
            # Blank lines before an event belong to no event, held back or not.
            blanks = BLANK_LINES.match(pending, start)
            if blanks is not None:
                yield blanks[0]
                start = blanks.end()
            found = EVENT_END.search(pending, max(start, self._searched))
            # After a CR at the very end, an LF may still come that belongs to it.
            if found is None or (found.end() == len(pending) and pending.endswith(b"\r")):
                break
            yield self._event(bytes(pending[start : found.end()]))
            start, self._searched = found.end(), 0
        del pending[: len(pending) if self.done else start]
        yield self._overflow()
        self._searched = max(0, len(pending) - EVENT_END_BYTES_MAX)

    def _overflow(self) -> bytes:
        """Let go of an incomplete event that is too long to be kept, all but its end."""
        if len(self._pending) <= EVENT_BYTES_MAX and not self._oversized:
            return b""
        self._oversized = True
        passed = bytes(self._pending[:-EVENT_END_BYTES_MAX])
        del self._pending[:-EVENT_END_BYTES_MAX]
        return passed

    def _event(self, event: bytes) -> bytes:
        """Look at one complete event; return it, or nothing if it is held back."""
        if self._oversized:
            self._oversized = False
            return event
        if not self._first:
            self._remember(event)
        return event if _is_unmarked(event) else self._marked(event)

    def _marked(self, event: bytes) -> bytes:
        data = data_of(event)
        if data.strip() == b"[DONE]":
            self.done = True
            return b""
        document = parsed(data)
        if not isinstance(document, dict):
            return event
        self._note(document)
        if self.errored:
            # Errors name the operator's organization: they are its clients' business least.
            event = without_operator(event.decode(errors="replace")).encode()
        if document.get("type") in LAST_TYPES:
            self._last_event = event
            return b""
        if document.get("choices") == [] and isinstance(document.get("usage"), dict):
            self._usage_chunk = event
            return b""
        return event

    def _note(self, document: dict[str, object]) -> None:
        kind = document.get("type")
        if document.get("error") or kind in {"error", "response.failed"}:
            self.errored = True
        members = usage_members(document)
        if members is None:
            return
        # Anthropic tells the input when a message starts, and the output as it grows.
        told = {name: count for name, count in members.items() if count is not None}
        self._told = {**self._told, **told} if kind == "message_delta" else told
        self._is_partial = kind == "message_start"
        self.usage = with_searches(usage_from(self._told), document) or self.usage

    def _synthetic_usage_chunk(self) -> bytes:
        """Make the usage chunk that was invited, but which the upstream did not send."""
        first = parsed(data_of(self._first))
        if self.usage is None or not isinstance(first, dict) or "choices" not in first:
            return b""
        names = ("id", "object", "created", "model")
        counts = {
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "total_tokens": self.usage.prompt_tokens + self.usage.completion_tokens,
        }
        chunk = {name: first[name] for name in names if name in first}
        return rendered({**chunk, "choices": [], "usage": counts})


def _is_plain(data: bytes) -> bool:
    """Tell whether `data` is whole events that the meter need not look at."""
    return data.endswith((b"\n\n", b"\r\n\r\n")) and _is_unmarked(data)


def _is_unmarked(data: bytes) -> bool:
    for mark in MARKS:
        # OpenAI writes "usage":null into every chunk but the last.
        if mark in data and (
            mark is not MARKS[0] or data.count(mark) != data.count(USAGE_NULL)
        ):
            return False
    return True


def _missing_end(event: bytes) -> bytes:
    """Return what `event` lacks to be complete: an upstream may forget it at the end."""
    if EVENT_END.search(event, max(0, len(event) - EVENT_END_BYTES_MAX)):
        return b""
    return b"\n" if event.endswith((b"\n", b"\r")) else b"\n\n"


def data_of(event: bytes) -> bytes:
    """Return the data of one event, its lines joined, as the HTML standard has it."""
    lines = LINE_END.split(event.removeprefix(BYTE_ORDER_MARK))
    data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return b"\n".join(data)


def rendered(document: Mapping[str, object]) -> bytes:
    return b"data: " + written(document) + b"\n\n"


def cost_event(cost: Mapping[str, object]) -> bytes:
    """Return the event that tells the cost of Anthropic's streams.

    Its clients pass events over whose name they do not know. Those that go by the type
    alone break at one they do not know: for them it is a ping, which means nothing.
    """
    document: dict[str, object] = {"type": "ping"}
    add_cost(document, cost)
    return b"event: cost\n" + rendered(document)


def with_cost(event: bytes, cost: Mapping[str, object]) -> bytes:
    """Return the event with `cost` beside and inside its usage, as existing clients read it."""
    document = parsed(data_of(event))
    if not isinstance(document, dict):
        return event
    inner = document.get("response")
    is_inner = isinstance(inner, dict) and isinstance(inner.get("usage"), dict)
    if not is_inner and not isinstance(document.get("usage"), dict):
        return event
    add_cost(document, cost)
    kind = document.get("type")
    is_named = is_inner or LINE_OF_NAME.search(event) is not None
    name = f"event: {kind}\n".encode() if is_named and isinstance(kind, str) else b""
    return name + rendered(document)
