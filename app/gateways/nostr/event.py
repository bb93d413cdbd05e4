"""A Nostr event: read from strangers, verified, and signed for us (NIP-01)."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Annotated, TypeAlias

import msgspec
from coincurve import PublicKeyXOnly
from msgspec import Meta

# More than any announcement needs; whatever is longer is nobody's we want to know of.
CONTENT_CHARS_MAX = 16_384
TAGS_MAX, TAG_PARTS_MAX, TAG_CHARS_MAX = 256, 16, 2_048
# The numbers of a double are exact up to here, and other programs read them so.
TIME_MAX_S = 2**53 - 1

Hex32: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Hex64: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{128}$")]
Tag: TypeAlias = Annotated[
    tuple[Annotated[str, Meta(max_length=TAG_CHARS_MAX)], ...], Meta(max_length=TAG_PARTS_MAX)
]
Tags: TypeAlias = Annotated[tuple[Tag, ...], Meta(max_length=TAGS_MAX)]


class EventInvalidError(ValueError):
    """Something that a relay calls an event is none: its form, its id or its signature."""


class NostrEvent(msgspec.Struct, frozen=True):
    """An event as it goes over the wire; `created_at` is in seconds."""

    id: Hex32
    pubkey: Hex32
    created_at: Annotated[int, Meta(ge=0, le=TIME_MAX_S)]
    kind: Annotated[int, Meta(ge=0, le=65_535)]
    tags: Tags
    content: Annotated[str, Meta(max_length=CONTENT_CHARS_MAX)]
    sig: Hex64

    def values(self, name: str) -> tuple[str, ...]:
        """Return the first value of each tag that is called `name`."""
        return tuple(tag[1] for tag in self.tags if len(tag) > 1 and tag[0] == name)

    def value(self, name: str) -> str | None:
        """Return the first value of the first tag that is called `name`."""
        return next(iter(self.values(name)), None)


def read_event(raw: bytes | msgspec.Raw) -> NostrEvent:
    """Return the event in a JSON text, its id and its signature verified.

    Raises `EventInvalidError`.
    """
    try:
        event = msgspec.json.decode(raw, type=NostrEvent)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise EventInvalidError("it has not the form of an event") from error
    expected = event_id(event.pubkey, event.created_at, event.kind, event.tags, event.content)
    if event.id != expected:
        raise EventInvalidError("its id is another event's")
    if not _is_signed(event):
        raise EventInvalidError("its signature is not its author's")
    return event


def event_id(pubkey: str, created_at: int, kind: int, tags: Tags, content: str) -> str:
    """Return the id that an event of these parts has: the hash of its one serialization.

    Raises `EventInvalidError` for a text that cannot be written as UTF-8.
    """
    parts = [0, pubkey, created_at, kind, tags, content]
    try:
        written = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise EventInvalidError("it holds a text that is none") from error
    return sha256(written).hexdigest()


def _is_signed(event: NostrEvent) -> bool:
    try:
        author = PublicKeyXOnly(bytes.fromhex(event.pubkey))
        return author.verify(bytes.fromhex(event.sig), bytes.fromhex(event.id))
    except ValueError:
        # Not every 32 bytes are a point of the curve.
        return False
