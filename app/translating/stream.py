"""A chat's stream as the events that were asked for in another API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from app.translating.answer import (
    completed,
    counts_of,
    end_of,
    ended,
    first_choice,
    head_of,
    is_filtered,
    text_of,
)
from app.translating.errors import TranslationError
from app.translating.library import Dialect, Events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.bounds import Counts

CALLS_MAX = 128


class Call(NamedTuple):
    """A call of a tool that has begun: which one it is, and how its result will name it."""

    number: int
    id: str


class Stream:
    """Takes the chunks of a chat, one by one, and says them as events of `dialect`.

    The library loses what a chunk says beside a call's name, and leaves blocks of Anthropic's
    streams open; so it gets chunks that say one thing each, and its blocks are closed here.
    `asked` is the request. Raises `TranslationError` for what is no chunk.
    """

    def __init__(self, dialect: Dialect, asked: Mapping[str, Any]) -> None:
        self._dialect = dialect
        self._asked = asked
        self._events = Events(dialect)
        self._head: dict[str, Any] = {}
        self._calls: dict[int, Call] = {}
        self._begun_calls = 0
        self._open: int | None = None
        self._is_filtered = False

    def take(self, chunk: object) -> list[dict[str, Any]]:
        """Return the events that a chunk is, which may be none."""
        if not isinstance(chunk, Mapping) or not isinstance(chunk.get("choices"), list):
            raise TranslationError("The upstream's stream has a piece that is no chunk.")
        if not self._head:
            self._head = head_of(chunk, "chat.completion.chunk")
        choice = first_choice(chunk)
        delta = choice.get("delta")
        events: list[dict[str, Any]] = []
        for piece in self._pieces(delta if isinstance(delta, Mapping) else {}):
            events += self._said(piece)
        end = end_of(choice)
        if end is not None:
            self._is_filtered = is_filtered(choice)
            events += self._said({}, end)
        return events

    def end(self, usage: Counts | None) -> list[dict[str, Any]]:
        """Return the last events, once it is known what was used."""
        if not self._head:
            raise TranslationError("The upstream's stream has no chunk.")
        last = {**self._head, "choices": [], "usage": counts_of(usage)}
        return self._told([*self._events.take(last), *self._events.end()])

    def _said(self, delta: Mapping[str, Any], end: str | None = None) -> list[dict[str, Any]]:
        choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": end}
        return self._told(self._events.take({**self._head, "choices": [choice]}))

    def _pieces(self, delta: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield what a chunk says, one thing at a time."""
        if "role" in delta:
            yield {}
        for name in ("content", "refusal"):
            if text := text_of(delta.get(name)):
                yield {name: text}
        calls = delta.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list) else ()):
            yield from self._call(place, call)

    def _call(self, place: int, call: object) -> Iterator[dict[str, Any]]:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(call, Mapping) or not isinstance(function, Mapping):
            raise TranslationError("The upstream's stream calls a tool that is none.")
        given, index = call.get("id"), call.get("index")
        key = index if isinstance(index, int) else place
        begun = self._calls.get(key)
        # Some give every call the same index, and whole.
        if begun is None or (given and given != begun.id and function.get("name")):
            begun = self._calls[key] = self._begun(given)
            name = function.get("name")
            if not isinstance(name, str) or not name:
                raise TranslationError("The upstream's stream calls a tool without a name.")
            started = {"name": name, "arguments": ""}
            first = {"index": begun.number, "id": begun.id, "type": "function"}
            yield {"tool_calls": [{**first, "function": started}]}
        arguments = function.get("arguments")
        if arguments:
            if begun.number != self._begun_calls - 1:
                raise TranslationError("The upstream's stream goes back to what had ended.")
            if not isinstance(arguments, str):
                raise TranslationError("The upstream's stream calls a tool with no text.")
            written = {"arguments": arguments}
            yield {"tool_calls": [{"index": begun.number, "function": written}]}

    def _begun(self, given: object) -> Call:
        number, self._begun_calls = self._begun_calls, self._begun_calls + 1
        if number >= CALLS_MAX:
            raise TranslationError("The upstream's stream calls too many tools.")
        return Call(number, given if isinstance(given, str) and given else f"call_{number}")

    def _told(self, events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        if self._dialect is Dialect.MESSAGES:
            return list(self._closed(events))
        return [self._repeating(event) for event in events]

    def _repeating(self, event: dict[str, Any]) -> dict[str, Any]:
        response = event.get("response")
        if response is None:
            return event
        full = completed(self._dialect, self._asked, response, is_filtered=self._is_filtered)
        return {**event, "response": full}

    def _closed(self, events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield Anthropic's events, each block closed before the next one begins."""
        for event in events:
            kind = event["type"]
            if kind == "content_block_stop":
                continue
            if kind in {"content_block_start", "message_delta"} and self._open is not None:
                yield {"type": "content_block_stop", "index": self._open}
                self._open = None
            if kind == "content_block_start":
                self._open = event["index"]
            yield self._full(event)

    def _full(self, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] == "message_start":
            message = {**event["message"], "stop_reason": None, "stop_sequence": None}
            return {**event, "message": message}
        if event["type"] == "message_delta":
            return {**event, "delta": ended(event["delta"], is_filtered=self._is_filtered)}
        return event
