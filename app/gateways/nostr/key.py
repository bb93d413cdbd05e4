"""The key by which the house signs on Nostr, in all its spellings (BIP-340, NIP-19)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coincurve import PrivateKey, PublicKeyXOnly

from app.gateways.mint import bech32
from app.gateways.mint.bech32 import BECH32, Bech32Error
from app.gateways.nostr.event import NostrEvent, event_id

if TYPE_CHECKING:
    from app.gateways.nostr.event import Tags

KEY_BYTES = 32
_HEX = re.compile(r"[0-9a-fA-F]{64}")


class NostrKeyError(ValueError):
    """The text is no private key; it is not repeated."""


class NostrKey:
    """A private key; `public` is the key that others know it by, in hex."""

    def __init__(self, secret: bytes) -> None:
        try:
            self._key = PrivateKey(secret)
        except ValueError:
            raise NostrKeyError("must be a private key, nsec1… or 64 hex digits") from None
        self.public = PublicKeyXOnly.from_secret(self._key.secret).format().hex()

    @classmethod
    def read(cls, text: str) -> NostrKey:
        """Return the key in `nsec1…` or 64 hex digits. Raises `NostrKeyError`."""
        written = text.strip()
        if _HEX.fullmatch(written):
            return cls(bytes.fromhex(written))
        try:
            prefix, secret = bech32.decode(written, BECH32)
        except Bech32Error:
            prefix, secret = "", b""
        if prefix != "nsec" or len(secret) != KEY_BYTES:
            raise NostrKeyError("must be a private key, nsec1… or 64 hex digits")
        return cls(secret)

    @property
    def npub(self) -> str:
        """The public key as people know it."""
        return bech32.encode("npub", bytes.fromhex(self.public), BECH32)

    def signed(self, kind: int, tags: Tags, content: str, created_at_s: int) -> NostrEvent:
        """Return an event of these parts, signed."""
        identity = event_id(self.public, created_at_s, kind, tags, content)
        signature = self._key.sign_schnorr(bytes.fromhex(identity))
        return NostrEvent(
            identity, self.public, created_at_s, kind, tags, content, signature.hex()
        )

    def __repr__(self) -> str:
        return f"NostrKey({self.npub})"
