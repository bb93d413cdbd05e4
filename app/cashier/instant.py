"""Tokens locked to our key, credited before their mint is asked (NUT-11, NUT-12)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.cashier.sealed import seal
from app.gateways.errors import GatewayError
from app.gateways.mint import crypto
from app.gateways.mint.mints import UntrustedMintError
from app.gateways.mint.tokens import Proof
from domain.deposit import Claim
from domain.errors import NotInstantError
from domain.msat import MSAT_PER_UNIT

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.cashier.ways import Deposited
    from app.gateways.mint.mints import Mints
    from app.gateways.mint.opener import Opener
    from app.gateways.mint.seal import Sealer
    from app.gateways.mint.tokens import Token
    from app.gateways.mint.wallet import Wallet
    from domain.event import Entry
    from domain.ledger import Ledger
    from domain.msat import Msat

NUTS = (7, 11, 12)
"""States, locks, proofs of signatures: what a mint must speak, or its locks are none."""

EXPIRES_S_MIN = 7 * 86_400.0
"""A keyset that ends sooner than this may end before its proofs are swapped."""

PPK = 1_000


class InstantTokens:
    """Credits tokens that nobody but us can spend, up to `limit` for each mint.

    Whatever is not certain goes the ordinary way: the mint is asked first.
    """

    def __init__(
        self,
        ledger: Ledger,
        mints: Mints,
        sealer: Sealer,
        history: Callable[[UUID], list[Entry]],
        opener: Opener,
        limit: Msat,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._mints = mints
        self._sealer = sealer
        self._history = history
        self._opener = opener
        self._limit = limit
        self._now_s = now_s
        self._able: set[str] = set()

    def worth(self, token: Token) -> Msat | None:  # noqa: ARG002  # as the ordinary way has it
        return None

    def left_over(self, stream: UUID, credited: Deposited) -> str | None:  # noqa: ARG002
        return None

    def step(self, entry: Entry) -> Entry | None:  # noqa: ARG002  # it is credited, or was never here
        return None

    def begin(self, token: Token, account_id: UUID, stream: UUID) -> Entry | None:
        """Credit the token at once, if that is safe. Raises `TokenTakenError`."""
        try:
            found = self._verified(token) if self._limit.msat else None
        except (GatewayError, UntrustedMintError):
            return None
        if found is None:
            return None
        proofs, fee = found
        each_msat = MSAT_PER_UNIT[token.unit]
        claim = Claim(
            account_id=account_id,
            mint=token.mint,
            unit=token.unit,
            face_msat=token.amount * each_msat,
            fee_msat=fee * each_msat,
            sealed=seal(self._sealer, stream, proofs),
        )
        ys = tuple(crypto.hash_to_curve(proof.secret) for proof in proofs)
        version = len(self._history(stream))
        try:
            return self._ledger.credit_instantly(stream, version, claim, ys, self._limit)
        except NotInstantError:
            return None

    def _verified(self, token: Token) -> tuple[list[Proof], int] | None:
        """Return the proofs, with their full keyset ids, and the mint's fee for them.

        None if anything about them is not certain. Once a mint is known it is not asked.
        """
        if token.unit not in MSAT_PER_UNIT:
            return None
        if not all(self._opener.alone_opens(proof.secret) for proof in token.proofs):
            return None
        wallet = self._mints.get(token.mint)
        if not self._is_able(wallet):
            return None
        proofs, ppk = [], 0
        for proof in token.proofs:
            keyset = wallet.keysets.find(proof.keyset_id)
            ends_soon = bool(keyset.final_expiry) and (
                (keyset.final_expiry or 0) < self._now_s() + EXPIRES_S_MIN
            )
            if keyset.unit != token.unit or ends_soon or proof.dleq is None:
                return None
            key = keyset.key(proof.amount)
            if not crypto.dleq_holds_for_proof(key, proof.secret, proof.c, proof.dleq):
                return None
            ppk += keyset.fee_ppk
            proofs.append(
                Proof(keyset_id=keyset.id, amount=proof.amount, secret=proof.secret, c=proof.c)
            )
        fee = -(-ppk // PPK)
        return (proofs, fee) if fee < token.amount else None

    def _is_able(self, wallet: Wallet) -> bool:
        """Ask once whether the mint keeps to locks at all; if not, anybody can spend them."""
        if wallet.url not in self._able:
            info = wallet.client.info()
            if not all(info.supports(nut) for nut in NUTS):
                return False
            self._able.add(wallet.url)
        return True
