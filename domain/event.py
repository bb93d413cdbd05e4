"""The shape every fact in the log has, and how it is written down."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol
from uuid import UUID

import msgspec

from domain.errors import LedgerBrokenError, UnknownTopicError

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.guards import GuardRows

MARK = "class_version"
"""The member by which the state of a raised version says which one it is."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something that has happened to money; it is for ever and explains itself.

    `TOPIC` is the name it is stored under. Fields are only ever added, with a default for
    the events written before. No field may hold a token, a key, a secret or a prompt.

    Where a default does not do, `class_version` is raised and a static method says how what
    was stored becomes what is read now: `upcast_v1_v2(state)` changes the members of a state
    of version 1, as JSON has them, into those of version 2. The names are the library's.
    """

    TOPIC: ClassVar[str] = ""
    class_version: ClassVar[int] = 1

    at: datetime

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        """Change the guard rows by what has happened; decide nothing."""
        raise NotImplementedError


class Entry(NamedTuple):
    """An event at its place: `version` counts from 1 within the movement `stream`."""

    stream: UUID
    version: int
    event: Event


class Decoder(Protocol):
    """Reads the stored states of one kind of event."""

    def decode(self, state: bytes, /) -> Any: ...


class EventCodec:
    """Turns the events of one fixed list of kinds into stored bytes and back.

    A kind whose version was raised without a way from the one before is a `TypeError`.
    """

    def __init__(self, kinds: tuple[type[Event], ...]) -> None:
        self._encoder = msgspec.json.Encoder()
        self._decoders: dict[str, Decoder] = {
            kind.TOPIC: msgspec.json.Decoder(kind) if kind.class_version == 1 else _Raised(kind)
            for kind in kinds
        }
        self.topics = tuple(self._decoders)

    def encode(self, event: Event) -> bytes:
        encoded = self._encoder.encode(event)
        if event.class_version == 1:
            return encoded
        return _mark(event.class_version) + encoded[1:]

    def decode(self, topic: str, state: bytes) -> Event:
        """Return the event stored as `state`.

        Only topics of this ledger are ever resolved: a row naming something else is an
        `UnknownTopicError`, never an import. Raises `LedgerBrokenError` when `state` is
        damaged.
        """
        decoder = self._decoders.get(topic)
        if decoder is None:
            raise UnknownTopicError(topic)
        try:
            event: Event = decoder.decode(state)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise LedgerBrokenError(f"a stored {topic} is damaged: {error}") from error
        return event


class _Raised:
    """Reads a kind whose `class_version` was raised, whatever version it was stored in."""

    def __init__(self, kind: type[Event]) -> None:
        self._version = kind.class_version
        self._mark = _mark(kind.class_version)
        self._decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(kind)
        self._upcasts: list[Callable[[dict[str, Any]], None]] = []
        for version in range(1, kind.class_version):
            name = f"upcast_v{version}_v{version + 1}"
            upcast = getattr(kind, name, None)
            if upcast is None:
                raise TypeError(f"{kind.__name__} has no {name}")
            self._upcasts.append(upcast)

    def decode(self, state: bytes) -> Event:
        # A member that the kind does not know is read past, so the mark can stay.
        if state.startswith(self._mark):
            return self._decoder.decode(state)
        members = msgspec.json.decode(state, type=dict[str, Any])
        version = members.pop(MARK, 1)
        if type(version) is not int or not 1 <= version < self._version:
            raise msgspec.ValidationError(f"version {version!r} is not known")
        try:
            for upcast in self._upcasts[version - 1 :]:
                upcast(members)
        except (LookupError, TypeError, ValueError) as error:
            raise msgspec.ValidationError(f"version {version} has other members") from error
        return self._decoder.decode(msgspec.json.encode(members))


def _mark(version: int) -> bytes:
    """Return how the state of a raised version begins.

    >>> _mark(2)
    b'{"class_version":2,'
    """
    return f'{{"{MARK}":{version},'.encode()
