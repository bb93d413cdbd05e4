"""What names a person, sealed under a key of its account that can be destroyed."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Protocol

from app.gateways.mint.errors import SealError
from app.gateways.mint.seal import Sealer

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

KEY_BYTES = 32
WRAPPING = b"keys of accounts"
OLD_DESTINATIONS = b"destinations of payments"
BY_KEY = b"\x02"
"""How a text begins that was sealed under a key of its account."""
BY_SEED = b"\x01"
"""How one begins that older versions sealed with what follows from the seed alone."""


class KeptKeys(Protocol):
    """Where the wrapped keys are kept."""

    def find(self, account_id: UUID) -> bytes | None: ...

    def is_erased(self, account_id: UUID) -> bool: ...

    def keep(
        self, account_id: UUID, wrapped: bytes, instead_of: bytes | None = None
    ) -> bytes | None: ...


class Vault:
    """Seals texts of an account under its own key; without that key nobody opens them.

    The key is made by chance when it is first needed, and kept wrapped by one that follows
    from the seed: to read a text, one needs the log, the kept key and the seed. `subkey`
    yields the 32 bytes that the seed has for a name.
    """

    def __init__(self, subkey: Callable[[bytes], bytes], kept: KeptKeys) -> None:
        self.subkey = subkey
        self._wrapping = Sealer(subkey(WRAPPING))
        self._kept = kept

    def seal(self, account_id: UUID, text: str, context: bytes) -> bytes:
        """Seal for good; nothing at all (b"") for an account that was erased."""
        wrapped = self._kept.find(account_id)
        sealer = None if wrapped is None else self._unwrapped(account_id, wrapped)
        if sealer is None:
            # There is none yet, or one of another seed, which is of no use any more.
            fresh = self._wrapping.seal(secrets.token_bytes(KEY_BYTES), account_id.bytes)
            wrapped = self._kept.keep(account_id, fresh, wrapped)
            sealer = None if wrapped is None else self._unwrapped(account_id, wrapped)
        return b"" if sealer is None else BY_KEY + sealer.seal(text.encode(), context)

    def open(self, account_id: UUID, sealed: bytes, context: bytes, old: Sealer) -> str:
        """Return what was sealed, "" if nobody can read it: its key is gone, or not ours.

        `old` opens what older versions have sealed; of an erased account it is not asked.
        """
        try:
            if sealed[:1] == BY_SEED:
                erased = self._kept.is_erased(account_id)
                return "" if erased else old.open(sealed, context).decode()
            wrapped = self._kept.find(account_id)
            sealer = None if wrapped is None else self._unwrapped(account_id, wrapped)
            return "" if sealer is None else sealer.open(sealed[1:], context).decode()
        except SealError:
            return ""

    def _unwrapped(self, account_id: UUID, wrapped: bytes) -> Sealer | None:
        try:
            return Sealer(self._wrapping.open(wrapped, account_id.bytes))
        except SealError:
            return None


class Addresses:
    """Keeps addresses for refunds unreadable on disk, as text."""

    __slots__ = ("_vault",)

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, account_id: UUID, address: str) -> str:
        """Seal an address; "" if the account was erased."""
        sealed = self._vault.seal(account_id, address, account_id.bytes)
        return b64encode(sealed).decode()

    def open(self, account_id: UUID, sealed: str) -> str:
        """Return an address, "" where there is none, or none that anybody can read."""
        if not sealed:
            return ""
        old = Sealer(self._vault.subkey(b"refund address:" + account_id.bytes))
        return self._vault.open(account_id, b64decode(sealed), account_id.bytes, old)


class Destinations:
    """Keeps whom a payout goes to unreadable on disk."""

    __slots__ = ("_vault",)

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, account_id: UUID, payout_id: UUID, address: str) -> bytes:
        """Seal an address; b"" if the account was erased: then nobody is named."""
        return self._vault.seal(account_id, address, payout_id.bytes)

    def open(self, account_id: UUID, payout_id: UUID, sealed: bytes) -> str:
        """Return an address, "" where there is none, or none that anybody can read."""
        if not sealed:
            return ""
        old = Sealer(self._vault.subkey(OLD_DESTINATIONS))
        return self._vault.open(account_id, sealed, payout_id.bytes, old)
