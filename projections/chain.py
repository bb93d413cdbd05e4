"""The bytes by which a stored event is known, and the chain that ties it to those before."""

from __future__ import annotations

import struct
from hashlib import sha256
from json import JSONEncoder
from typing import NamedTuple
from uuid import UUID

from domain.errors import LedgerBrokenError
from projections.merkle import leaf_hash

LINK = b"\x02"
"""Keeps links apart from the leaves (0) and nodes (1) of the tree."""
GENESIS = bytes(32)
"""The link before the first event."""

_FORM = 1
_HEAD = struct.Struct(">BQ16sQI")
_text = JSONEncoder(ensure_ascii=False).encode


class Stored(NamedTuple):
    """An event as it stands in the log, not decoded; `stream` is the 16 bytes of its UUID."""

    position: int
    stream: bytes
    version: int
    topic: str
    state: bytes


def canonical(event: Stored) -> bytes:
    """Return the one spelling of a stored event that is hashed.

    A byte 1 for this form, position (8 bytes, big-endian), stream (16), version (8), the
    length of the topic (4), topic in UTF-8, state as stored. Whatever is changed in any of
    them changes these bytes. Raises `LedgerBrokenError` for what no event can be.

    >>> canonical(Stored(7, bytes(16), 1, "rate", b"{}"))[-6:]
    b'rate{}'
    """
    position, stream, version, topic, state = event
    try:
        name = topic.encode()
        return _HEAD.pack(_FORM, position, stream, version, len(name)) + name + state
    except (struct.error, UnicodeEncodeError, AttributeError, TypeError) as error:
        raise LedgerBrokenError(f"position {position!r} holds no event") from error


def leaf(event: Stored) -> bytes:
    """Return the event's leaf in the tree (RFC 6962)."""
    return leaf_hash(canonical(event))


def link(before: bytes, leaf: bytes) -> bytes:
    """Return the link of the chain that an event's leaf makes behind the link `before`."""
    return sha256(LINK + before + leaf).digest()


def log_line(event: Stored, link: bytes | None = None) -> str:
    r"""Return the line of an exported log that the stand-alone verifier reads.

    One spelling only, so that no byte of an export can change unseen; `state` is the stored
    JSON text itself. With its `link`, a changed line can be named without any other copy.

    >>> log_line(Stored(7, bytes(16), 1, "rate", b'{"a":1}'))[-21:]
    ',"state":"{\\"a\\":1}"}'
    """
    position, stream, version, topic, state = event
    try:
        head = f'{{"position":{position},"stream":"{UUID(bytes=stream)}","version":{version}'
        line = f'{head},"topic":{_text(topic)},"state":{_text(state.decode())}'
    except (ValueError, TypeError, AttributeError) as error:
        raise LedgerBrokenError(f"position {position!r} holds no event") from error
    return line + ("}" if link is None else f',"chain":"{link.hex()}"}}')
