"""The meter of a stream that its client reads in another API than its provider speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.cashier.documents import parsed
from app.cashier.meter import EVENT_END, cost_event, data_of, rendered, with_cost
from app.gateways.upstream import UpstreamBrokenError
from app.translating.errors import TranslationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.cashier.meter import StreamMeter
    from app.translating.stream import Stream
    from domain.bounds import Usage

LAST = frozenset({"message_stop", "response.completed", "response.incomplete"})


class TranslatedMeter:
    """Counts a chat by its own `meter`, and passes on what its `stream` says in its place.

    What is charged is thus what the upstream has told, and no translation of it. Raises
    `UpstreamBrokenError` for a piece that is no chunk of a chat.
    """

    is_events = True
    tells_cost = True

    def __init__(self, meter: StreamMeter, stream: Stream, *, is_anthropic: bool) -> None:
        self._meter = meter
        self._stream = stream
        self._is_anthropic = is_anthropic
        self._is_begun = self._is_over = False

    @property
    def done(self) -> bool:
        return self._meter.done

    @property
    def knows_usage(self) -> bool:
        return self._meter.knows_usage

    @property
    def usage(self) -> Usage | None:
        return self._meter.usage

    @property
    def delivered_text_characters(self) -> int:
        """Return how much was written, as the chat has it; nothing if nothing was passed on."""
        return self._meter.delivered_text_characters if self._is_begun else 0

    def used(self) -> Usage | None:
        """Return the usage that the upstream has told."""
        return self._meter.used()

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived; return what may go to the client now."""
        return self._said(self._meter.feed(data))

    def finish(self) -> bytes:
        """Say that the stream ended as it should; return what was still incomplete."""
        return self._said(self._meter.finish())

    def tail(self, cost: Mapping[str, object] | None = None) -> bytes:
        """Return the last events with `cost`, to be sent once the charge is written."""
        if self._is_over:
            return b""
        try:
            events = self._stream.end(self._meter.used())
        except TranslationError as error:
            return self._meter.fault(str(error))
        return b"".join(self._last(event, cost) for event in events)

    def fault(self, message: str) -> bytes:
        """Return the event which says that the stream has broken off, and why."""
        return self._meter.fault(message)

    def _said(self, data: bytes) -> bytes:
        pieces = (data_of(event) for event in EVENT_END.split(data))
        return b"".join(self._read(piece) for piece in pieces if piece)

    def _read(self, data: bytes) -> bytes:
        if self._is_over:
            return b""
        document = parsed(data)
        if isinstance(document, dict) and document.get("error"):
            # The operator's name was taken out of it.
            self._is_over = True
            return self._error(document["error"])
        try:
            said = b"".join(map(_named, self._stream.take(document)))
        except TranslationError as error:
            raise UpstreamBrokenError(str(error)) from error
        self._is_begun = self._is_begun or bool(said)
        return said

    def _error(self, error: object) -> bytes:
        """Say an upstream's error as streams of the other API do."""
        told = error if isinstance(error, dict) else {"message": str(error)}
        if not self._is_anthropic:
            return rendered({"error": told})
        message = told.get("message")
        shown = {"type": "api_error", "message": message if isinstance(message, str) else ""}
        return _named({"type": "error", "error": shown})

    def _last(self, event: dict[str, Any], cost: Mapping[str, object] | None) -> bytes:
        if not cost or event["type"] not in LAST:
            return _named(event)
        if self._is_anthropic:
            return cost_event(cost) + _named(event)
        return with_cost(_named(event), cost)


def _named(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\n".encode() + rendered(event)
