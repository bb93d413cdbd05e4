"""Money out over Lightning: melted at a mint for an invoice of whoever is to be paid.

The mint is asked to pay once. Whatever it answers, or does not, its quote's state decides:
paid ends the payout, pending waits, and when it says unpaid the inputs are first swapped to
ourselves, for after that no copy of the request that is still on its way can pay.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Protocol

from app.cashier.errors import PayoutPendingError, PayoutUnknownError
from app.cashier.offers import Wish
from app.cashier.turns import PAUSE_S, STEPS_MAX, Turns
from app.gateways.errors import (
    GatewayError,
    MintRefusedError,
    MintUnknownError,
    RefusedError,
)
from app.gateways.mint.mints import UntrustedMintError
from app.gateways.mint.wallet import REPLAN
from app.gateways.mint.wire import QuoteState
from domain.deposit import Signed
from domain.errors import FeeTooHighError, MovementEndedError, UnknownAccountError
from domain.event import Entry
from domain.guards import PAYOUT, AccountRow, GuardRows, MovementRow, ProofKey, ProofRow, Totals
from domain.identity import OWNER
from domain.payout import PayoutAbandoned, PayoutCancelled, PayoutPaid, PayoutStarted
from domain.solvency import surplus_msat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from app.cashier.offers import Offers
    from app.cashier.vault import Destinations
    from app.gateways.lnurl import LightningAddresses
    from app.gateways.mint.mints import Mints
    from app.gateways.mint.tokens import Proof
    from app.gateways.mint.wallet import Melted, Wallet
    from domain.deposit import Plan
    from domain.ledger import Ledger
    from domain.payout import Offer, Payment
    from domain.purse import Purse

logger = logging.getLogger(__name__)

ON_ITS_WAY = timedelta(seconds=60)
"""How long a payment may be on its way to a mint that still calls it unpaid."""

UNPAID = "the mint has not paid"
_ENDS = PayoutPaid | PayoutCancelled
_PAYOUT_EVENTS = PayoutStarted | PayoutAbandoned | _ENDS


class Status(StrEnum):
    """How far a payout is, in the words of the clients."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Payout:
    """A payment of `amount` in `unit`; `fee_msat` is what was kept of the rest by now."""

    payout_id: UUID
    status: Status
    recipient: str
    unit: str
    amount: int
    fee_msat: int


class Books(Protocol):
    """What a payout reads of the store; `now` is the time of its events."""

    def now(self) -> datetime: ...

    def account(self, account_id: UUID) -> AccountRow | None: ...

    def movements_of(self, account_id: UUID, kind: str) -> list[tuple[UUID, MovementRow]]: ...

    def history(self, stream: UUID) -> list[Entry]: ...

    def proofs(self, keys: Sequence[ProofKey]) -> dict[ProofKey, ProofRow]: ...

    def totals(self) -> Totals: ...


class Payouts:
    """Pays Lightning addresses, once, for clients and for the owner of the house.

    What is set aside and whom it is for are recorded before the mint is asked; the address
    is sealed under the account's own key, and not recorded at all if that was erased.
    `on_its_way` is how long others wait who find a payment begun and unpaid.
    """

    def __init__(
        self,
        ledger: Ledger,
        mints: Mints,
        addresses: LightningAddresses,
        offers: Offers,
        destinations: Destinations,
        books: Books,
        pause: Callable[[float], None] = time.sleep,
        on_its_way: timedelta = ON_ITS_WAY,
    ) -> None:
        self._ledger = ledger
        self._mints = mints
        self._addresses = addresses
        self._offers = offers
        self._destinations = destinations
        self._books = books
        self._pause = pause
        self._on_its_way = on_its_way
        self._turns = Turns()

    def refund_to(
        self,
        payout_id: UUID,
        account_id: UUID,
        address: str,
        amount_msat: int | None = None,
        *,
        named: bool = False,
    ) -> Payout:
        """Pay `amount_msat` of an account to a Lightning address, or as much as fits.

        One that is open already is told instead: an account has one at a time. Asked again
        with the same `payout_id`, the same payout is told. If the client has `named` it,
        another one that has ended just now is not what it asks about. Raises
        `UnknownAccountError`, and what `Offers.take` and the gateways raise: then nothing
        has happened.
        """
        with self._turns.at(account_id):
            entry = self._begun(payout_id, account_id)
            if entry is not None:
                entry = self._followed(entry)
                if entry.stream == payout_id or not (named and has_ended(entry)):
                    return self._told(entry)
            account = self._books.account(account_id)
            if account is None:
                raise UnknownAccountError(account_id)
            terms = self._addresses.terms(self._addresses.read(address))
            wish = Wish(
                account_id,
                terms,
                account.available_msat,
                amount_msat,
                account.mint,
                held_msat=account.held_msat,
            )
            return self._told(self._paid(payout_id, wish))

    def draw(
        self, payout_id: UUID, mint: str, address: str, most_msat: int, who: str = ""
    ) -> Payout:
        """Pay the owner at most `most_msat` of what is owed to nobody at `mint`.

        `who` of the operators wanted it, nobody if the clock did. Asked again with the same
        `payout_id`, the same payout is told. Raises `OwnerMayNotDrawError`,
        `UnexplainedError`, and what `refund_to` raises.
        """
        with self._turns.at(OWNER):
            history = self._books.history(payout_id)
            if history:
                return self._told(self._followed(history[-1]))
            return self._told(self._paid(payout_id, self._wish(mint, address, most_msat), who))

    def look(self, mint: str, address: str, most_msat: int) -> tuple[Purse, Offer]:
        """Return what a draw would be paid with and cost, and begin nothing.

        Raises what `draw` raises.
        """
        wish = self._wish(mint, address, most_msat)
        found, _ = self._offers.take(wish, lambda purse, offer: (purse, offer))
        return found

    def _wish(self, mint: str, address: str, most_msat: int) -> Wish:
        terms = self._addresses.terms(self._addresses.read(address))
        budget_msat = min(most_msat, self.surplus_msat(mint))
        return Wish(OWNER, terms, budget_msat, None, mint, stays=True)

    def surplus_msat(self, mint: str) -> int:
        """Return what the owner might draw at `mint`; when it is drawn, the ledger decides."""
        rows = GuardRows()
        rows.see_totals(self._books.totals())
        return max(surplus_msat(rows, mint), 0)

    def standing(self, payout_id: UUID, account_id: UUID) -> Payout:
        """Return how far a payout of an account is, after asking its mint.

        Raises `PayoutUnknownError`.
        """
        history = self._books.history(payout_id)
        first = history[0].event if history else None
        if not isinstance(first, PayoutStarted) or first.payment.account_id != account_id:
            raise PayoutUnknownError
        return self._told(self._followed(history[-1]))

    def resume(self, entry: Entry) -> Entry:
        """Go on with a payout from its newest entry; return its end.

        Raises `PayoutPendingError` when it has none yet, and what the gateways raise: then,
        and after a crash anywhere, nothing is lost, and the same is done again.
        """
        with self._turns.at(entry.stream):
            entry = self._finish(entry)
        if not has_ended(entry):
            raise PayoutPendingError
        return entry

    def _begun(self, payout_id: UUID, account_id: UUID) -> Entry | None:
        """Return the newest entry of this payout, or of one that the account has open."""
        history = self._books.history(payout_id)
        if not history:
            begun = self._books.movements_of(account_id, PAYOUT)
            history = self._books.history(begun[0][0]) if begun else []
        return history[-1] if history else None

    def _paid(self, payout_id: UUID, wish: Wish, who: str = "") -> Entry:
        """Record the payment and have it made; return its newest entry."""
        address = wish.terms.recipient.address
        destination = self._destinations.seal(wish.account_id, payout_id, address)
        start = partial(self._ledger.start_payout, payout_id, wish.account_id)
        entry, offer = self._offers.take(
            wish, lambda purse, offer: start(purse, offer, destination, who)
        )
        with self._turns.at(entry.stream):
            is_certain = self._ask_to_pay(entry, offer)
        return self._followed(entry, is_certain=is_certain)

    def _ask_to_pay(self, entry: Entry, offer: Offer) -> bool:
        """Ask the mint to pay, once; return whether the request is certainly not on its way.

        Whatever it answers, its quote is asked what became of it.
        """
        event = entry.event
        if not isinstance(event, PayoutStarted) or event.payment.quote != offer.quote:
            # Another process has begun it, and asks.
            return False
        payment = event.payment
        try:
            wallet, inputs = self._mints.get(payment.mint), self._inputs(entry, payment)
            wallet.melt(payment.quote, inputs, _blanks(payment))
        except MintUnknownError as error:
            return error.code is not None
        except (RefusedError, UntrustedMintError):
            return True
        except MovementEndedError:
            return False
        return True

    def _followed(self, entry: Entry, *, is_certain: bool = False) -> Entry:
        """Return the newest entry, after going on as far as the mint can be asked."""
        try:
            with self._turns.at(entry.stream):
                return self._finish(entry, is_certain=is_certain)
        except (GatewayError, UntrustedMintError) as error:
            logger.info("payout %s: %s", entry.stream, type(error).__name__)
            return self._books.history(entry.stream)[-1]

    def _finish(self, entry: Entry, *, is_certain: bool = False) -> Entry:
        for _ in range(STEPS_MAX):
            if has_ended(entry):
                return entry
            try:
                following = self._step(entry, is_certain=is_certain)
            except MovementEndedError:
                # Another process has gone on from here meanwhile.
                following = self._books.history(entry.stream)[-1]
            if following == entry:
                return entry
            entry = following
        return entry

    def _step(self, entry: Entry, *, is_certain: bool) -> Entry:
        event = entry.event
        if not isinstance(event, PayoutStarted | PayoutAbandoned):
            raise TypeError(event)
        payment, wallet = event.payment, self._mints.get(event.payment.mint)
        told = wallet.melt_state(payment.quote, _blanks(payment))
        is_young = not is_certain and self._books.now() - event.at < self._on_its_way
        if told.state is QuoteState.PAID and (told.change or not is_young):
            return self._ended(entry, payment, told)
        if told.state is not QuoteState.UNPAID:
            # Pending; or paid just now, and the mint is about to make the change.
            return entry
        if isinstance(event, PayoutAbandoned):
            return self._taken_back(entry, event, wallet)
        if is_young:
            return entry
        keyset_id = wallet.keysets.active(payment.unit).id
        return self._ledger.abandon_payout(entry, payment, keyset_id, UNPAID)

    def _ended(self, entry: Entry, payment: Payment, told: Melted) -> Entry:
        paid = self._ledger.end_payout(entry, payment, told.change)
        return Entry(entry.stream, entry.version + 1, paid)

    def _taken_back(self, entry: Entry, event: PayoutAbandoned, wallet: Wallet) -> Entry:
        """Swap the inputs to ourselves; only then has the payout failed."""
        try:
            signed = wallet.swap(self._inputs(entry, event.payment), event.plan)
        except MintRefusedError as error:
            self._pause(PAUSE_S)
            return self._taken_back_anew(entry, event, wallet, error)
        cancelled = self._ledger.cancel_payout(entry, event, signed)
        return Entry(entry.stream, entry.version + 1, cancelled)

    def _taken_back_anew(
        self, entry: Entry, event: PayoutAbandoned, wallet: Wallet, refusal: MintRefusedError
    ) -> Entry:
        """Ask for other outputs: of another keyset, or less because the fee is another.

        What the fee was thought to be may have been told before the mint made a keyset of
        some of the inputs. Raises `refusal` if neither is so.
        """
        keyset_id = wallet.other_keyset(event.payment.unit)
        fee = wallet.purse(event.payment.unit).fee(event.payment.inputs)
        if refusal.code not in REPLAN and fee == event.fee:
            raise refusal
        try:
            return self._ledger.abandon_payout(
                entry, event.payment, keyset_id, event.reason, fee
            )
        except FeeTooHighError as error:
            raise refusal from error

    def _inputs(self, entry: Entry, payment: Payment) -> list[Proof]:
        """Return the proofs that are set aside; raises `MovementEndedError` if they are not."""
        keys = [spent.key for spent in payment.inputs]
        rows = self._books.proofs(keys)
        if any(key not in rows or rows[key].movement != entry.stream for key in keys):
            raise MovementEndedError(entry.stream, entry.event)
        wallet = self._mints.get(payment.mint)
        return [wallet.proof(_signed(key, rows[key])) for key in keys]

    def _told(self, entry: Entry) -> Payout:
        event = entry.event
        if not isinstance(event, _PAYOUT_EVENTS):
            raise PayoutUnknownError
        payment, status, fee_msat = event.payment, Status.PENDING, 0
        if isinstance(event, PayoutPaid):
            status, fee_msat = Status.PAID, event.fees_msat - event.excess_msat
        elif isinstance(event, PayoutCancelled):
            status, fee_msat = Status.FAILED, event.fee_msat
        return Payout(
            entry.stream,
            status,
            self._destinations.open(payment.account_id, entry.stream, payment.destination),
            payment.unit,
            payment.amount,
            fee_msat,
        )


def has_ended(entry: Entry) -> bool:
    """Tell whether nothing is left to do about a payout."""
    return isinstance(entry.event, _ENDS)


def _blanks(payment: Payment) -> Plan | None:
    return payment.blanks if payment.blanks.amounts else None


def _signed(key: ProofKey, row: ProofRow) -> Signed:
    return Signed(
        keyset_id=key.keyset_id,
        counter=key.counter,
        amount=row.amount,
        c=row.c,
        e=row.e,
        s=row.s,
    )
