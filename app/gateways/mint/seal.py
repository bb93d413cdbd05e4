"""Keeps bearer secrets unreadable on disk until they are worthless."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from app.gateways.mint.errors import SealError

_VERSION = b"\x01"
_NONCE_BYTES = 12


class Sealer:
    """Seals with one key of 32 bytes; a sealed text opens only in the context it was made for.

    ChaCha20-Poly1305 (RFC 8439) under a random nonce, which allows some 2^32 seals a key.
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt; `context` (which record this belongs to) is authenticated, not kept."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, plaintext, _VERSION + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt, or raise `SealError` for another key, another context or a changed byte."""
        version, rest = sealed[:1], sealed[1:]
        nonce, ciphertext = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        if version != _VERSION or len(nonce) != _NONCE_BYTES:
            raise SealError
        try:
            return self._aead.decrypt(nonce, ciphertext, version + context)
        except InvalidTag:
            raise SealError from None

    def __repr__(self) -> str:
        return "Sealer(…)"
