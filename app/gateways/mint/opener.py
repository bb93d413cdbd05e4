"""Our P2PK key: which locked proofs it opens, and how (NUT-11)."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from app.gateways.mint import crypto
from app.gateways.mint.locks import P2pkLock, spending_condition
from app.gateways.mint.paymentrequest import Lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.gateways.mint.tokens import Proof

P2PK = "P2PK"


class Opener:
    """Opens what is locked to one key and to no other."""

    def __init__(self, key: bytes, now_s: Callable[[], float] = time.time) -> None:
        self._key = key
        self._now_s = now_s
        self.pubkey = crypto.public_key(key)

    @property
    def lock(self) -> Lock:
        """What a payment request asks tokens to be locked with (NUT-10, NUT-18)."""
        return Lock(P2PK, self.pubkey)

    def opens(self, secret: str, for_s: float) -> bool:
        """Tell whether nobody but we can spend a locked secret in the next `for_s` seconds."""
        lock, until = spending_condition(secret), self._now_s() + for_s
        return isinstance(lock, P2pkLock) and lock.is_only_for(self.pubkey, until=until)

    def alone_opens(self, secret: str) -> bool:
        """Tell whether nobody but we can ever spend it: no time ends the lock, none refunds."""
        lock = spending_condition(secret)
        refund = isinstance(lock, P2pkLock) and lock.refund
        return self.opens(secret, math.inf) and not refund

    def opened(self, proof: Proof) -> Proof:
        """Return the proof with the witness its mint wants, if it is locked at all."""
        if spending_condition(proof.secret) is None:
            return proof
        witness = json.dumps({"signatures": [crypto.sign(self._key, proof.secret)]})
        return replace(proof, witness=witness)

    def __repr__(self) -> str:
        return f"Opener({self.pubkey})"
