"""Tokens out: a client's available money made into a token it can take anywhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol
from uuid import UUID, uuid4

from app.cashier.errors import (
    ChangeCollectedError,
    RefundPendingError,
    RefundTakenBackError,
)
from app.cashier.own import inputs_of
from app.cashier.reclaim import Reclaims
from app.cashier.turns import PAUSE_S, STEPS_MAX, Turns
from app.gateways.errors import MintRefusedError, OutcomeUnknownError, RefusedError
from app.gateways.mint import tokens
from app.gateways.mint.mints import UntrustedMintError
from app.gateways.mint.tokens import Token
from app.gateways.mint.wallet import REPLAN
from app.gateways.mint.wire import ProofState
from domain.errors import (
    FeeTooHighError,
    InsufficientFundsError,
    MovementEndedError,
    NothingToRefundError,
    PurseShortError,
    UnknownAccountError,
)
from domain.event import Entry
from domain.guards import (
    ISSUED,
    REFUND,
    SWEEP,
    AccountRow,
    MovementRow,
    ProofKey,
    ProofRow,
)
from domain.identity import OWNER
from domain.msat import MSAT_PER_SAT, MSAT_PER_UNIT, Msat
from domain.reclaim import Recalled, SweepStarted, Swept
from domain.refund import Cancelled, Collected, Draft, Issued, Redrafted, Started

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.cashier.ways import Deposited
    from app.gateways.mint.mints import Mints
    from app.gateways.mint.wallet import Wallet
    from domain.ledger import Ledger
    from domain.purse import Purse

CHANGE_TRIES = 5
"""How often change is tried to be made in one token before a part of it has to do."""


class Books(Protocol):
    """What a refund reads of the store."""

    def account(self, account_id: UUID) -> AccountRow | None: ...

    def movements_of(self, account_id: UUID, kind: str) -> list[tuple[UUID, MovementRow]]: ...

    def history(self, stream: UUID) -> list[Entry]: ...

    def proofs(self, keys: Sequence[ProofKey]) -> dict[ProofKey, ProofRow]: ...

    def free(self, mint: str, unit: str) -> int: ...

    def keysets_free(self, mint: str, unit: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Refund:
    """A token for a client: `amount` of it in `unit`, `fee` went to the mint."""

    refund_id: UUID
    token: str = field(repr=False)
    unit: str
    amount: int
    fee: int


class Refunds:
    """Gives money back. A refund is recorded, as counters, before its token exists.

    `gather` makes what was credited at once at a mint into proofs of ours; it tells whether
    there was any.
    """

    def __init__(
        self,
        ledger: Ledger,
        mints: Mints,
        books: Books,
        pause: Callable[[float], None] = time.sleep,
        gather: Callable[[str], int] = lambda _mint: 0,
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._ledger = ledger
        self._mints = mints
        self._books = books
        self._pause = pause
        self._gather = gather
        self._new_id = new_id
        self._turns = Turns()
        self._reclaims = Reclaims(ledger, books, pause)

    def refund(self, account_id: UUID, amount: Msat | None = None) -> Refund:
        """Return a token for all that is available to an account, or for `amount`.

        A refund that was begun before is finished first; when nothing is left, or nothing
        to make a token of, the newest that its owner has not collected is returned again, so
        that one lost on the way is not lost. Raises `UnknownAccountError`,
        `NothingToRefundError`, `PurseShortError`, `RefundPendingError`.
        """
        with self._turns.at(account_id):
            entry = self._begun(account_id)
            if entry is None:
                try:
                    entry = self._started(account_id, amount)
                except (NothingToRefundError, PurseShortError):
                    # Another process may have begun a refund of all there was just now; and
                    # what was made before is its owner's, however short the purse is now.
                    entry = self._begun(account_id) or self._uncollected(account_id)
                    if entry is None:
                        if not self._swept(account_id):
                            raise
                        entry = self._started(account_id, amount)
            return self._token(self._finish(entry))

    def change(self, change_id: UUID, credited: Deposited) -> Refund:
        """Return the token named `change_id`, for all that is available after a deposit.

        It is made at the mint and in the unit that the deposit came from, and nowhere else;
        of the deposit's own proofs, if they are there: so no other refund can be in its
        way. Asked again, the same token is returned. Raises `UnknownAccountError`,
        `NothingToRefundError`, `PurseShortError`, `RefundPendingError`.
        """
        with self._turns.at(change_id):
            history = self._books.history(change_id)
            entry = history[-1] if history else self._change(change_id, credited)
            return self._token(self._finish(entry))

    def part(self, refund_id: UUID, account_id: UUID, amount: Msat) -> Refund:
        """Return the token named `refund_id`, for `amount` of what is available.

        Asked again, the same token is returned. Less than the amount, if no mint has as much.
        Raises `InsufficientFundsError`, `ChangeCollectedError`, `RefundTakenBackError` and
        as `refund` does.
        """
        with self._turns.at(refund_id):
            entry = self._unended(refund_id)
            if entry is None:
                account = self._books.account(account_id)
                if account is not None and account.available_msat < amount.msat:
                    raise InsufficientFundsError(
                        required_msat=amount.msat,
                        available_msat=account.available_msat,
                        held_msat=account.held_msat,
                    )
                entry = self._started(account_id, amount, refund_id)
            return self._token(self._finish(entry))

    def draw(self, refund_id: UUID, purse: Purse, amount: Msat, who: str) -> Refund:
        """Return a token for the owner, of at most `amount` that is owed to nobody.

        `who` of the operators wanted it. Asked again with the same `refund_id`, the same
        token is returned until it is collected. Raises `OwnerMayNotDrawError`,
        `UnexplainedError`, `NothingToRefundError`, `PurseShortError`, `RefundPendingError`,
        `ChangeCollectedError`, `RefundTakenBackError`.
        """
        with self._turns.at(refund_id):
            entry = self._unended(refund_id) or self._ledger.start_refund(
                refund_id, OWNER, purse, amount, who=who
            )
            return self._token(self._finish(entry))

    def resume(self, entry: Entry) -> Issued:
        """Go on with a refund from its newest entry; raises as `refund` does."""
        with self._turns.at(entry.stream):
            issued = self._finish(entry).event
            if not isinstance(issued, Issued):
                raise RefundPendingError
            return issued

    def collected(self, entry: Entry) -> bool:
        """Ask the mint whether an issued token was spent; record it if it was.

        Raises a `GatewayError` when the mint does not say.
        """
        issued = entry.event
        if not isinstance(issued, Issued):
            return False
        wallet = self._mints.get(issued.draft.mint)
        keys = [(proof.keyset_id, proof.counter) for proof in issued.token_proofs]
        if any(state is not ProofState.SPENT for state in wallet.states(keys)):
            return False
        self._ledger.collect_refund(entry, issued)
        return True

    def sweep(self, entry: Entry) -> bool:
        """Take back a token that nobody collects: its worth is its account's again.

        Returns False when it was collected at the last moment. Raises `RefundPendingError`
        when the mint does not say, or when its fee is as much as the token.
        """
        with self._turns.at(entry.stream):
            for _ in range(STEPS_MAX):
                event = entry.event
                if isinstance(event, Swept | Collected):
                    return isinstance(event, Swept)
                try:
                    entry = self._step(entry)
                except MovementEndedError:
                    entry = self._books.history(entry.stream)[-1]
            raise RefundPendingError

    def _swept(self, account_id: UUID) -> bool:
        """Finish taking back what an account did not collect; tell whether it has it now."""
        begun = self._books.movements_of(account_id, SWEEP)
        swept = [self.sweep(self._books.history(stream)[-1]) for stream, _ in begun]
        return any(swept)

    def _unended(self, refund_id: UUID) -> Entry | None:
        """Return how far a named refund is, `None` if it was not begun; raise what it ended as.

        Asked for ever, one that was taken back is never its token again.
        """
        history = self._books.history(refund_id)
        if not history:
            return None
        if isinstance(history[-1].event, Collected):
            raise ChangeCollectedError
        if isinstance(history[-1].event, Cancelled | Swept):
            raise RefundTakenBackError
        return history[-1]

    def _begun(self, account_id: UUID) -> Entry | None:
        begun = self._books.movements_of(account_id, REFUND)
        return self._books.history(begun[0][0])[-1] if begun else None

    def _started(
        self, account_id: UUID, amount: Msat | None, refund_id: UUID | None = None
    ) -> Entry:
        account = self._books.account(account_id)
        if account is None:
            raise UnknownAccountError(account_id)
        self._gather_for(account, amount)
        for purse in self._purses(account):
            try:
                return self._ledger.start_refund(
                    refund_id or self._new_id(), account_id, purse, amount
                )
            except PurseShortError:
                continue
        # The purses may be short because another process has just begun to refund it all.
        account = self._books.account(account_id) or account
        if account.available_msat < MSAT_PER_SAT:
            raise NothingToRefundError(available_msat=account.available_msat)
        raise PurseShortError

    def _change(self, change_id: UUID, credited: Deposited) -> Entry:
        purse = self._purse(self._wallet(credited.mint), credited.unit)
        begin = partial(
            self._ledger.start_refund,
            change_id,
            credited.account_id,
            purse,
            first=[proof.key for proof in credited.proofs],
        )
        for _ in range(CHANGE_TRIES):
            try:
                return begin(whole=True)
            except PurseShortError:
                # Other refunds have set larger proofs aside than they need; what is too
                # much comes back with their swaps. Or the deposit is still locked proofs.
                if not self._gather(purse.mint):
                    self._pause(PAUSE_S)
        return begin()

    def _gather_for(self, account: AccountRow, amount: Msat | None) -> None:
        """Swap what was credited at once, if it may be needed: it is no proofs of ours yet."""
        each_msat = MSAT_PER_UNIT.get(account.unit, 0)
        wanted_msat = account.available_msat if amount is None else amount.msat
        if self._books.free(account.mint, account.unit) * each_msat < wanted_msat:
            self._gather(account.mint)

    def _purses(self, account: AccountRow) -> list[Purse]:
        """Return where to make the token: the mint and unit it came from, then the richest."""
        wanted = [(account.mint, account.unit)]
        wanted += sorted(
            ((url, unit) for url in self._mints.urls for unit in MSAT_PER_UNIT),
            key=lambda place: self._books.free(*place) * MSAT_PER_UNIT[place[1]],
            reverse=True,
        )
        purses = []
        for url, unit in dict.fromkeys(wanted):
            if url in self._mints.urls and self._books.free(url, unit):
                purses.append(self._purse(self._mints.get(url), unit))
        return purses

    def _purse(self, wallet: Wallet, unit: str) -> Purse:
        try:
            return wallet.purse(unit, self._books.keysets_free(wallet.url, unit))
        except (OutcomeUnknownError, RefusedError) as error:
            raise RefundPendingError from error

    def _uncollected(self, account_id: UUID) -> Entry | None:
        for stream, row in self._books.movements_of(account_id, ISSUED):
            if row.mint not in self._mints.urls:
                continue
            entry = self._books.history(stream)[-1]
            try:
                if not self.collected(entry):
                    return entry
            except (OutcomeUnknownError, RefusedError) as error:
                raise RefundPendingError from error
        return None

    def _finish(self, entry: Entry) -> Entry:
        """Walk from `entry` to the refund's token, one recorded step after the other."""
        for _ in range(STEPS_MAX):
            event = entry.event
            if isinstance(event, Issued):
                return entry
            if isinstance(event, Cancelled | Collected | Swept):
                raise RefundPendingError
            try:
                entry = self._step(entry)
            except MovementEndedError:
                # Another process has gone on from here meanwhile.
                entry = self._books.history(entry.stream)[-1]
        raise RefundPendingError

    def _step(self, entry: Entry) -> Entry:
        event = entry.event
        try:
            if isinstance(event, Started | Redrafted):
                return self._swapped(entry, event.draft, self._wallet(event.draft.mint))
            if isinstance(event, Recalled):
                return self._reclaims.recall(entry, event, self._wallet(event.draft.mint))
            if isinstance(event, Issued):
                wallet = self._wallet(event.draft.mint)
                return self._reclaims.start_sweep(entry, event, wallet)
            if isinstance(event, SweepStarted):
                return self._reclaims.sweep(entry, event, self._wallet(event.swap.mint))
        except (OutcomeUnknownError, RefusedError, FeeTooHighError) as error:
            raise RefundPendingError from error
        raise TypeError(event)

    def _swapped(self, entry: Entry, draft: Draft, wallet: Wallet) -> Entry:
        inputs = inputs_of(wallet, self._books, entry.stream, draft.inputs)
        if inputs is None:
            return self._books.history(entry.stream)[-1]
        try:
            signed = wallet.swap(inputs, draft.plan)
        except MintRefusedError as error:
            if error.code in REPLAN:
                return self._redrafted(entry, draft, wallet)
            return self._reclaims.refused(entry, draft, wallet, error)
        issued = self._ledger.issue_refund(entry, draft, signed)
        return Entry(entry.stream, entry.version + 1, issued)

    def _redrafted(self, entry: Entry, draft: Draft, wallet: Wallet) -> Entry:
        self._pause(PAUSE_S)
        keyset_id = wallet.other_keyset(draft.unit)
        return self._ledger.redraft_refund(entry, draft, keyset_id)

    def _token(self, entry: Entry) -> Refund:
        issued = entry.event
        if not isinstance(issued, Issued):
            raise RefundPendingError
        draft = issued.draft
        wallet = self._wallet(draft.mint)
        try:
            proofs = tuple(wallet.proof(signed) for signed in issued.token_proofs)
        except (OutcomeUnknownError, RefusedError) as error:
            raise RefundPendingError from error
        msat_per_unit = MSAT_PER_UNIT[draft.unit]
        return Refund(
            refund_id=entry.stream,
            token=tokens.encode(Token(mint=draft.mint, unit=draft.unit, proofs=proofs)),
            unit=draft.unit,
            amount=draft.token_msat // msat_per_unit,
            fee=draft.fee_msat // msat_per_unit,
        )

    def _wallet(self, mint: str) -> Wallet:
        try:
            return self._mints.get(mint)
        except UntrustedMintError as error:
            raise RefundPendingError from error
