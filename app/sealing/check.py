"""The log compared, byte for byte, with what was sealed and signed of it."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from domain.errors import LedgerBrokenError
from projections.chain import GENESIS, Stored, leaf, link
from projections.checkpoint import Checkpoint, CheckpointError, VerifierKey, opened, read
from projections.merkle import Frontier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.store.seals import Seals, Signed
    from projections.tiles import Page

    Progress = Callable[[int, int], None]

PROGRESS_EVERY = 10_000


def check(seals: Seals, progress: Progress, public: bytes | None = None) -> str | None:
    """Compare the log with what was sealed of it; return the first difference, if any.

    Every event is hashed again and compared with its leaf, which names the position; then
    the tree is compared with every checkpoint, so that pages which were changed together
    with the log are found as well. Signatures are verified with the `public` key, if given.
    """
    try:
        _Comparison(seals, public).run(progress)
    except (LedgerBrokenError, CheckpointError) as error:
        return str(error)
    return None


def is_of_another(seals: Seals, public: bytes) -> bool:
    """Tell whether the newest checkpoint, if there is one, was signed by no such key."""
    newest = seals.newest_signed()
    if newest is None:
        return False
    try:
        _read(newest, public)
    except CheckpointError:
        return True
    return False


class _Comparison:
    """Walks the log beside its pages and its checkpoints, and raises where they part."""

    def __init__(self, seals: Seals, public: bytes | None) -> None:
        # Read before all else: what is signed while we walk is not missed at the end.
        newest = seals.newest_signed()
        self._signed_size = newest.size if newest else 0
        self._head = newest.position if newest else 0
        self._events = chain.from_iterable(seals.events())
        self._sealed = _sealed(seals.pages())
        self._checkpoints = seals.all_signed()
        self._due = next(self._checkpoints, None)
        self._public = public
        self._tree = Frontier()
        self._trusted = 0

    def run(self, progress: Progress) -> None:
        for event in self._events:
            sealed = next(self._sealed, None)
            if sealed is None and self._tree.size >= self._signed_size:
                return
            self._step(event, sealed)
            if self._tree.size % PROGRESS_EVERY == 0:
                progress(event.position, max(self._head, event.position))
        missing = next(self._sealed, None)
        if missing is not None:
            raise LedgerBrokenError(f"position {missing[0]} was sealed, and is gone")
        if self._tree.size < self._signed_size:
            raise LedgerBrokenError(
                f"{self._signed_size} events were signed, {self._tree.size} are left"
            )

    def _step(self, event: Stored, sealed: tuple[int, bytes] | None) -> None:
        found = leaf(event)
        if sealed is not None:
            position, expected = sealed
            if position < event.position:
                raise LedgerBrokenError(f"position {position} was sealed, and is gone")
            if position > event.position:
                raise LedgerBrokenError(f"position {event.position} was never sealed")
            if found != expected:
                raise LedgerBrokenError(f"position {position} is not what was sealed")
        self._tree.append(found)
        if self._due is not None and self._due.size == self._tree.size:
            self._compare(self._due, event.position)
            self._due = next(self._checkpoints, None)

    def _compare(self, signed: Signed, position: int) -> None:
        """Hold a checkpoint against the tree at its size."""
        said = _read(signed, self._public)
        if (said.size, said.root) != (signed.size, signed.root):
            raise CheckpointError(f"the checkpoint of {signed.size} events says otherwise")
        if said.root != self._tree.root() or signed.position != position:
            raise LedgerBrokenError(
                f"the events behind position {self._trusted} and up to position"
                f" {signed.position} are not those that were signed"
            )
        self._trusted = position


def _sealed(pages: Iterator[Page]) -> Iterator[tuple[int, bytes]]:
    """Yield the position and the leaf of each sealed event; raises where the chain breaks."""
    last = GENESIS
    for page in pages:
        if page.before != last:
            raise LedgerBrokenError(f"the chain is broken before position {page.positions[0]}")
        for place, position in enumerate(page.positions):
            sealed = page.leaf(place)
            last = link(last, sealed)
            yield position, sealed


def _read(signed: Signed, public: bytes | None) -> Checkpoint:
    if public is None:
        return read(signed.note)
    # A house may have changed its address since, and with it the name that it signs under.
    key = VerifierKey(read(signed.note).origin, public)
    return opened(signed.note, key, verifies(public))


def verifies(public: bytes) -> Callable[[bytes, bytes], bool]:
    """Return what tells whether the `public` key (32 bytes) made a signature of a text."""
    key = Ed25519PublicKey.from_public_bytes(public)

    def check(signature: bytes, text: bytes) -> bool:
        try:
            key.verify(signature, text)
        except InvalidSignature:
            return False
        return True

    return check
