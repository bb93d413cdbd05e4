"""Tokens of mints that are not trusted: melted there, minted here, credited as they arrive.

The foreign mint is believed in nothing. What it says decides only how long we wait; what is
credited is what our own mint says was paid to it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from app.cashier.errors import (
    DepositPendingError,
    ForeignMintDownError,
    ForeignSwapError,
    TokenRefusedError,
    TooManyInvoicesError,
)
from app.cashier.turns import PAUSE_S
from app.gateways.errors import (
    AddressBarredError,
    GatewayError,
    MintRefusedError,
    MintUnknownError,
)
from app.gateways.mint import tokens
from app.gateways.mint.errors import InvoiceError, KeysetError, TokenError
from app.gateways.mint.keysets import split
from app.gateways.mint.mints import UntrustedMintError
from app.gateways.mint.tokens import Proof, Token
from app.gateways.mint.wallet import REPLAN, Code
from app.gateways.mint.wire import QuoteState
from domain.errors import TokenTakenError
from domain.event import Entry
from domain.foreign import (
    ForeignArrived,
    ForeignCredited,
    ForeignQuoted,
    ForeignRefused,
)
from domain.msat import MSAT_PER_UNIT, Msat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from app.cashier.foreign_quote import ForeignQuotes
    from app.cashier.ways import Deposited
    from app.gateways.mint.foreign import ForeignMints
    from app.gateways.mint.mints import Mints
    from app.gateways.mint.seal import Sealer
    from app.gateways.mint.wallet import Wallet
    from domain.deposit import Claim, Signed
    from domain.invoice import Bill
    from domain.ledger import Ledger

logger = logging.getLogger(__name__)

LOOKS_MAX = 10
"""How often our mint is asked whether the payment has arrived, before the client is told
to ask again."""

BEGUN_MAX, BEGUN_PER_S = 20, 60.0
"""Each costs our own mint an invoice, and mints bear few from one address."""

LATE_FOR = timedelta(hours=24)
"""How long after the invoice's expiry its payment is still waited for."""

PAYMENT_FAILED = 20004


class ForeignTokens:
    """Takes tokens of foreign mints in."""

    def __init__(
        self,
        ledger: Ledger,
        mints: Mints,
        foreign: ForeignMints,
        quotes: ForeignQuotes,
        sealer: Sealer,
        history: Callable[[UUID], list[Entry]],
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._mints = mints
        self._foreign = foreign
        self._quotes = quotes
        self._sealer = sealer
        self._history = history
        self._pause = pause
        self._clock = clock
        self._begun_s: deque[float] = deque(maxlen=BEGUN_MAX)

    def worth(self, token: Token) -> Msat | None:
        """Return what of a foreign token must arrive at least, or it is not melted at all."""
        if not self._takes(token):
            return None
        return Msat(self._quotes.limits.least_msat(self._quotes.face_msat(token)))

    def begin(self, token: Token, account_id: UUID, stream: UUID) -> Entry | None:
        """Ask both mints for quotes and record them; no money has moved then.

        Raises `TokenRefusedError`, `FeesExceedTokenError`, `MintDownError`,
        `ForeignMintDownError`, `ForeignSwapError`, `TooManyInvoicesError`.
        """
        if not self._takes(token):
            return None
        history = self._history(stream)
        late = self._arrived_late(history, account_id)
        if late is not None:
            return late
        attempts = sum(isinstance(entry.event, ForeignQuoted) for entry in history)
        if attempts >= self._quotes.limits.attempts_max:
            raise TokenRefusedError("The token was tried too often, and its mint did not pay.")
        self._quotes.face_msat(token)
        self._count_one()
        try:
            with self._foreign.at(token.mint, stream) as wallet:
                claim, bill, melt = self._quotes.ask(wallet, token, account_id, stream)
        except (AddressBarredError, KeysetError, TokenError, InvoiceError) as error:
            raise TokenRefusedError(str(error)) from error
        except GatewayError as error:
            raise ForeignMintDownError from error
        return self._ledger.quote_foreign(stream, len(history), claim, bill, melt)

    def step(self, entry: Entry) -> Entry | None:
        """Go on with a foreign token.

        Raises `DepositPendingError` while nobody can tell, `ForeignSwapError` when nothing
        has arrived.
        """
        event = entry.event
        if isinstance(event, ForeignRefused):
            raise ForeignSwapError(_refusal(event))
        try:
            if isinstance(event, ForeignQuoted):
                return self._melted(entry, event)
            if isinstance(event, ForeignArrived):
                return self._minted(entry, event)
        except (GatewayError, UntrustedMintError) as error:
            raise DepositPendingError from error
        return None

    def left_over(self, stream: UUID, credited: Deposited) -> str | None:
        """Return what the foreign mint gave back, as a token of its own ecash.

        It is the same each time; None if there is none, or if that mint does not show its
        keys just now. Nothing of it is ours.
        """
        if not isinstance(credited, ForeignCredited) or not credited.change:
            return None
        unit = next(self._attempts(stream)).claim.unit
        try:
            with self._foreign.at(credited.from_mint, stream) as wallet:
                proofs = tuple(wallet.proof(signed) for signed in credited.change)
        except (GatewayError, TokenError) as error:
            logger.info("change of %s: %s", stream, type(error).__name__)
            return None
        return tokens.encode(Token(mint=credited.from_mint, unit=unit, proofs=proofs))

    def _takes(self, token: Token) -> bool:
        return token.mint not in self._mints.urls and self._foreign.takes(token.mint)

    def _count_one(self) -> None:
        now_s = self._clock()
        if len(self._begun_s) == BEGUN_MAX and now_s - self._begun_s[0] < BEGUN_PER_S:
            raise TooManyInvoicesError
        self._begun_s.append(now_s)

    def _arrived_late(self, history: list[Entry], account_id: UUID) -> Entry | None:
        """Return the plan for an earlier attempt, if our mint says that it was paid."""
        for entry in history:
            quoted = entry.event
            if isinstance(quoted, ForeignQuoted) and self._is_paid(quoted.bill):
                if quoted.claim.account_id != account_id:
                    raise TokenTakenError
                return self._arrived(history[-1], quoted)
        return None

    def _is_paid(self, bill: Bill) -> bool:
        try:
            state = self._mints.get(bill.mint).client.mint_quote_state(bill.quote).state
        except (GatewayError, UntrustedMintError) as error:
            raise DepositPendingError from error
        return state is not QuoteState.UNPAID

    def _arrived(self, newest: Entry, quoted: ForeignQuoted) -> Entry:
        bill = quoted.bill
        keyset_id = self._mints.get(bill.mint).keysets.active(bill.unit).id
        return self._ledger.arrive_foreign(newest, quoted, keyset_id, split(bill.amount))

    def _melted(self, entry: Entry, quoted: ForeignQuoted) -> Entry:
        """Have the token melted, unless it has arrived already."""
        if self._is_paid(quoted.bill):
            return self._arrived(entry, quoted)
        if self._quotes.now() >= quoted.bill.expires_at + LATE_FOR:
            return self._refused(entry, quoted, "nothing has arrived in time")
        refusal = self._asked_to_pay(entry.stream, quoted)
        for look in range(LOOKS_MAX):
            if self._is_paid(quoted.bill):
                return self._arrived(entry, quoted)
            if refusal is not None:
                return self._refused(entry, quoted, refusal)
            if look < LOOKS_MAX - 1:
                self._pause(PAUSE_S)
        raise DepositPendingError

    def _asked_to_pay(self, stream: UUID, quoted: ForeignQuoted) -> str | None:
        """Let the foreign mint pay; return why it certainly has not, None if it may have.

        Its quote is asked before each request: a quote is paid once, so that a request for
        one that is unpaid can be made again. Raises what the gateways raise.
        """
        claim, melt = quoted.claim, quoted.melt
        with self._foreign.at(claim.mint, stream) as wallet:
            state = wallet.melt_state(melt.quote, None).state
            if state is QuoteState.PENDING:
                raise DepositPendingError
            if state is QuoteState.PAID:
                return None
            try:
                told = wallet.melt(melt.quote, self._opened(stream, claim), melt.blanks)
            except MintRefusedError as error:
                return error.detail
            except MintUnknownError as error:
                # It says so of payments that are still on their way: the quote knows.
                told = wallet.melt_state(melt.quote, None)
                if error.code == PAYMENT_FAILED and told.state is QuoteState.UNPAID:
                    return "the Lightning payment failed"
                if told.state is not QuoteState.PAID:
                    raise
        if told.state is QuoteState.PENDING:
            raise DepositPendingError
        return None

    def _refused(self, entry: Entry, quoted: ForeignQuoted, reason: str) -> Entry:
        claims = False
        try:
            with self._foreign.at(quoted.claim.mint, entry.stream) as wallet:
                claims = wallet.melt_state(quoted.melt.quote, None).state is QuoteState.PAID
        except (GatewayError, TokenError) as error:
            logger.info("foreign %s: %s", entry.stream, type(error).__name__)
        refused = self._ledger.refuse_foreign(entry, quoted, reason, claims=claims)
        return Entry(entry.stream, entry.version + 1, refused)

    def _minted(self, entry: Entry, event: ForeignArrived) -> Entry:
        """Mint what is planned, whether or not that was tried before, and credit it."""
        bill, wallet = event.bill, self._mints.get(event.bill.mint)
        try:
            signed = wallet.mint(bill.quote, event.plan, self._quotes.lock_key(entry.stream))
        except MintRefusedError as error:
            quoted = self._attempt(entry.stream, bill)
            if error.code in REPLAN:
                self._pause(PAUSE_S)
                keyset_id = wallet.other_keyset(bill.unit)
                amounts = event.plan.amounts
                return self._ledger.arrive_foreign(entry, quoted, keyset_id, amounts)
            if error.code != Code.QUOTE_ISSUED:
                raise
            signed = self._minted_before(entry, wallet)
            if not signed:
                # Only we can mint it: an older log than the mint's was restored.
                logger.exception("foreign %s was minted at unknown counters", entry.stream)
                raise
        quoted = self._attempt(entry.stream, bill)
        change = self._change(entry.stream, quoted)
        credited = self._ledger.credit_foreign(entry, event, signed, change, quoted.claim.unit)
        return Entry(entry.stream, entry.version + 1, credited)

    def _minted_before(self, newest: Entry, wallet: Wallet) -> tuple[Signed, ...]:
        """Return what our mint signed for an earlier plan of the same token, if it did."""
        for entry in self._history(newest.stream)[: newest.version - 1]:
            if isinstance(entry.event, ForeignArrived):
                signed = wallet.restored(entry.event.plan)
                if tuple(proof.amount for proof in signed) == entry.event.plan.amounts:
                    return signed
        return ()

    def _change(self, stream: UUID, quoted: ForeignQuoted) -> tuple[Signed, ...]:
        """Return what the foreign mint gave back, as far as it tells and can be believed."""
        claim, melt = quoted.claim, quoted.melt
        try:
            with self._foreign.at(claim.mint, stream) as wallet:
                change = wallet.melt_state(melt.quote, melt.blanks).change
                # Who pretends to give what it does not sign gives nothing.
                for signed in change:
                    wallet.proof(signed)
        except (GatewayError, TokenError, ValueError) as error:
            logger.info("change of %s: %s", stream, type(error).__name__)
            return ()
        each_msat = MSAT_PER_UNIT[claim.unit]
        given_msat = sum(signed.amount for signed in change) * each_msat
        left_msat = claim.face_msat - claim.fee_msat - quoted.bill.amount_msat
        return change if given_msat <= left_msat else ()

    def _attempts(self, stream: UUID) -> Iterator[ForeignQuoted]:
        for entry in self._history(stream):
            if isinstance(entry.event, ForeignQuoted):
                yield entry.event

    def _attempt(self, stream: UUID, bill: Bill) -> ForeignQuoted:
        return next(quoted for quoted in self._attempts(stream) if quoted.bill == bill)

    def _opened(self, stream: UUID, claim: Claim) -> list[Proof]:
        rows = msgspec.json.decode(
            self._sealer.open(claim.sealed, stream.bytes), type=list[tuple[str, int, str, str]]
        )
        return [
            Proof(keyset_id=id_, amount=amount, secret=s, c=c) for id_, amount, s, c in rows
        ]


def _refusal(event: ForeignRefused) -> str:
    if event.claims:
        return (
            "The token's mint says that it has paid, and nothing has arrived;"
            " nothing was credited. Show the token again if it does."
        )
    return f"The token's mint did not pay ({event.reason}); the token is still its owner's."
