"""What it costs to have a foreign mint pay us: both mints are asked, and nothing is paid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from app.cashier.errors import FeesExceedTokenError, MintDownError, TokenRefusedError
from app.cashier.sealed import seal
from app.gateways.errors import GatewayError, MintAnswerError
from app.gateways.mint import crypto
from app.gateways.mint.locks import spending_condition
from app.gateways.mint.tokens import Proof
from domain.deposit import Claim, Plan, blanks
from domain.foreign import ForeignMelt
from domain.invoice import Bill
from domain.msat import MSAT_PER_SAT, MSAT_PER_UNIT, Msat

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.gateways.mint.mints import Mints
    from app.gateways.mint.seal import Sealer
    from app.gateways.mint.tokens import Token
    from app.gateways.mint.wallet import Wallet

UNIT, PURPOSE = "sat", "foreign"
NUT_LOCKED_QUOTES = 20
QUOTES_MAX = 3
"""Invoices asked for until one fits the token: the reserve is known only when asked."""

FEE_GUESS = 50
"""A fiftieth of the token is a first guess of what Lightning may cost."""

VALID_FOR = timedelta(hours=1)
VALID_MAX = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class ForeignLimits:
    """What may be tried: the fees' share of a token in percent, tokens up to `amount_max`.

    `attempts_max` is how often one token may be quoted, all its life.
    """

    fee_max_percent: int
    amount_max: Msat
    attempts_max: int

    def least_msat(self, face_msat: int) -> int:
        """Return the least that must arrive of a token."""
        return -(-face_msat * (100 - self.fee_max_percent) // 100)


class ForeignQuotes:
    """Finds what of a token can arrive; `lock_key` locks our mint's quotes to us (NUT-20)."""

    def __init__(
        self,
        mints: Mints,
        sealer: Sealer,
        lock_key: Callable[[UUID], bytes],
        limits: ForeignLimits,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._mints = mints
        self._sealer = sealer
        self.lock_key = lock_key
        self.limits = limits
        self.now = now

    def face_msat(self, token: Token) -> int:
        """Return what a token says it is worth, or raise `TokenRefusedError`."""
        if token.unit not in MSAT_PER_UNIT:
            raise TokenRefusedError(f"Tokens in {token.unit} are not accepted here.")
        face_msat = token.amount * MSAT_PER_UNIT[token.unit]
        if face_msat > self.limits.amount_max.msat:
            most_sat = self.limits.amount_max.msat // MSAT_PER_SAT
            raise TokenRefusedError(f"Of this mint, tokens up to {most_sat} sat are accepted.")
        return face_msat

    def ask(
        self, wallet: Wallet, token: Token, account_id: UUID, stream: UUID
    ) -> tuple[Claim, Bill, ForeignMelt]:
        """Find the amount that the token pays, fees included, by asking both mints.

        Raises `TokenRefusedError`, `FeesExceedTokenError`, `MintDownError`, and what the
        foreign mint's client raises.
        """
        least_msat = self.limits.least_msat(self.face_msat(token))
        proofs = [_checked(wallet, token.unit, proof) for proof in token.proofs]
        each_msat, input_fee = MSAT_PER_UNIT[token.unit], wallet.keysets.fee_for(proofs)
        keyset_id = wallet.keysets.active(token.unit).id
        spendable = token.amount - input_fee
        amount_msat = (spendable - spendable // FEE_GUESS) * each_msat
        for _ in range(QUOTES_MAX):
            amount_sat = amount_msat // MSAT_PER_SAT
            if amount_sat <= 0 or amount_sat * MSAT_PER_SAT < least_msat:
                break
            bill = self._bill(amount_sat, account_id, stream)
            terms = wallet.melt_quote(bill.request, token.unit)
            spare = spendable - terms.amount - terms.fee_reserve
            if spare >= 0:
                change_most = spendable - terms.amount
                plan = Plan(keyset_id=keyset_id, counter_from=0, amounts=blanks(change_most))
                melt = ForeignMelt(
                    quote=terms.quote,
                    amount=terms.amount,
                    fee_reserve=terms.fee_reserve,
                    input_fee=input_fee,
                    blanks=plan,
                )
                return self._claim(token, input_fee, account_id, stream, proofs), bill, melt
            amount_msat = (spendable - terms.fee_reserve) * each_msat
        raise FeesExceedTokenError

    def _claim(
        self, token: Token, fee: int, account_id: UUID, stream: UUID, proofs: list[Proof]
    ) -> Claim:
        each_msat = MSAT_PER_UNIT[token.unit]
        return Claim(
            account_id=account_id,
            mint=token.mint,
            unit=token.unit,
            face_msat=token.amount * each_msat,
            fee_msat=fee * each_msat,
            sealed=seal(self._sealer, stream, proofs),
        )

    def _bill(self, amount_sat: int, account_id: UUID, stream: UUID) -> Bill:
        """Return an invoice of the first mint of ours that makes one for us alone."""
        pubkey = crypto.public_key(self.lock_key(stream))
        failure: GatewayError | None = None
        for wallet in self._mints:
            try:
                if not wallet.client.info().supports(NUT_LOCKED_QUOTES):
                    continue
                quote = wallet.client.mint_quote(amount_sat, UNIT, pubkey)
            except GatewayError as error:
                failure = error
                continue
            if quote.amount not in {None, amount_sat}:
                failure = MintAnswerError("the mint's invoice is over another amount")
                continue
            return Bill(
                account_id=account_id,
                mint=wallet.url,
                unit=UNIT,
                amount=amount_sat,
                quote=quote.quote,
                request=quote.request,
                purpose=PURPOSE,
                expires_at=self._expiry(quote.expiry),
            )
        raise MintDownError from failure

    def _expiry(self, expiry_s: int | None) -> datetime:
        now = self.now().replace(microsecond=0)
        if not expiry_s:
            return now + VALID_FOR
        left_s = expiry_s - int(now.timestamp())
        return now + timedelta(seconds=max(0, min(left_s, int(VALID_MAX.total_seconds()))))


def _checked(wallet: Wallet, unit: str, proof: Proof) -> Proof:
    """Return the proof with its full keyset id; raises before the mint sees it."""
    if spending_condition(proof.secret) is not None:
        raise TokenRefusedError("The token is locked, and cannot be spent by this house.")
    keyset = wallet.keysets.find(proof.keyset_id)
    if keyset.unit != unit:
        raise TokenRefusedError(f"The token says {unit}, its proofs are {keyset.unit}.")
    return Proof(keyset_id=keyset.id, amount=proof.amount, secret=proof.secret, c=proof.c)
