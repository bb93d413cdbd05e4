"""Reads from a Lightning invoice (BOLT 11) what money hangs on, strictly, and nothing else.

Whether the payee has signed it is for the node to check that pays it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from app.gateways.mint import bech32
from app.gateways.mint.bech32 import Bech32Error
from app.gateways.mint.errors import InvoiceError

INVOICE_CHARS_MAX = 4_096
EXPIRY_S_DEFAULT = 3_600
MSAT_OF_BITCOIN: Final = 100_000_000_000
AMOUNT_MSAT_MAX: Final = 21_000_000 * MSAT_OF_BITCOIN

_HEAD = re.compile(r"ln(bcrt|bc|tbs|tb)(?:([1-9][0-9]{0,17})([munp]?))?")
_PICO = 10  # a tenth of a msat: the amount must be a multiple of ten of them
_PARTS: Final = {"": 1, "m": 1_000, "u": 1_000_000, "n": 1_000_000_000}
_TIMESTAMP_WORDS, _SIGNATURE_WORDS, _HASH_WORDS = 7, 104, 52
_HASH_BYTES = 32
_EXPIRY_WORDS_MAX = 12
_PAYMENT_HASH, _DESCRIPTION_HASH, _EXPIRY = 1, 23, 6


@dataclass(frozen=True, slots=True)
class Bolt11:
    """An invoice; hashes in hex, `amount_msat` None if the payer is to choose.

    `network` is bc, tb (testnet), tbs (signet) or bcrt (regtest). Times are Unix seconds.
    `description_hash` is what LUD-06 binds the invoice to its offer by.
    """

    network: str
    amount_msat: int | None
    payment_hash: str
    made_at_s: int
    expires_at_s: int
    description_hash: str | None


def read_invoice(text: str) -> Bolt11:
    """Return what the invoice says. Raises `InvoiceError`."""
    if len(text) > INVOICE_CHARS_MAX:
        raise InvoiceError("an invoice this long is not read")
    try:
        prefix, words = bech32.decode_words(text, bech32.BECH32)
    except Bech32Error as error:
        raise InvoiceError(f"not an invoice: {error}") from None
    head = _HEAD.fullmatch(prefix)
    if head is None or len(words) < _TIMESTAMP_WORDS + _SIGNATURE_WORDS:
        raise InvoiceError("not a Lightning invoice")
    made_at_s = _number(words[:_TIMESTAMP_WORDS])
    fields = _fields(words[_TIMESTAMP_WORDS:-_SIGNATURE_WORDS])
    payment_hash = _hash(fields, _PAYMENT_HASH)
    if payment_hash is None:
        raise InvoiceError("the invoice names no payment")
    expiry = fields.get(_EXPIRY)
    if expiry and len(expiry[0]) > _EXPIRY_WORDS_MAX:
        raise InvoiceError("the invoice never expires")
    return Bolt11(
        network=head[1],
        amount_msat=_amount_msat(head[2], head[3]),
        payment_hash=payment_hash,
        made_at_s=made_at_s,
        expires_at_s=made_at_s + (_number(expiry[0]) if expiry else EXPIRY_S_DEFAULT),
        description_hash=_hash(fields, _DESCRIPTION_HASH),
    )


def _amount_msat(digits: str | None, unit: str | None) -> int | None:
    if digits is None:
        return None
    if unit == "p":
        amount_msat, rest = divmod(int(digits), _PICO)
    else:
        amount_msat, rest = divmod(int(digits) * MSAT_OF_BITCOIN, _PARTS[unit or ""])
    if rest or amount_msat > AMOUNT_MSAT_MAX:
        raise InvoiceError("the invoice's amount is none")
    return amount_msat


def _fields(words: list[int]) -> dict[int, list[list[int]]]:
    """Return the tagged fields by type; the same may be there several times."""
    fields: dict[int, list[list[int]]] = {}
    at = 0
    while at < len(words):
        kind, *length = words[at : at + 3]
        start = at + 3
        at = start + _number(length)
        if len(length) < 2 or at > len(words):  # noqa: PLR2004  # two words of five bits
            raise InvoiceError("the invoice ends in the middle of a field")
        fields.setdefault(kind, []).append(words[start:at])
    return fields


def _hash(fields: dict[int, list[list[int]]], kind: int) -> str | None:
    """Return the one hash of a kind; a field of another length is skipped (BOLT 11)."""
    found = [words for words in fields.get(kind, []) if len(words) == _HASH_WORDS]
    if len(found) > 1:
        raise InvoiceError("the invoice says two different things")
    # 52 words are 260 bits, of which the last four pad.
    return (_number(found[0]) >> 4).to_bytes(_HASH_BYTES, "big").hex() if found else None


def _number(words: list[int]) -> int:
    number = 0
    for word in words:
        number = number << 5 | word
    return number
