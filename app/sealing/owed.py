"""What the house owes to all clients, signed, and to each of them the proof of its part."""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from app.sealing.prove import NotSealedError
from app.store.liability_tables import Made
from projections.liabilities import AMOUNTS, Liabilities, Owed, beside, leaf, levels

if TYPE_CHECKING:
    from uuid import UUID

    from app.sealing.sign import Sealing, SigningKey
    from app.store.liability_tables import LiabilityTables

SALT_BYTES = 32


class Owing:
    """Makes the tree of all that is owed, as of a checkpoint, in place of the one before."""

    def __init__(self, tables: LiabilityTables, sealing: Sealing, key: SigningKey) -> None:
        self._tables = tables
        self._sealing = sealing
        self._key = key

    def make(self) -> Liabilities | None:
        """Make and sign it; `None` if the log is empty, or another process seals just now.

        Raises `LedgerBrokenError` if the log is not one that can be signed.
        """
        position, owed = self._tables.owed()
        signed = self._sealing.seal_at(position)
        if signed is None:
            return None
        # New salts each time: nobody follows a client from one tree to the next, and by
        # their hashes the leaves stand in an order that tells nothing.
        salt = secrets.token_bytes(SALT_BYTES)
        leaves = sorted((leaf(salt_of(salt, each), each), each) for each in owed)
        rows = levels(node for node, _ in leaves)
        name = self._key.verifier.name
        told = Liabilities(name, signed.size, signed.root, rows[-1][0])
        made = Made(salt, len(rows) - 1, self._key.note(told.text()))
        self._tables.keep(made, [each for _, each in leaves], rows)
        return told


class OwedProofs:
    """Tells what was signed, and gives each account the proof that it is in there."""

    def __init__(self, tables: LiabilityTables) -> None:
        self._tables = tables

    def note(self) -> str:
        """Return the newest signed note; raises `NotSealedError`."""
        made = self._tables.made()
        if made is None:
            raise NotSealedError
        return made.note

    def of(self, account_id: UUID) -> Proof:
        """Return the proof for an account.

        Raises `NotSealedError` if nothing is signed yet, or it was owed nothing just then.
        """
        found = self._tables.path(account_id, beside)
        if found is None:
            raise NotSealedError(account_id)
        made, place, owed, nodes = found
        path = [{"hash": _base64(node.hash), "msat": node.msat} for node in nodes]
        return Proof(owed, salt_of(made.salt, owed), place, path, made.note)


class Proof(NamedTuple):
    """What convinces whoever has it that the amounts of an account are in the signed total."""

    owed: Owed
    salt: bytes
    place: int
    path: list[dict[str, Any]]
    note: str

    def document(self) -> dict[str, Any]:
        """Return it as tools/verify_ledger.py reads it."""
        return {
            "account": str(self.owed.account_id),
            **dict(zip(AMOUNTS, self.owed.amounts_msat, strict=True)),
            "salt": _base64(self.salt),
            "place": self.place,
            "path": self.path,
            "liabilities": self.note,
        }


def salt_of(salt: bytes, owed: Owed) -> bytes:
    """Return an account's own salt: whoever is shown one learns none of another."""
    return hmac.digest(salt, owed.account_id.bytes, "sha256")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
