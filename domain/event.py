"""The shape every fact in the log has, and how it is written down."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from uuid import UUID

import msgspec

from domain.errors import LedgerBrokenError, UnknownTopicError

if TYPE_CHECKING:
    from domain.guards import GuardRows


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something that has happened to money; it is for ever and explains itself.

    `TOPIC` is the name it is stored under. Fields are only ever added, with a default for
    the events written before. No field may hold a token, a key, a secret or a prompt.
    """

    TOPIC: ClassVar[str] = ""

    at: datetime

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        """Change the guard rows by what has happened; decide nothing."""
        raise NotImplementedError


class Entry(NamedTuple):
    """An event at its place: `version` counts from 1 within the movement `stream`."""

    stream: UUID
    version: int
    event: Event


class EventCodec:
    """Turns the events of one fixed list of kinds into stored bytes and back."""

    def __init__(self, kinds: tuple[type[Event], ...]) -> None:
        self._encoder = msgspec.json.Encoder()
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {
            kind.TOPIC: msgspec.json.Decoder(kind) for kind in kinds
        }
        self.topics = tuple(self._decoders)

    def encode(self, event: Event) -> bytes:
        return self._encoder.encode(event)

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
