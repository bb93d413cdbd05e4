"""Reads and writes Cashu tokens (NUT-00, V3 and V4), trusting nothing in what it reads."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from app.gateways.errors import readable
from app.gateways.mint import cbor, crypto
from app.gateways.mint.crypto import Dleq
from app.gateways.mint.errors import (
    TokenAmountError,
    TokenDuplicateError,
    TokenFormatError,
    TokenKeysetError,
    TokenMintError,
    TokenSizeError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Dleq", "Proof", "Token", "decode", "encode", "normal_mint_url", "token_id"]

TOKEN_CHARS_MAX = 64_000
PROOFS_MAX = 100
AMOUNT_MAX = 2**63
SECRET_CHARS_MAX = 1_024
WITNESS_CHARS_MAX = 4_096
MEMO_CHARS_MAX = 100
UNIT_CHARS_MAX = 16
URL_CHARS_MAX = 512
SHORT_ID_CHARS = 16
_URI = re.compile(r"(?:web\+)?cashu:(?://)?", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_HEX = re.compile(r"[0-9a-f]+")
_Item = TypeVar("_Item")
_DEFAULT_PORT = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proof:
    """Ecash: a secret and the mint's signature on it. Whoever reads it can spend it.

    `keyset_id` is hex, perhaps a short one of 16 characters; `amount` is in the keyset's
    unit; `c` is a point in hex; `witness` is the JSON text that opens a lock.
    """

    keyset_id: str
    amount: int
    secret: str = field(repr=False)
    c: str = field(repr=False)
    dleq: Dleq | None = field(default=None, repr=False)
    witness: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """Proofs of one mint in one unit, as they are handed over."""

    mint: str
    unit: str
    proofs: tuple[Proof, ...]
    memo: str | None = None

    @property
    def amount(self) -> int:
        """The sum of the proofs, in `unit`; a mint's fees are not taken off."""
        return sum(proof.amount for proof in self.proofs)


def token_id(proofs: Iterable[Proof]) -> str:
    """Return what names these proofs whatever the token they come in: SHA-256 of their Ys."""
    ys = sorted(crypto.hash_to_curve(proof.secret) for proof in proofs)
    return hashlib.sha256(b"".join(map(bytes.fromhex, ys))).hexdigest()


def decode(text: str) -> Token:
    """Read a token. Raises a `TokenError`, which never holds a part of the token."""
    if len(text) > TOKEN_CHARS_MAX:
        raise TokenSizeError("characters", TOKEN_CHARS_MAX)
    bare = _URI.sub("", text.strip(), count=1)
    if bare.startswith("cashuA"):
        token = _from_v3(_base64(bare[6:]))
    elif bare.startswith("cashuB"):
        token = _from_v4(_base64(bare[6:]))
    else:
        message = "a token begins with cashuA or cashuB"
        raise TokenFormatError(message)
    if len({proof.secret for proof in token.proofs}) != len(token.proofs):
        raise TokenDuplicateError
    if token.amount > AMOUNT_MAX:
        raise TokenAmountError
    return token


def encode(token: Token) -> str:
    """Write a token as V4, unpadded, with the DLEQ of each proof that has one."""
    by_keyset: dict[str, list[cbor.Cbor]] = {}
    for proof in token.proofs:
        by_keyset.setdefault(proof.keyset_id, []).append(_v4_proof(proof))
    table: dict[str, cbor.Cbor] = {
        "t": [{"i": bytes.fromhex(key), "p": proofs} for key, proofs in by_keyset.items()]
    }
    if token.memo is not None:
        table["d"] = token.memo
    table |= {"m": token.mint, "u": token.unit}
    return "cashuB" + base64.urlsafe_b64encode(cbor.encode(table)).decode().rstrip("=")


def normal_mint_url(url: object) -> str:
    """Return the one spelling of a mint's URL by which it is known. Raises `TokenMintError`.

    >>> normal_mint_url("HTTPS://Mint.Example:443/Bitcoin/")
    'https://mint.example/Bitcoin'
    """
    if not isinstance(url, str) or len(url) > URL_CHARS_MAX or not _is_visible_ascii(url):
        raise TokenMintError
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise TokenMintError from None
    host = parts.hostname
    if parts.scheme not in _DEFAULT_PORT or not host or "@" in parts.netloc:
        raise TokenMintError
    if "?" in url or "#" in url or "\\" in url:
        raise TokenMintError
    host = f"[{host}]" if ":" in host else host
    shown_port = "" if port in {None, _DEFAULT_PORT[parts.scheme]} else f":{port}"
    return f"{parts.scheme}://{host}{shown_port}{parts.path.rstrip('/')}"


def _from_v3(data: bytes) -> Token:
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        message = "the V3 token is not JSON"
        raise TokenFormatError(message) from None
    entries = _list(_table(table).get("token"))
    mints = {normal_mint_url(_table(entry).get("mint")) for entry in entries}
    if len(mints) != 1:
        raise TokenMintError
    listed = [_table(proof) for entry in entries for proof in _list(entry.get("proofs"))]
    unit = table.get("unit")
    return Token(
        mint=mints.pop(),
        unit=_unit("sat" if unit is None else unit),
        proofs=tuple(map(_v3_proof, _counted(listed))),
        memo=_memo(table.get("memo")),
    )


def _v3_proof(table: dict[str, Any]) -> Proof:
    dleq = table.get("dleq")
    return Proof(
        keyset_id=_keyset_id(table.get("id")),
        amount=_amount(table.get("amount")),
        secret=_text(table.get("secret"), SECRET_CHARS_MAX),
        c=_point(table.get("C")),
        dleq=_dleq(_table(dleq)) if dleq is not None else None,
        witness=_witness(table.get("witness")),
    )


def _from_v4(data: bytes) -> Token:
    try:
        table = _table(cbor.decode(data))
    except cbor.CborError:
        message = "the V4 token is not the CBOR of one"
        raise TokenFormatError(message) from None
    groups = [_table(group) for group in _list(table.get("t"))]
    listed = [
        (_keyset_id(_hex(group.get("i"))), _table(proof))
        for group in groups
        for proof in _list(group.get("p"))
    ]
    return Token(
        mint=normal_mint_url(table.get("m")),
        unit=_unit(table.get("u")),
        proofs=tuple(_proof_from_v4(*item) for item in _counted(listed)),
        memo=_memo(table.get("d")),
    )


def _proof_from_v4(keyset_id: str, table: dict[str, Any]) -> Proof:
    dleq = table.get("d")
    return Proof(
        keyset_id=keyset_id,
        amount=_amount(table.get("a")),
        secret=_text(table.get("s"), SECRET_CHARS_MAX),
        c=_point(_hex(table.get("c"))),
        dleq=_dleq({k: _hex(_table(dleq).get(k)) for k in "esr"}) if dleq is not None else None,
        witness=_witness(table.get("w")),
    )


def _v4_proof(proof: Proof) -> cbor.Cbor:
    table: dict[str, cbor.Cbor] = {
        "a": proof.amount,
        "s": proof.secret,
        "c": bytes.fromhex(proof.c),
    }
    if proof.dleq is not None:
        table["d"] = {
            "e": bytes.fromhex(proof.dleq.e),
            "s": bytes.fromhex(proof.dleq.s),
            "r": bytes.fromhex(proof.dleq.r),
        }
    if proof.witness is not None:
        table["w"] = proof.witness
    return table


def _base64(text: str) -> bytes:
    if not _BASE64.fullmatch(text):
        message = "the token is not base64url"
        raise TokenFormatError(message)
    bare = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error:
        message = "the token is cut off"
        raise TokenFormatError(message) from None


def _counted(items: Sequence[_Item]) -> Sequence[_Item]:
    if not items:
        message = "the token has no proofs"
        raise TokenFormatError(message)
    if len(items) > PROOFS_MAX:
        raise TokenSizeError("proofs", PROOFS_MAX)
    return items


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        message = "a part of the token that should be a table is none"
        raise TokenFormatError(message)
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        message = "a part of the token that should be a list is none"
        raise TokenFormatError(message)
    return value


def _text(value: object, most: int) -> str:
    if not isinstance(value, str) or not value or len(value) > most:
        message = "a text of the token is missing, empty or too long"
        raise TokenFormatError(message)
    # JSON can spell half a character; such a text has no UTF-8, and so no point on the curve.
    if any("\ud800" <= char <= "\udfff" for char in value):
        message = "a text of the token is no Unicode"
        raise TokenFormatError(message)
    return value


def _amount(value: object) -> int:
    # bool is an int to Python, and 1.0 == 1: only the very type will do.
    if type(value) is not int or not 1 <= value <= AMOUNT_MAX:
        raise TokenAmountError
    return value


def _hex(value: object) -> str:
    if not isinstance(value, bytes):
        message = "a part of the token that should be bytes is none"
        raise TokenFormatError(message)
    return value.hex()


def _keyset_id(value: object) -> str:
    keyset_id = value.lower() if isinstance(value, str) else ""
    lengths = {
        crypto.KEYSET_V1: {crypto.KEYSET_V1_CHARS},
        crypto.KEYSET_V2: {SHORT_ID_CHARS, crypto.KEYSET_V2_CHARS},
    }
    if len(keyset_id) not in lengths.get(keyset_id[:2], ()) or not _HEX.fullmatch(keyset_id):
        raise TokenKeysetError
    return keyset_id


def _point(value: object) -> str:
    point = value.lower() if isinstance(value, str) else ""
    if not crypto.is_point(point):
        message = "a signature of the token is not a point of the curve"
        raise TokenFormatError(message)
    return point


def _dleq(table: dict[str, Any]) -> Dleq | None:
    """Return the DLEQ; None without `r`, for then it convinces only the first owner."""
    if table.get("r") is None:
        return None
    parts = [str(table.get(name)).lower() for name in "esr"]
    if not all(map(crypto.is_scalar, parts)):
        message = "a DLEQ of the token is malformed"
        raise TokenFormatError(message)
    return Dleq(*parts)


def _witness(value: object) -> str | None:
    return None if value is None or value == "" else _text(value, WITNESS_CHARS_MAX)


def _unit(value: object) -> str:
    unit = _text(value, UNIT_CHARS_MAX).lower()
    if not unit.isascii() or not unit.isalnum():
        message = "the unit of the token is none"
        raise TokenFormatError(message)
    return unit


def _memo(value: object) -> str | None:
    """Return what may be shown of a memo; it is the one part no mint has looked at."""
    return readable(value[:MEMO_CHARS_MAX]) or None if isinstance(value, str) else None


def _is_visible_ascii(text: str) -> bool:
    return all("!" <= char <= "~" for char in text)
