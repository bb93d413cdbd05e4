"""Makes outputs of random secrets and proofs of their signatures, as a plain wallet would."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.gateways.mint import crypto
from app.gateways.mint.tokens import Dleq, Proof
from app.gateways.mint.wire import BlindedMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.gateways.mint.wire import BlindSignature, SignatureDleq


@dataclass(frozen=True)
class Prepared:
    """Outputs, and for each its secret and the factor it is blinded with."""

    outputs: list[BlindedMessage]
    secrets: list[str]
    blindings: list[bytes]

    def proofs(
        self, signatures: Sequence[BlindSignature], keys: Mapping[int, str]
    ) -> list[Proof]:
        """Unblind one signature an output; a shorter list belongs to the first outputs."""
        return [
            Proof(
                keyset_id=signature.keyset_id,
                amount=signature.amount,
                secret=secret,
                c=crypto.unblind(signature.c, blinding, keys[signature.amount]),
                dleq=_with_factor(signature.dleq, blinding),
            )
            for signature, secret, blinding in zip(
                signatures, self.secrets, self.blindings, strict=False
            )
        ]


def _with_factor(dleq: SignatureDleq | None, blinding: bytes) -> Dleq | None:
    return None if dleq is None else Dleq(dleq.e, dleq.s, blinding.hex())


def prepare(keyset_id: str, amounts: Iterable[int], lock_to: str | None = None) -> Prepared:
    """Make one output an amount, of a random secret or one locked to a public key."""
    amounts = list(amounts)
    texts = [secrets.token_hex(32) if lock_to is None else locked(lock_to) for _ in amounts]
    blindings = [crypto.random_key() for _ in amounts]
    outputs = [
        BlindedMessage(amount, keyset_id, crypto.blind(text, blinding))
        for amount, text, blinding in zip(amounts, texts, blindings, strict=True)
    ]
    return Prepared(outputs, texts, blindings)


def locked(pubkey: str, *tags: Sequence[str]) -> str:
    """Return a P2PK secret (NUT-11)."""
    body = {"nonce": secrets.token_hex(16), "data": pubkey, "tags": [list(tag) for tag in tags]}
    return json.dumps(["P2PK", body], separators=(",", ":"))
