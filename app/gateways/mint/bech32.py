"""Writes bytes as Bech32 and Bech32m text (BIP-173, BIP-350), without their 90-character limit.

NUT-26 payment requests are Bech32m; Nostr's names (NIP-19), LNURLs and invoices are Bech32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

BECH32, BECH32M = 1, 0x2BC830A3
TEXT_CHARS_MAX = 32_768
_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {char: value for value, char in enumerate(_ALPHABET)}
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_CHARS = 6


class Bech32Error(ValueError):
    """The text is not Bech32 of the expected kind."""


def encode(prefix: str, data: bytes, variant: int) -> str:
    """Write `data` after a lower case `prefix`; `variant` is BECH32 or BECH32M.

    >>> encode("creqb", b"cash", BECH32M)
    'creqb1vdshx6qxjhat4'
    """
    values = _regrouped(data, 8, 5)
    sum_ = _polymod([*_expanded(prefix), *values, *[0] * _CHECKSUM_CHARS]) ^ variant
    checksum = [sum_ >> 5 * (5 - place) & 31 for place in range(_CHECKSUM_CHARS)]
    return prefix + "1" + "".join(_ALPHABET[value] for value in [*values, *checksum])


def decode(text: str, variant: int) -> tuple[str, bytes]:
    """Return prefix and data of a text in one case. Raises `Bech32Error`."""
    prefix, values = decode_words(text, variant)
    return prefix, bytes(_regrouped(values, 5, 8))


def decode_words(text: str, variant: int) -> tuple[str, list[int]]:
    """Return prefix and data as numbers of five bits, as BOLT 11 counts them.

    Raises `Bech32Error`.
    """
    if len(text) > TEXT_CHARS_MAX or text not in {text.lower(), text.upper()}:
        message = "too long, or in mixed case"
        raise Bech32Error(message)
    prefix, _, rest = text.lower().rpartition("1")
    if not prefix.isascii() or not prefix or len(rest) < _CHECKSUM_CHARS:
        message = "no prefix, or no checksum"
        raise Bech32Error(message)
    if set(rest) - _VALUES.keys():
        message = "a character that is none of Bech32"
        raise Bech32Error(message)
    values = [_VALUES[char] for char in rest]
    if _polymod([*_expanded(prefix), *values]) != variant:
        message = "the checksum does not fit"
        raise Bech32Error(message)
    return prefix, values[:-_CHECKSUM_CHARS]


def _regrouped(values: Iterable[int], width: int, wanted: int) -> list[int]:
    """Cut a stream of `width`-bit numbers into `wanted`-bit ones; to 5 bits it is padded."""
    kept, bits, out = 0, 0, list[int]()
    for value in values:
        kept, bits = kept << width | value, bits + width
        while bits >= wanted:
            bits -= wanted
            out.append(kept >> bits)
            kept &= (1 << bits) - 1
    if wanted < width:
        return [*out, kept << wanted - bits] if bits else out
    if bits >= width or kept:
        message = "the last character has bits too many"
        raise Bech32Error(message)
    return out


def _expanded(prefix: str) -> list[int]:
    codes = prefix.encode()
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _polymod(values: Iterable[int]) -> int:
    sum_ = 1
    for value in values:
        top, sum_ = sum_ >> 25, (sum_ & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATORS):
            sum_ ^= generator if top >> place & 1 else 0
    return sum_
