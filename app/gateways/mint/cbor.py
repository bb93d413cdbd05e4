"""The small part of CBOR (RFC 8949) that tokens and payment requests are written in.

Whole numbers, byte and text strings, arrays, maps with text keys, true, false and null, all
of definite length. Tags, floats and indefinite lengths are refused: a general decoder would
run foreign instructions (regular expressions, big decimals) for whoever sends a token.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

Cbor: TypeAlias = "int | bytes | str | bool | list[Cbor] | dict[str, Cbor] | None"

DEPTH_MAX = 8
_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _SIMPLE = 0, 1, 2, 3, 4, 5, 7
_LENGTH_FORMAT: Final = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}
_CONSTANTS: Final = {20: False, 21: True, 22: None, 23: None}
_HEADS: Final = ((24, 24, ">B"), (2**8, 24, ">B"), (2**16, 25, ">H"), (2**32, 26, ">I"))


class CborError(ValueError):
    """The bytes are not in the part of CBOR that is read here."""


class _Open:
    """An array or map that is not full yet; `key` waits for its value."""

    __slots__ = ("key", "left", "value")

    def __init__(self, value: list[Cbor] | dict[str, Cbor], left: int) -> None:
        self.value = value
        self.left = left
        self.key: str | None = None

    def put(self, item: Cbor) -> None:
        self.left -= 1
        if isinstance(self.value, list):
            self.value.append(item)
        elif self.key is None:
            if not isinstance(item, str) or item in self.value:
                message = "a map key is no text, or is there twice"
                raise CborError(message)
            self.key = item
        else:
            self.value[self.key] = item
            self.key = None


def decode(data: bytes) -> Cbor:
    """Read exactly one item. Raises `CborError`.

    >>> decode(bytes.fromhex("a26161182a6162820102"))
    {'a': 42, 'b': [1, 2]}
    """
    at, stack = 0, list[_Open]()
    while True:
        item, at, opened = _item(data, at)
        if opened is not None and opened.left:
            stack.append(opened)
            if len(stack) > DEPTH_MAX:
                message = "nested too deeply"
                raise CborError(message)
            continue
        while stack:
            stack[-1].put(item)
            if stack[-1].left:
                break
            item = stack.pop().value
        if not stack:
            break
    if at != len(data):
        message = "more bytes than one item"
        raise CborError(message)
    return item


def _item(data: bytes, at: int) -> tuple[Cbor, int, _Open | None]:
    """Return the item at `at`, where the next begins, and the collection it opens, if any."""
    major, number, at = _head(data, at)
    if major in {_UINT, _NEGATIVE}:
        return (number if major == _UINT else -1 - number), at, None
    if major == _SIMPLE:
        return _constant(number), at, None
    # Every byte, item or key takes at least one byte, so that no length can be larger than
    # what is left: nothing is set aside for a collection that only claims to be large.
    if number > len(data) - at:
        message = "a length that goes beyond the end"
        raise CborError(message)
    if major in {_BYTES, _TEXT}:
        raw = data[at : at + number]
        return (raw if major == _BYTES else _text(raw)), at + number, None
    if major == _ARRAY:
        array: list[Cbor] = []
        return array, at, _Open(array, number)
    table: dict[str, Cbor] = {}
    return table, at, _Open(table, 2 * number)


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    if at >= len(data):
        message = "the bytes end too early"
        raise CborError(message)
    major, number, at = data[at] >> 5, data[at] & 31, at + 1
    if major not in {_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _SIMPLE}:
        message = "tags are not read"
        raise CborError(message)
    if number < min(_LENGTH_FORMAT) or major == _SIMPLE:
        return major, number, at
    if number not in _LENGTH_FORMAT:
        message = "an indefinite length"
        raise CborError(message)
    size = struct.calcsize(_LENGTH_FORMAT[number])
    if at + size > len(data):
        message = "the bytes end too early"
        raise CborError(message)
    (number,) = struct.unpack_from(_LENGTH_FORMAT[number], data, at)
    return major, number, at + size


def _constant(number: int) -> Cbor:
    if number not in _CONSTANTS:
        message = "floats and other simple values are not read"
        raise CborError(message)
    return _CONSTANTS[number]


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        message = "a text that is no UTF-8"
        raise CborError(message) from None


def encode(item: Cbor) -> bytes:
    """Write one item in its shortest form; a map keeps the order of its keys.

    >>> encode({"a": 42, "b": [1, 2]}).hex()
    'a26161182a6162820102'
    """
    out, todo = bytearray(), [item]
    while todo:
        item = todo.pop()
        if isinstance(item, bool) or item is None:
            out.append(_SIMPLE << 5 | {False: 20, True: 21, None: 22}[item])
        elif isinstance(item, int):
            out += _head_bytes(_UINT if item >= 0 else _NEGATIVE, max(item, -1 - item))
        elif isinstance(item, bytes):
            out += _head_bytes(_BYTES, len(item)) + item
        elif isinstance(item, str):
            out += _head_bytes(_TEXT, len(item.encode())) + item.encode()
        elif isinstance(item, Sequence):
            out += _head_bytes(_ARRAY, len(item))
            todo += reversed(item)
        elif isinstance(item, Mapping):
            out += _head_bytes(_MAP, len(item))
            pairs: list[Cbor] = [part for pair in item.items() for part in pair]
            todo += reversed(pairs)
    return bytes(out)


def _head_bytes(major: int, number: int) -> bytes:
    if number < min(_LENGTH_FORMAT):
        return bytes([major << 5 | number])
    for limit, code, shape in _HEADS:
        if number < limit:
            return bytes([major << 5 | code]) + struct.pack(shape, number)
    return bytes([major << 5 | 27]) + struct.pack(">Q", number)
