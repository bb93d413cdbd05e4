"""Marks of what a mint will never take, so that nobody has to ask it twice."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from app.gateways.mint.crypto import hash_to_curve
from app.gateways.mint.wallet import Code
from projections.dead import find_dead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from app.gateways.errors import MintRefusedError
    from app.gateways.mint.tokens import Proof
    from projections.chart import Source

    class Told(Source, Protocol):
        """What is read of the store; `now` is the time of its events."""

        def now(self) -> datetime: ...


def marks_of(mint: str, proofs: Sequence[Proof]) -> list[str]:
    """Return by which marks a token could be known to be dead: each proof, and the whole."""
    ys = [hash_to_curve(proof.secret) for proof in proofs]
    return [*(_of_proof(mint, y) for y in ys), _of_token(mint, proofs)]


def dead_by(refusal: MintRefusedError, mint: str, proofs: Sequence[Proof]) -> tuple[str, ...]:
    """Return the marks of what a refusal says is dead, none if that could change.

    A spent proof is spent in every token. A signature that does not hold says nothing of
    other tokens with the same secrets: only the token just as it is written is dead.
    """
    if refusal.code == Code.ALREADY_SPENT:
        return tuple(_of_proof(mint, y) for y in refusal.spent)
    return (_of_token(mint, proofs),) if refusal.code == Code.PROOF_INVALID else ()


def _of_proof(mint: str, y: str) -> str:
    return sha256(f"proof {mint} {y}".encode()).hexdigest()


def known_dead(source: Told) -> Callable[[Sequence[str]], int | None]:
    """Return what tells why one of some marks is dead by now, as far as is told."""
    return lambda marks: find_dead(source, marks, source.now())


def _of_token(mint: str, proofs: Sequence[Proof]) -> str:
    # Without the keysets' ids, of which there are short forms (NUT-00).
    written = sorted(f"{proof.amount} {proof.secret} {proof.c}" for proof in proofs)
    return sha256(f"token {mint} {written}".encode()).hexdigest()
