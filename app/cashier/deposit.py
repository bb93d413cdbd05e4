"""Tokens in: what a token is worth here, and how it becomes a client's available money."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.cashier.dead import dead_by, marks_of
from app.cashier.errors import (
    DepositPendingError,
    FeesExceedTokenError,
    MintCrowdedError,
    MintDownError,
    TokenRefusedError,
    TokenSpentError,
)
from app.cashier.sealed import seal, unseal
from app.cashier.turns import PAUSE_S, STEPS_MAX, Turns
from app.cashier.ways import Deposited
from app.gateways.errors import (
    GatewayError,
    MintBusyError,
    MintPausedError,
    MintRefusedError,
    MintUnknownError,
    OutcomeUnknownError,
    RefusedError,
)
from app.gateways.mint import crypto, tokens
from app.gateways.mint.errors import KeysetError, TokenError
from app.gateways.mint.keysets import split
from app.gateways.mint.locks import spending_condition
from app.gateways.mint.mints import UntrustedMintError
from app.gateways.mint.opener import Opener
from app.gateways.mint.tokens import Proof, Token
from app.gateways.mint.wallet import FINAL, REPLAN, Code, Wallet
from domain.deposit import Claim, OfToken, Received, Refused, Replanned, Signed, owner_of
from domain.errors import MovementEndedError, TokenTakenError
from domain.event import Entry
from domain.identity import account_of_token, deposit_of_token
from domain.msat import MSAT_PER_UNIT, Msat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from app.cashier.ways import Way
    from app.gateways.mint.mints import Mints
    from app.gateways.mint.seal import Sealer
    from domain.ledger import Ledger

SWAPPED_IN_S = 60.0
"""A lock to us that ends sooner may be open to others before its mint is asked."""

PENDING = frozenset({11002, 11004})
"""Answers of a mint that is busy with these very proofs or outputs (NUT-00, error codes)."""


class Deposits:
    """Takes tokens in. A token is one deposit for ever, however often it is presented."""

    def __init__(
        self,
        ledger: Ledger,
        mints: Mints,
        sealer: Sealer,
        history: Callable[[UUID], list[Entry]],
        pause: Callable[[float], None] = time.sleep,
        ways: Sequence[Way] = (),
        find_dead: Callable[[Sequence[str]], int | None] = lambda _: None,
        opener: Opener | None = None,
    ) -> None:
        """`find_dead` returns why one of some marks is known to be dead, if one is."""
        self._ledger = ledger
        self._mints = mints
        self._sealer = sealer
        self._history = history
        self._pause = pause
        self._ways = tuple(ways)
        self._find_dead = find_dead
        # A key of chance opens nothing: nobody has locked a token to it.
        self._opener = opener or Opener(crypto.random_key())
        self._turns = Turns()

    def read(self, text: str) -> Token:
        """Return the token that `text` spells, or raise `TokenRefusedError`."""
        try:
            return tokens.decode(text)
        except TokenError as error:
            raise TokenRefusedError(str(error)) from error

    def account_of(self, token: Token) -> UUID:
        """Return the account that the token opens when it is used as a key."""
        return account_of_token(tokens.token_id(token.proofs))

    def worth(self, token: Token) -> Msat:
        """Return what would be credited for the token, should its mint take it.

        The mint is not shown the token. Raises `TokenRefusedError`,
        `FeesExceedTokenError`, `MintDownError`.
        """
        for way in self._ways:
            least = way.worth(token)
            if least is not None:
                return least
        with _told():
            _, _, fee = self._appraised(token)
            return Msat((token.amount - fee) * MSAT_PER_UNIT[token.unit])

    def deposit(self, token: Token, account_id: UUID) -> Deposited:
        """Credit `account_id` with what the token is worth after the mint's fees.

        Presented again for the same account, the same credit is returned. Raises
        `TokenTakenError` for another account, and a `CashierError`; after each of these,
        and after a crash anywhere, no money is lost: it is the token's owner's or ours to
        credit, and presenting the token again, or the back office, goes on.
        """
        stream = deposit_of_token(tokens.token_id(token.proofs))
        with self._turns.at(stream):
            entry = self._recorded(stream, account_id)
            return self._finish(entry or self._begun(token, account_id, stream))

    def left_over(self, token: Token) -> str | None:
        """Return what is left of a deposited token at a mint that is not ours, as a token.

        It is its owner's, and the same token each time; None if there is none.
        """
        stream = deposit_of_token(tokens.token_id(token.proofs))
        history = self._history(stream)
        if not history or not isinstance(history[-1].event, Deposited):
            return None
        left = (way.left_over(stream, history[-1].event) for way in self._ways)
        return next((text for text in left if text is not None), None)

    def resume(self, entry: Entry) -> Deposited:
        """Go on with a deposit from its newest entry; raises as `deposit` does."""
        with self._turns.at(entry.stream):
            return self._finish(entry)

    def _recorded(self, stream: UUID, account_id: UUID) -> Entry | None:
        """Return the newest entry of a token seen before, `None` if it may begin (again).

        What the log knows is answered without asking the mint: dead tokens are presented
        over and over, and live ones are keys that must open while their mint is away.
        """
        history = self._history(stream)
        if not history or _may_begin_again(history[-1]):
            # Refused before; whatever can be done with it now, it is done as if it were new.
            return None
        if owner_of(history[-1].event) not in {None, account_id}:
            raise TokenTakenError
        return history[-1]

    def _expect_alive(self, token: Token) -> None:
        """Raise for a token of which the mint has said that it will never take it.

        Nobody is to make us ask again by mixing spent proofs with others, or by presenting
        forged ones over and over.
        """
        code = self._find_dead(marks_of(token.mint, token.proofs))
        if code == Code.ALREADY_SPENT:
            raise TokenSpentError
        if code is not None:
            raise TokenRefusedError("The mint has refused this token before.")

    def _begun(self, token: Token, account_id: UUID, stream: UUID) -> Entry:
        self._expect_alive(token)
        for way in self._ways:
            begun = way.begin(token, account_id, stream)
            if begun is not None:
                return begun
        with _told():
            claim, amounts, keyset_id = self._classified(token, account_id, stream)
            # Better told to come again than left waiting with a token that is half taken.
            self._mints.get(token.mint).client.expect_open()
        ys = _ys_of_locked(token)
        entry = self._ledger.receive_token(stream, claim, keyset_id, amounts, ys)
        if _may_begin_again(entry):
            entry = self._ledger.replan_deposit(entry, claim, keyset_id, amounts, ys)
        return entry

    def _classified(
        self, token: Token, account_id: UUID, stream: UUID
    ) -> tuple[Claim, tuple[int, ...], str]:
        wallet, proofs, fee = self._appraised(token)
        claim = Claim(
            account_id=account_id,
            mint=wallet.url,
            unit=token.unit,
            face_msat=token.amount * MSAT_PER_UNIT[token.unit],
            fee_msat=fee * MSAT_PER_UNIT[token.unit],
            sealed=seal(self._sealer, stream, proofs),
        )
        return claim, split(token.amount - fee), wallet.keysets.active(token.unit).id

    def _appraised(self, token: Token) -> tuple[Wallet, list[Proof], int]:
        """Return the token's wallet, its checked proofs and the mint's fee for them."""
        wallet = self._mints.get(token.mint)
        if token.unit not in MSAT_PER_UNIT:
            raise TokenRefusedError(f"Tokens in {token.unit} are not accepted here.")
        proofs = [self._checked(wallet, token.unit, proof) for proof in token.proofs]
        fee = wallet.keysets.fee_for(proofs)
        if fee >= token.amount:
            raise FeesExceedTokenError
        return wallet, proofs, fee

    def _checked(self, wallet: Wallet, unit: str, proof: Proof) -> Proof:
        """Return the proof with its full keyset id; raises before the mint sees it."""
        is_locked = spending_condition(proof.secret) is not None
        if is_locked and not self._opener.opens(proof.secret, SWAPPED_IN_S):
            raise TokenRefusedError("The token is locked, and cannot be spent by this house.")
        keyset = wallet.keysets.find(proof.keyset_id)
        if keyset.unit != unit:
            raise TokenRefusedError(f"The token says {unit}, its proofs are {keyset.unit}.")
        if proof.dleq is not None and not crypto.dleq_holds_for_proof(
            keyset.key(proof.amount), proof.secret, proof.c, proof.dleq
        ):
            raise TokenRefusedError("The token's proofs are not signed by its mint.")
        return Proof(keyset_id=keyset.id, amount=proof.amount, secret=proof.secret, c=proof.c)

    def _finish(self, entry: Entry) -> Deposited:
        """Walk from `entry` to the deposit's end, one recorded step after the other."""
        for _ in range(STEPS_MAX):
            event = entry.event
            if isinstance(event, Deposited):
                return event
            if isinstance(event, Refused):
                raise _refusal(event)
            try:
                if isinstance(event, Received | Replanned):
                    entry = self._step(entry, event)
                else:
                    entry = self._elsewhere(entry)
            except MovementEndedError:
                # Another process has gone on from here meanwhile.
                entry = self._history(entry.stream)[-1]
        raise DepositPendingError

    def _elsewhere(self, entry: Entry) -> Entry:
        for way in self._ways:
            following = way.step(entry)
            if following is not None:
                return following
        raise TypeError(entry.event)

    def _step(self, entry: Entry, event: Received | Replanned) -> Entry:
        try:
            wallet = self._mints.get(event.claim.mint)
        except UntrustedMintError as error:
            raise DepositPendingError from error
        inputs = self._proofs(entry.stream, event.claim)
        try:
            signed = wallet.swap(inputs, event.plan)
        except MintRefusedError as error:
            if error.code in REPLAN:
                return self._replanned(entry, event, wallet)
            signed = self._signed_before(entry, wallet)
            if not signed:
                return self._refused(entry, error, dead_by(error, wallet.url, inputs))
        except (OutcomeUnknownError, RefusedError) as error:
            if not _is_being_swapped(error):
                raise DepositPendingError from error
            # Another worker is at the same token: what it records is the answer here too.
            self._pause(PAUSE_S)
            return self._history(entry.stream)[-1]
        credited = self._ledger.credit_deposit(entry, signed)
        return Entry(entry.stream, entry.version + 1, credited)

    def _refused(self, entry: Entry, refusal: MintRefusedError, dead: tuple[str, ...]) -> Entry:
        code, final = refusal.code or 0, refusal.code in FINAL
        refused = self._ledger.refuse_deposit(
            entry, code, refusal.detail, final=final, dead=dead
        )
        return Entry(entry.stream, entry.version + 1, refused)

    def _signed_before(self, newest: Entry, wallet: Wallet) -> tuple[Signed, ...]:
        """Return what the mint signed for an earlier plan of the same token, if it did.

        A plan can have been given up while a copy of its request was still on its way.
        """
        for entry in self._history(newest.stream)[: newest.version - 1]:
            if isinstance(entry.event, Received | Replanned):
                try:
                    signed = wallet.restored(entry.event.plan)
                except (OutcomeUnknownError, RefusedError) as error:
                    raise DepositPendingError from error
                # Other amounts are another transaction's, at counters that were used twice.
                if tuple(proof.amount for proof in signed) == entry.event.plan.amounts:
                    return signed
        return ()

    def _replanned(self, entry: Entry, event: Received | Replanned, wallet: Wallet) -> Entry:
        self._pause(PAUSE_S)
        try:
            keyset_id = wallet.other_keyset(event.claim.unit)
        except (OutcomeUnknownError, RefusedError) as error:
            raise DepositPendingError from error
        amounts = event.plan.amounts
        return self._ledger.replan_deposit(entry, event.claim, keyset_id, amounts, event.ys)

    def _proofs(self, stream: UUID, claim: Claim) -> list[Proof]:
        return unseal(self._sealer, self._opener, stream, claim.sealed)


@contextmanager
def _told() -> Iterator[None]:
    """Raise what the gateways say, before any token was shown to a mint, as clients know it."""
    try:
        yield
    except (KeysetError, TokenError) as error:
        raise TokenRefusedError(str(error)) from error
    except MintBusyError as error:
        raise MintCrowdedError(error.retry_after_s) from error
    except MintPausedError as error:
        raise MintDownError(error.retry_after_s) from error
    except (RefusedError, OutcomeUnknownError) as error:
        raise MintDownError from error


def _ys_of_locked(token: Token) -> tuple[str, ...]:
    return tuple(
        crypto.hash_to_curve(proof.secret)
        for proof in token.proofs
        if spending_condition(proof.secret) is not None
    )


def _may_begin_again(entry: Entry) -> bool:
    return isinstance(entry.event, OfToken) and entry.event.may_begin_again


def _is_being_swapped(error: GatewayError) -> bool:
    """Tell whether the mint is busy with these very proofs or outputs just now."""
    return isinstance(error, MintUnknownError) and error.code in PENDING


def _refusal(event: Refused) -> Exception:
    if event.code == Code.ALREADY_SPENT:
        return TokenSpentError()
    return TokenRefusedError(f"The mint refused the token: {event.reason}")
