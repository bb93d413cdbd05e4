"""The bridge between our events and the event store's stored ones."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from domain.event import Entry, Event, EventCodec
from domain.posting import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class LedgerMapper:
    """Maps entries to stored events and back, by topic; plays the library's mapper part.

    The library's own mapper resolves a stored topic by importing what the row names. This
    one knows its topics and nothing else, and decodes straight into typed structs.
    """

    def __init__(self, codec: EventCodec | None = None) -> None:
        self._codec = codec or EventCodec(KINDS)

    def to_stored_event(self, entry: Entry) -> StoredEvent:
        stream, version, event = entry
        return StoredEvent(stream, version, event.TOPIC, self._codec.encode(event))

    def to_domain_event(self, stored: StoredEvent) -> Entry:
        stream = stored.originator_id
        identity = stream if isinstance(stream, UUID) else UUID(stream)
        event = self._codec.decode(stored.topic, stored.state)
        return Entry(identity, stored.originator_version, event)

    def entries(self, stored: Iterable[StoredEvent]) -> list[Entry]:
        return [self.to_domain_event(event) for event in stored]

    def read(
        self,
        streams: Sequence[UUID | str],
        versions: Sequence[int],
        topics: Sequence[str],
        states: Sequence[bytes],
    ) -> Iterator[Entry]:
        """Yield the entries of stored columns; all identifiers are made in one go."""
        identities = msgspec.convert(streams, tuple[UUID, ...])
        return map(Entry, identities, versions, map(self._codec.decode, topics, states))

    def decode(self, topic: str, state: bytes) -> Event:
        return self._codec.decode(topic, state)

    def encode(self, entry: Entry) -> tuple[str, int, str, bytes]:
        """Return an entry's values in the order of the library's table, id as hex."""
        stream, version, event = entry
        return stream.hex, version, event.TOPIC, self._codec.encode(event)
