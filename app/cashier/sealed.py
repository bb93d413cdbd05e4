"""Proofs as they wait in the log: sealed, and readable to us alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app.gateways.mint.tokens import Proof

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from app.gateways.mint.opener import Opener
    from app.gateways.mint.seal import Sealer


def seal(sealer: Sealer, movement: UUID, proofs: Iterable[Proof]) -> bytes:
    rows = [(proof.keyset_id, proof.amount, proof.secret, proof.c) for proof in proofs]
    return sealer.seal(msgspec.json.encode(rows), movement.bytes)


def unseal(sealer: Sealer, opener: Opener, movement: UUID, sealed: bytes) -> list[Proof]:
    """Return the proofs as their mint takes them, those that are locked with our witness.

    Raises `SealError`.
    """
    rows = msgspec.json.decode(
        sealer.open(sealed, movement.bytes), type=list[tuple[str, int, str, str]]
    )
    return [
        opener.opened(Proof(keyset_id=keyset_id, amount=amount, secret=secret, c=c))
        for keyset_id, amount, secret, c in rows
    ]
