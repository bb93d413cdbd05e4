"""A follower of the log that signs what it read, and refuses to when it was rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.sealing.check import check
from domain.errors import LedgerBrokenError
from projections.checkpoint import Checkpoint, VerifierKey, sign, sign_text
from projections.merkle import range_hash
from projections.receipt import signed
from projections.tiles import TILE_SIZE, TiledTree, grow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.store.seals import Seals, Signed


class SigningKey:
    """The house's Ed25519 key for checkpoints, and the name it signs under."""

    def __init__(self, secret: bytes, origin: str) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(secret)
        self.verifier = VerifierKey(origin, self._private.public_key().public_bytes_raw())

    def receipt(self, receipt: Mapping[str, Any]) -> dict[str, Any]:
        """Return a receipt of this house with its signature."""
        return signed(receipt, self.verifier, self._private.sign)

    def note(self, text: str) -> str:
        """Return the signed note of a text that says by itself what it is."""
        return sign_text(text, self.verifier, self._private.sign)

    def sign(self, size: int, root: bytes) -> str:
        """Return the signed note that says so."""
        checkpoint = Checkpoint(self.verifier.name, size, root)
        return sign(checkpoint, self.verifier, self._private.sign)


class Sealing:
    """Follows the log, and signs a checkpoint of all that it has read."""

    def __init__(self, seals: Seals, key: SigningKey) -> None:
        self._seals = seals
        self._key = key

    def seal(self) -> Signed | None:
        """Read what is new and sign it; return the newest checkpoint, `None` if there is none.

        Raises `LedgerBrokenError`, and signs nothing, if the log is not one that grew from
        what was signed before.
        """
        done = follow(self._seals)
        page, newest = self._seals.newest_page(), self._seals.newest_signed()
        if not done:
            return newest
        if newest is not None and newest.size > page.size:
            raise LedgerBrokenError(f"{newest.size} events were signed, {page.size} are left")
        node = TiledTree(self._seals.tile).node
        if newest is not None and range_hash(0, newest.size, node) != newest.root:
            raise LedgerBrokenError(f"the first {newest.size} events are not those once signed")
        if page.size == (newest.size if newest else 0):
            return newest
        return self._sign(page.size, page.positions[-1])

    def seal_upto(self, position: int) -> Signed:
        """Read what is new, and sign the log up to the event at `position` as it is now.

        Raises `LedgerBrokenError` as `seal` does, or when no event is there.
        """
        signed = self.seal_at(position)
        if signed is None:
            raise LedgerBrokenError(f"no event at position {position} is sealed")
        return signed

    def seal_at(self, position: int) -> Signed | None:
        """Do the same; `None` when no event is there, or another process seals just now."""
        self.seal()
        page = self._seals.page_of(position)
        if page is None or position not in page.positions:
            return None
        size = page.number * TILE_SIZE + page.positions.index(position) + 1
        return self._seals.signed(size) or self._sign(size, position)

    def compare(self) -> None:
        """Compare all of the log with what was sealed and signed of it.

        Raises `LedgerBrokenError` naming the first difference.
        """
        found = check(self._seals, lambda _done, _all: None, self._key.verifier.public)
        if found is not None:
            raise LedgerBrokenError(found)

    def _sign(self, size: int, position: int) -> Signed:
        root = range_hash(0, size, TiledTree(self._seals.tile).node)
        note = self._key.sign(size, root)
        self._seals.sign(size, position, root, note)
        signed = self._seals.signed(size)
        if signed is None:
            raise LedgerBrokenError(f"the checkpoint of {size} events was not kept")
        return signed


def follow(seals: Seals) -> bool:
    """Seal what the log has behind the newest page; resumes wherever it was stopped.

    Returns False when another process seals, or begins anew, at this very moment.
    """
    newest = seals.newest_page()
    log = seals.events(newest.positions[-1]) if newest.positions else seals.events()
    for events in log:
        pages, tiles = grow(newest, seals.tile, events)
        if not seals.add(newest, pages, tiles):
            return False
        newest = pages[-1]
    return True
