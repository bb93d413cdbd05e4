"""Documents: JSON of others, read whatever its faults, and written anew."""

from __future__ import annotations

import json

import msgspec


def parsed(data: bytes) -> object:
    """Return the document that `data` is, or None: what we cannot read is still the client's.

    >>> parsed(b'{"a": [1, 2.5]}'), parsed(b"{")
    ({'a': [1, 2.5]}, None)
    """
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return _parsed_slowly(data)


def written(document: object) -> bytes:
    """Return `document` as JSON.

    >>> written({"a": "€"}).decode()
    '{"a":"€"}'
    """
    try:
        return msgspec.json.encode(document)
    except (ValueError, TypeError, RecursionError):
        # Half a pair of surrogates has no UTF-8; as an escape it goes through as it came.
        return json.dumps(document, separators=(",", ":")).encode()


def _parsed_slowly(data: bytes) -> object:
    """Read what the standard library reads and RFC 8259 does not know, such as `NaN`."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
