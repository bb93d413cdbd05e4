"""Writes and reads payment requests (NUT-18 `creqA…`, NUT-26 `CREQB1…`) for NUT-24."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from app.gateways.mint import bech32, cbor
from app.gateways.mint.errors import PaymentRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Tag: TypeAlias = tuple[str, ...]

REQUEST_CHARS_MAX = 16_384
PREFIX_A, PREFIX_B = "creqA", "creqb"
NOSTR, POST = "nostr", "post"
_ID, _AMOUNT, _UNIT, _SINGLE_USE, _MINT, _DESCRIPTION, _TRANSPORT, _LOCK = range(1, 9)
_KIND, _TARGET, _TAG = 1, 2, 3
_TRANSPORT_KINDS: Final = (NOSTR, POST)
_LOCK_KINDS: Final = ("P2PK", "HTLC")
_NPUB_BYTES = 32


@dataclass(frozen=True, slots=True)
class Transport:
    """A way to hand the token over: `nostr` to an nprofile, or `post` to a URL."""

    kind: str
    target: str
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class Lock:
    """The spending condition the payee wants (NUT-10): kind, data and tags."""

    kind: str
    data: str
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """What a payer is asked for; without `transports` the token comes in band (NUT-24)."""

    amount: int | None = None
    unit: str | None = None
    mints: tuple[str, ...] = ()
    id: str | None = None
    single_use: bool | None = None
    description: str | None = None
    transports: tuple[Transport, ...] = ()
    lock: Lock | None = None

    def encode_a(self) -> str:
        """Write as NUT-18: CBOR in padded base64url."""
        table: dict[str, cbor.Cbor] = {
            "t": [_transport_table(transport) for transport in self.transports] or None,
            "i": self.id,
            "a": self.amount,
            "u": self.unit,
            "m": list(self.mints) or None,
            "d": self.description,
            "s": self.single_use,
            "nut10": None if self.lock is None else _lock_table(self.lock),
        }
        data = cbor.encode({name: item for name, item in table.items() if item is not None})
        return PREFIX_A + base64.urlsafe_b64encode(data).decode()

    def encode_b(self) -> str:
        """Write as NUT-26: TLV in upper case Bech32m, which makes a small QR code."""
        return bech32.encode(PREFIX_B, _tlv(_fields(self)), bech32.BECH32M).upper()


def decode(text: str) -> PaymentRequest:
    """Read either form. Raises `PaymentRequestError`."""
    if len(text) > REQUEST_CHARS_MAX:
        message = "the payment request is too long"
        raise PaymentRequestError(message)
    bare = text.strip()
    try:
        if bare[: len(PREFIX_A)].lower() == PREFIX_A.lower():
            return _from_a(bare[len(PREFIX_A) :])
        return _from_b(bare)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        message = "the text is not a payment request"
        raise PaymentRequestError(message) from error


def _from_a(text: str) -> PaymentRequest:
    bare = text.rstrip("=")
    try:
        data = base64.b64decode(bare + "=" * (-len(bare) % 4), b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error
    table = _typed(cbor.decode(data), dict)
    lock = table.get("nut10")
    return PaymentRequest(
        amount=_optional(table.get("a"), int),
        unit=_optional(table.get("u"), str),
        mints=tuple(_typed(mint, str) for mint in table.get("m") or ()),
        id=_optional(table.get("i"), str),
        single_use=_optional(table.get("s"), bool),
        description=_optional(table.get("d"), str),
        transports=tuple(
            Transport(_typed(item["t"], str), _typed(item["a"], str), _tags(item.get("g")))
            for item in table.get("t") or ()
        ),
        lock=None
        if lock is None
        else Lock(_typed(lock["k"], str), _typed(lock["d"], str), _tags(lock.get("t"))),
    )


def _transport_table(transport: Transport) -> cbor.Cbor:
    table: dict[str, cbor.Cbor] = {"t": transport.kind, "a": transport.target}
    return table | {"g": _tag_lists(transport.tags)} if transport.tags else table


def _lock_table(lock: Lock) -> cbor.Cbor:
    table: dict[str, cbor.Cbor] = {"k": lock.kind, "d": lock.data}
    return table | {"t": _tag_lists(lock.tags)} if lock.tags else table


def _tag_lists(tags: Iterable[Tag]) -> list[cbor.Cbor]:
    return [list[cbor.Cbor](tag) for tag in tags]


def _tags(listed: object) -> tuple[Tag, ...]:
    tags = [_typed(tag, list) for tag in _typed(listed or [], list)]
    return tuple(tuple(_typed(part, str) for part in tag) for tag in tags)


def _optional(value: object, kind: type) -> Any:
    return None if value is None else _typed(value, kind)


def _typed(value: object, kind: type) -> Any:
    # The very type: True is an int to Python, but no amount.
    if type(value) is not kind or (kind is int and _below_zero(value)):
        raise TypeError(kind)
    return value


def _below_zero(value: object) -> bool:
    return isinstance(value, int) and value < 0


def _fields(request: PaymentRequest) -> Iterator[tuple[int, bytes]]:
    if request.id is not None:
        yield _ID, request.id.encode()
    if request.amount is not None:
        yield _AMOUNT, request.amount.to_bytes(8, "big")
    if request.unit is not None:
        yield _UNIT, b"\x00" if request.unit == "sat" else request.unit.encode()
    if request.single_use is not None:
        yield _SINGLE_USE, bytes([request.single_use])
    for mint in request.mints:
        yield _MINT, mint.encode()
    if request.description is not None:
        yield _DESCRIPTION, request.description.encode()
    for transport in request.transports:
        yield _TRANSPORT, _tlv(_transport_fields(transport))
    if request.lock is not None:
        yield _LOCK, _tlv(_lock_fields(request.lock))


def _transport_fields(transport: Transport) -> Iterator[tuple[int, bytes]]:
    yield _KIND, bytes([_TRANSPORT_KINDS.index(transport.kind)])
    relays: Sequence[str] = ()
    if transport.kind == NOSTR:
        key, relays = _from_nip19(transport.target)
        yield _TARGET, key
    else:
        yield _TARGET, transport.target.encode()
    for tag in (*transport.tags, *(("r", relay) for relay in relays)):
        yield _TAG, _tag_bytes(tag)


def _lock_fields(lock: Lock) -> Iterator[tuple[int, bytes]]:
    known = lock.kind in _LOCK_KINDS
    yield _KIND, bytes([_LOCK_KINDS.index(lock.kind) if known else int(lock.kind)])
    yield _TARGET, lock.data.encode()
    for tag in lock.tags:
        yield _TAG, _tag_bytes(tag)


def _tag_bytes(tag: Tag) -> bytes:
    parts = [part.encode() for part in tag]
    return b"".join(bytes([len(part)]) + part for part in parts)


def _from_b(text: str) -> PaymentRequest:
    prefix, data = bech32.decode(text, bech32.BECH32M)
    if prefix != PREFIX_B:
        raise ValueError(prefix)
    fields = list(_parsed(data, 2))
    first = dict(reversed(fields))
    unit = first.get(_UNIT)
    return PaymentRequest(
        amount=int.from_bytes(first[_AMOUNT], "big") if _AMOUNT in first else None,
        unit=None if unit is None else "sat" if unit == b"\x00" else unit.decode(),
        mints=tuple(value.decode() for kind, value in fields if kind == _MINT),
        id=first[_ID].decode() if _ID in first else None,
        single_use=first[_SINGLE_USE] == b"\x01" if _SINGLE_USE in first else None,
        description=first[_DESCRIPTION].decode() if _DESCRIPTION in first else None,
        transports=tuple(
            _transport(value)
            for kind, value in fields
            if kind == _TRANSPORT and dict(_parsed(value, 2))[_KIND] in {b"\x00", b"\x01"}
        ),
        lock=_lock(first[_LOCK]) if _LOCK in first else None,
    )


def _transport(data: bytes) -> Transport:
    """Read a transport; the relays of a Nostr one go back into its target (NIP-19)."""
    fields = list(_parsed(data, 2))
    table = dict(fields)
    tags = _tag_tuples(fields)
    if table[_KIND] == b"\x01":
        return Transport(POST, table[_TARGET].decode(), tags)
    relays = [relay for tag in tags if tag[0] == "r" for relay in tag[1:]]
    kept = tuple(tag for tag in tags if tag[0] != "r")
    return Transport(NOSTR, _nprofile(table[_TARGET], relays), kept)


def _lock(data: bytes) -> Lock:
    fields = list(_parsed(data, 2))
    table = dict(fields)
    number = table[_KIND][0]
    kind = _LOCK_KINDS[number] if number < len(_LOCK_KINDS) else str(number)
    return Lock(kind, table[_TARGET].decode(), _tag_tuples(fields))


def _tag_tuples(fields: Iterable[tuple[int, bytes]]) -> tuple[Tag, ...]:
    return tuple(tuple(_tag_parts(value)) for kind, value in fields if kind == _TAG)


def _tag_parts(data: bytes) -> Iterator[str]:
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            raise ValueError(end)
        yield data[at + 1 : end].decode()
        at = end


def _tlv(fields: Iterable[tuple[int, bytes]], length_bytes: int = 2) -> bytes:
    return b"".join(
        bytes([kind]) + len(value).to_bytes(length_bytes, "big") + value
        for kind, value in fields
    )


def _parsed(data: bytes, length_bytes: int) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        start = at + 1 + length_bytes
        end = start + int.from_bytes(data[at + 1 : start], "big")
        if end > len(data):
            raise ValueError(end)
        yield data[at], data[start:end]
        at = end


def _from_nip19(text: str) -> tuple[bytes, list[str]]:
    """Return the key and the relays of an `npub` or `nprofile`."""
    prefix, data = bech32.decode(text, bech32.BECH32)
    if prefix == "npub":
        return data, []
    fields = list(_parsed(data, 1))
    if prefix != "nprofile" or len(dict(fields)[0]) != _NPUB_BYTES:
        raise ValueError(prefix)
    return dict(fields)[0], [value.decode() for kind, value in fields if kind == 1]


def _nprofile(key: bytes, relays: Sequence[str]) -> str:
    fields = [(0, key), *((1, relay.encode()) for relay in relays)]
    return bech32.encode("nprofile", _tlv(fields, 1), bech32.BECH32)
