"""A Nostr relay, spoken to as to a stranger: nothing it says is believed, all has a limit."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import certifi
import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from app.gateways.deadline import Deadline
from app.gateways.errors import RelayError, readable
from app.gateways.nostr.event import EventInvalidError, read_event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from websockets.sync.connection import Connection

    from app.gateways.nostr.event import NostrEvent
    from app.gateways.way_out import WayOut

PORT_OF_SCHEME: Final = {"ws": 80, "wss": 443}
TOTAL_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 1.0
FRAME_BYTES_MAX = 128 * 1024
FRAMES_MAX = 2_000
BYTES_MAX = 8 * 1024 * 1024
SUBSCRIPTION = "tallystick"
USER_AGENT = "tallystick"

Frame = list[msgspec.Raw]


class Verdict(NamedTuple):
    """What a relay says to an event it was sent; `message` is its word, made readable."""

    is_taken: bool
    message: str


class Relay:
    """One relay at a URL of the operator's. Each method is a visit of its own.

    `timeout_s` is for the whole of a visit, `bytes_max` and `frames_max` for what is read
    in it. Redirects are not followed, and compression is not spoken: what is small on the
    way must not become large here. Every method raises `RelayError`.
    """

    def __init__(
        self,
        url: str,
        way: WayOut,
        *,
        timeout_s: float = TOTAL_TIMEOUT_S,
        bytes_max: int = BYTES_MAX,
        frames_max: int = FRAMES_MAX,
        ca_file: str | None = None,
    ) -> None:
        self.url = url
        self._way = way
        self._timeout_s = timeout_s
        self._bytes_max = bytes_max
        self._frames_max = frames_max
        self._ca_file = ca_file or certifi.where()

    def fetch(self, *filters: Mapping[str, Any]) -> list[NostrEvent]:
        """Return the events the relay keeps that fit one of `filters`, each verified.

        What is not an event, or not signed by its author, is left out; so is what fits no
        filter, whose author nobody asked about.
        """
        found: dict[str, NostrEvent] = {}
        with self._visit() as line:
            _send(line, ["REQ", SUBSCRIPTION, *filters])
            for verb, *rest in self._frames(line):
                if verb == "EVENT" and len(rest) > 1 and _text(rest[0]) == SUBSCRIPTION:
                    event = _verified(rest[1])
                    if event is not None and any(fits(event, each) for each in filters):
                        found[event.id] = event
                elif verb == "EOSE":
                    return list(found.values())
                elif verb == "CLOSED":
                    raise RelayError(f"refuses to tell: {_message(rest)}")
        raise RelayError("goes before it has told all")

    def publish(self, event: NostrEvent) -> Verdict:
        """Give the relay an event, and return what it says to it."""
        with self._visit() as line:
            _send(line, ["EVENT", event])
            for verb, *rest in self._frames(line):
                if verb == "OK" and len(rest) > 1 and _text(rest[0]) == event.id:
                    return Verdict(bytes(rest[1]) == b"true", _message(rest[2:]))
        raise RelayError("goes before it has answered")

    @contextmanager
    def _visit(self) -> Iterator[Connection]:
        with Deadline(self._timeout_s) as deadline:
            try:
                with self._connected(deadline) as line:
                    yield line
            except (OSError, WebSocketException) as error:
                if deadline.is_over:
                    raise RelayError("does not come to an end") from error
                raise RelayError(f"cannot be spoken to: {type(error).__name__}") from error

    def _connected(self, deadline: Deadline) -> Connection:
        parts = urlsplit(self.url)
        host, default = parts.hostname or "", PORT_OF_SCHEME[parts.scheme]
        port = parts.port or default
        connection = self._way.connect((host, port), self._timeout_s)
        deadline.watch(connection)
        try:
            if parts.scheme == "wss":
                trust = ssl.create_default_context(cafile=self._ca_file)
                connection = trust.wrap_socket(connection, server_hostname=host)
            # From here on the deadline alone says how long.
            connection.settimeout(None)
            name = f"[{host}]" if ":" in host else host
            netloc = name if port == default else f"{name}:{port}"
            # TLS, if any, is spoken already: to the library it is a plain connection.
            return connect(
                f"ws://{netloc}{parts.path or '/'}",
                sock=connection,
                compression=None,
                open_timeout=self._timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=FRAME_BYTES_MAX,
                user_agent_header=USER_AGENT,
            )
        except BaseException:
            connection.close()
            raise

    def _frames(self, line: Connection) -> Iterator[tuple[str, *tuple[msgspec.Raw, ...]]]:
        """Yield what the relay says, each with its verb; what is no such thing is left out."""
        left = self._bytes_max
        for _ in range(self._frames_max):
            received = line.recv(self._timeout_s)
            left -= len(received)
            if left < 0:
                raise RelayError("says too much")
            frame = _frame(received)
            verb = _text(frame[0]) if frame else None
            if verb is not None:
                yield verb, *frame[1:]
        raise RelayError("says too much")


def fits(event: NostrEvent, wanted: Mapping[str, Any]) -> bool:
    """Tell whether an event is one that a filter asks for, by its kind and its author."""
    kinds, authors = wanted.get("kinds"), wanted.get("authors")
    return (kinds is None or event.kind in kinds) and (
        authors is None or event.pubkey in authors
    )


def _send(line: Connection, frame: list[object]) -> None:
    line.send(msgspec.json.encode(frame).decode())


def _frame(received: str | bytes) -> Frame:
    try:
        return msgspec.json.decode(received, type=Frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []


def _text(raw: msgspec.Raw) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, UnicodeError):
        return None


def _message(rest: Frame) -> str:
    return readable(_text(rest[-1]) or "") if rest else ""


def _verified(raw: msgspec.Raw) -> NostrEvent | None:
    try:
        return read_event(raw)
    except EventInvalidError:
        return None
