"""The only door through which events are written: one method for each thing that can happen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from domain.allowance import Rules
from domain.command import Command
from domain.deposit import (
    Claim,
    Credit,
    Credited,
    OfToken,
    Receive,
    Received,
    Refuse,
    Refused,
    Replan,
    Replanned,
    Signed,
)
from domain.donation import Donate, Donated
from domain.erasure import AccountErased, Erase
from domain.errors import MovementEndedError, OtherKeyError
from domain.event import Entry
from domain.foreign_ledger import Record, expect
from domain.guards import ProofKey
from domain.hold import Charge, Charged, Held, Hold, Metered, Release, Released, Terms
from domain.identity import prices_of_version
from domain.invoice_ledger import InvoiceLedger
from domain.key import Changes, KeyMade, KeyReset, KeySet, MakeKey, ResetKey, SetKey
from domain.msat import Msat
from domain.own_ledger import OwnLedger
from domain.payout import (
    AbandonPayout,
    CancelPayout,
    EndPayout,
    Offer,
    Payment,
    PayoutAbandoned,
    PayoutCancelled,
    PayoutPaid,
    StartPayout,
)
from domain.prices import AdoptPrices, PricesAdopted
from domain.purse import Purse
from domain.rate import ObserveRate, RateObserved
from domain.reconcile import Compared, Reconcile, Reconciled
from domain.refund import (
    Cancel,
    Cancelled,
    Collect,
    Collected,
    Draft,
    Issue,
    Issued,
    Redraft,
    Start,
)
from domain.setting import ChangeSetting, SettingChanged

E = TypeVar("E")


class Ledger(InvoiceLedger, OwnLedger):
    """Every use case of the books.

    Each method returns when its event is durable. Called again for the same movement it
    returns what was recorded the first time. `owner` names this process: holds it leaves
    behind are released once it is dead.
    """

    def __init__(self, record: Record, owner: str) -> None:
        super().__init__(record)
        self.owner = owner

    def hold(
        self,
        hold_id: UUID,
        account_id: UUID,
        amount: Msat,
        terms: Terms,
        *,
        named: bool = False,
        request_hash: str = "",
        key_id: UUID | None = None,
    ) -> Held:
        """Set `amount` aside for a request about to be served on `terms`.

        `hold_id` is chance, or follows from what the client has `named` the request; then
        `request_hash` tells whether a retry asks for the same. `key_id` is the key that
        asks, if it is known to be bound or a child; else that is found out here. Raises
        `UnknownAccountError`, `InsufficientFundsError`, `KeyRefusedError`,
        `RequestInProgressError`, `RequestRepeatedError`, `RequestChangedError`.
        """
        command = Hold(
            hold_id, account_id, amount.msat, self.owner, terms, named, request_hash, key_id
        )
        return expect(self._by_its_key(command), Held)

    def charge(
        self,
        hold_id: UUID,
        account_id: UUID,
        cost: Msat,
        terms: Terms,
        usage: Metered,
        key_id: UUID | None = None,
    ) -> Charged:
        """End a hold: its request was served and cost `cost`; the rest goes back.

        Raises `UnknownHoldError`, and `HoldEndedError` when it was released.
        """
        command = Charge(hold_id, account_id, cost.msat, terms, usage, key_id)
        return expect(self._by_its_key(command), Charged)

    def release(
        self, hold_id: UUID, account_id: UUID, reason: str, key_id: UUID | None = None
    ) -> Released:
        """End a hold: its request was not served, nothing is charged.

        Raises `UnknownHoldError`, and `HoldEndedError` when it was charged.
        """
        command = Release(hold_id, account_id, reason, key_id)
        return expect(self._by_its_key(command), Released)

    def make_key(self, key_id: UUID, parent_id: UUID, salt: UUID, rules: Rules) -> KeyMade:
        """Make a child key, or raise `UnknownAccountError` or what `MakeKey` raises."""
        return expect(self._record(MakeKey(key_id, parent_id, salt, rules)), KeyMade)

    def set_key(self, key_id: UUID, by: UUID, changes: Changes) -> KeySet:
        """Change what binds a key: that of the account `by`, or of one of its children.

        Raises `KeyRefusedError`.
        """
        return expect(self._record(SetKey(key_id, by, changes)), KeySet)

    def reset_key(self, key_id: UUID, by: UUID) -> KeyReset:
        """Let a new window begin for a child of the account `by`; raises `KeyRefusedError`."""
        return expect(self._record(ResetKey(key_id, by)), KeyReset)

    def erase(self, account_id: UUID, who: str) -> AccountErased:
        """Record that what names an account's owner is erased; then its key is destroyed.

        Raises `UnknownAccountError`, `ChildKeyError`.
        """
        return expect(self._record(Erase(account_id, who)), AccountErased)

    def donate(
        self, donation_id: UUID, account_id: UUID, amount: Msat | None = None
    ) -> Donated:
        """Give all that is available to the house, or `amount`.

        Raises `UnknownAccountError`, `InsufficientFundsError`.
        """
        amount_msat = None if amount is None else amount.msat
        return expect(self._record(Donate(donation_id, account_id, amount_msat)), Donated)

    def receive_token(
        self,
        deposit_id: UUID,
        claim: Claim,
        keyset_id: str,
        amounts: tuple[int, ...],
        ys: tuple[str, ...] = (),
    ) -> Entry:
        """Record that a token is about to be swapped for outputs of `amounts`.

        `ys` are those of its proofs that are locked to us.

        Returns the movement's newest entry: `Received` when it is new, else whatever became
        of it. Raises `TokenTakenError`, `KeysetTakenError`.
        """
        return self._record(Receive(deposit_id, claim, keyset_id, amounts, ys))

    def replan_deposit(
        self,
        newest: Entry,
        claim: Claim,
        keyset_id: str,
        amounts: tuple[int, ...],
        ys: tuple[str, ...] = (),
    ) -> Entry:
        """Record new outputs for a token after `newest`, a refused plan or a refusal.

        Raises `MovementEndedError` after a credit and after a final refusal.
        """
        stream, version, event = newest
        if not isinstance(event, OfToken) or not event.may_begin_again:
            _planned(newest)
        return self._record(Replan(stream, version, claim, keyset_id, amounts, ys))

    def credit_deposit(self, intent: Entry, proofs: tuple[Signed, ...]) -> Credited:
        """Record that the mint signed what `intent` planned; the account is credited.

        Raises `UnknownMovementError`, `MovementEndedError`.
        """
        planned = _planned(intent)
        command = Credit(intent.stream, intent.version, planned, proofs)
        return expect(self._record(command), Credited)

    def refuse_deposit(
        self,
        intent: Entry,
        code: int,
        reason: str,
        *,
        final: bool,
        dead: tuple[str, ...] = (),
    ) -> Refused:
        """Record that the mint certainly did not take the proofs of `intent`.

        `dead` are marks of what it never will. Raises `UnknownMovementError`,
        `MovementEndedError`.
        """
        planned = _planned(intent)
        command = Refuse(intent.stream, intent.version, planned, code, reason, final, dead)
        return expect(self._record(command), Refused)

    def start_refund(
        self,
        refund_id: UUID,
        account_id: UUID,
        purse: Purse,
        amount: Msat | None = None,
        *,
        whole: bool = False,
        first: Iterable[ProofKey] = (),
        who: str = "",
    ) -> Entry:
        """Take all that is available, or `amount`, and set proofs aside for a token.

        When the purse has less, as much as it has, unless it must be the `whole`. The
        proofs wanted `first` are taken if they are there and enough. For `OWNER`, `who` of
        the operators wanted it. Raises `UnknownAccountError`, `NothingToRefundError`,
        `PurseShortError`; for the owner `OwnerMayNotDrawError`, `UnexplainedError`.
        """
        amount_msat = None if amount is None else amount.msat
        keys = frozenset(first)
        command = Start(refund_id, account_id, purse, amount_msat, whole, keys, who)
        return self._record(command)

    def redraft_refund(self, newest: Entry, draft: Draft, keyset_id: str) -> Entry:
        """Record that the outputs of `newest` will be asked of another keyset."""
        return self._record(Redraft(newest.stream, newest.version, draft, keyset_id))

    def issue_refund(self, newest: Entry, draft: Draft, proofs: tuple[Signed, ...]) -> Issued:
        """Record the mint's signatures: the token exists from now on."""
        command = Issue(newest.stream, newest.version, draft, proofs)
        return expect(self._record(command), Issued)

    def cancel_refund(
        self,
        newest: Entry,
        draft: Draft,
        reason: str,
        proofs: tuple[Signed, ...] = (),
        fee_msat: int = 0,
    ) -> Cancelled:
        """Give a refund's amount back: the mint certainly did not make the token.

        `proofs` are what its inputs were swapped for, at a fee that the house pays.
        """
        command = Cancel(newest.stream, newest.version, draft, reason, proofs, fee_msat)
        return expect(self._record(command), Cancelled)

    def collect_refund(self, newest: Entry, issued: Issued) -> Collected:
        """Record that a token we issued was spent by whoever holds it."""
        command = Collect(newest.stream, newest.version, issued)
        return expect(self._record(command), Collected)

    def start_payout(
        self,
        payout_id: UUID,
        account_id: UUID,
        purse: Purse,
        offer: Offer,
        destination: bytes,
        who: str = "",
    ) -> Entry:
        """Set money and proofs aside to pay an `offer` for an account, or for `OWNER`.

        `who` of the operators wanted it, if it was one of them.

        Raises `UnknownAccountError`, `InsufficientFundsError`, `NothingToRefundError`,
        `PurseShortError`; for the owner `OwnerMayNotDrawError`, `UnexplainedError`.
        """
        return self._record(StartPayout(payout_id, account_id, purse, offer, destination, who))

    def end_payout(
        self, newest: Entry, payment: Payment, proofs: tuple[Signed, ...]
    ) -> PayoutPaid:
        """Record that a mint has paid, and the change it gave."""
        command = EndPayout(newest.stream, newest.version, payment, proofs)
        return expect(self._record(command), PayoutPaid)

    def abandon_payout(
        self,
        newest: Entry,
        payment: Payment,
        keyset_id: str,
        reason: str,
        fee: int | None = None,
    ) -> Entry:
        """Record the outputs for which a payment's inputs will be swapped to ourselves.

        `fee` is what the mint keeps for it, if not the payment's input fee. Raises
        `FeeTooHighError`.
        """
        stream, version, _ = newest
        return self._record(AbandonPayout(stream, version, payment, keyset_id, reason, fee))

    def cancel_payout(
        self, newest: Entry, abandoned: PayoutAbandoned, proofs: tuple[Signed, ...]
    ) -> PayoutCancelled:
        """Record that a payment's inputs are ours again; nobody can be paid by them now."""
        command = CancelPayout(newest.stream, newest.version, abandoned, proofs)
        return expect(self._record(command), PayoutCancelled)

    def reconcile(self, mint: str, compared: Compared) -> Reconciled:
        """Record what a mint says of all our proofs there."""
        return expect(self._record(Reconcile(mint, compared)), Reconciled)

    def observe_rate(
        self, rate_id: UUID, btc_usd: str, sources: tuple[str, ...]
    ) -> RateObserved:
        """Record what one bitcoin costs, in US dollars as a decimal text."""
        return expect(self._record(ObserveRate(rate_id, btc_usd, sources)), RateObserved)

    def change_provider(self, change: Command) -> Entry:
        """Record a `Change` of a provider, and raise what it raises."""
        return self._record(change)

    def change_operator(self, change: Command) -> Entry:
        """Record a `Change` of an operator, or what one did, and raise what it raises."""
        return self._record(change)

    def change_setting(self, change: ChangeSetting) -> SettingChanged:
        """Record a change of a setting, and raise what it raises."""
        return expect(self._record(change), SettingChanged)

    def adopt_prices(self, version: str, document: Mapping[str, Any]) -> PricesAdopted:
        """Record a price list whole, once for ever."""
        adopt = AdoptPrices(prices_of_version(version), version, document)
        return expect(self._record(adopt), PricesAdopted)

    def _by_its_key(self, command: Hold | Charge | Release) -> Entry:
        """Record what is of a hold; the key that was not named is named at a second try.

        Whoever knows the key names it at once; an account with none never comes here twice.
        """
        try:
            return self._record(command)
        except OtherKeyError as error:
            return self._record(replace(command, key_id=error.key_id))


def _planned(entry: Entry) -> Received | Replanned:
    if not isinstance(entry.event, Received | Replanned):
        raise MovementEndedError(entry.stream, entry.event)
    return entry.event
