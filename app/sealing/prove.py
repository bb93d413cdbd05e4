"""What can be proved of the log to anybody: that an event is in it, and that it only grew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from projections.checkpoint import proof_text
from projections.merkle import consistency_proof, inclusion_proof
from projections.tiles import TiledTree

if TYPE_CHECKING:
    from app.store.seals import Seals, Signed


class NotSealedError(LookupError):
    """No checkpoint covers this yet, or the log never held it."""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The proof that the event at `position` is the one with `index` among `size`."""

    position: int
    index: int
    size: int
    leaf: bytes
    proof: list[bytes]
    note: str

    def text(self) -> str:
        """Return it as one file (C2SP tlog-proof)."""
        return proof_text(self.index, self.proof, self.note)


@dataclass(frozen=True, slots=True)
class Consistency:
    """The proof that the checkpoint `old` is the beginning of the checkpoint `new`."""

    old: Signed
    new: Signed
    proof: list[bytes]


class Proofs:
    """What can be proved of the log to anybody, from what is sealed."""

    def __init__(self, seals: Seals) -> None:
        self._seals = seals

    def checkpoint(self, size: int | None = None) -> Signed:
        """Return the checkpoint of `size` events, or the newest; raises `NotSealedError`."""
        seals = self._seals
        found = seals.newest_signed() if size is None else seals.signed(size)
        if found is None:
            raise NotSealedError(size)
        return found

    def inclusion(self, position: int, size: int | None = None) -> Inclusion:
        """Prove that the event at `position` is under the one of `size`, or the newest.

        Raises `NotSealedError`.
        """
        signed = self.checkpoint(size)
        page = self._seals.page_of(position)
        if page is None or position not in page.positions:
            raise NotSealedError(position)
        place = page.positions.index(position)
        index = page.size - len(page.positions) + place
        if index >= signed.size:
            raise NotSealedError(position)
        proof = inclusion_proof(index, signed.size, self._tree().node)
        return Inclusion(position, index, signed.size, page.leaf(place), proof, signed.note)

    def consistency(self, old: int, new: int | None = None) -> Consistency:
        """Prove that the checkpoint of `old` events is the beginning of that of `new`.

        Raises `NotSealedError` unless both were signed, and in this order.
        """
        before, after = self.checkpoint(old), self.checkpoint(new)
        if before.size > after.size:
            raise NotSealedError(old)
        proof = consistency_proof(before.size, after.size, self._tree().node)
        return Consistency(before, after, proof)

    def _tree(self) -> TiledTree:
        return TiledTree(self._seals.tile)
