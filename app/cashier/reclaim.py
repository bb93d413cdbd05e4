"""Takes back what was on its way out: refused refunds, tokens that nobody collects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cashier.own import (
    Books,
    are_unspent,
    inputs_of,
    made_before,
    other_purse,
    states_of,
)
from app.cashier.turns import PAUSE_S
from app.gateways.errors import MintRefusedError, MintUnknownError
from app.gateways.mint.wire import ProofState
from domain.event import Entry
from domain.reclaim import Recalled, SweepStarted
from domain.refund import Draft, Issued, Redrafted, Started

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.gateways.mint.wallet import Wallet
    from domain.deposit import Signed
    from domain.event import Event
    from domain.ledger import Ledger


class Reclaims:
    """The steps of a refund that bring its proofs back; each is recorded before the mint acts.

    Whose the proofs are in the end, the mint decides alone: of all the swaps of the same
    inputs that were ever sent it carries out one. Every method returns the movement's
    newest entry, and raises a `GatewayError` while nobody can tell.
    """

    def __init__(self, ledger: Ledger, books: Books, pause: Callable[[float], None]) -> None:
        self._ledger = ledger
        self._books = books
        self._pause = pause

    def refused(
        self, entry: Entry, draft: Draft, wallet: Wallet, refusal: MintRefusedError
    ) -> Entry:
        """Go on after a refused token: it was made before, or its inputs are taken back."""
        if are_unspent(states_of(wallet, draft.inputs)):
            purse = wallet.purse(draft.unit)
            return self._ledger.recall_refund(entry, draft, purse, refusal.detail)
        return self._made_before(entry, wallet, refusal)

    def recall(self, entry: Entry, event: Recalled, wallet: Wallet) -> Entry:
        """Swap the inputs of a refused token to ourselves; its amount is given back then."""
        swap = event.swap
        inputs = inputs_of(wallet, self._books, entry.stream, swap.inputs)
        if inputs is None:
            return self._newest(entry)
        try:
            signed = wallet.swap(inputs, swap.plan)
        except MintRefusedError as refusal:
            if not are_unspent(states_of(wallet, swap.inputs)):
                return self._made_before(entry, wallet, refusal)
            self._pause(PAUSE_S)
            purse = other_purse(wallet, swap, refusal)
            return self._ledger.recall_refund(entry, event.draft, purse, event.reason)
        return self._made(entry, event, signed)

    def start_sweep(self, entry: Entry, issued: Issued, wallet: Wallet) -> Entry:
        """Begin to take back what of a token is unspent; all spent, it was collected."""
        states = states_of(wallet, issued.token)
        if ProofState.PENDING in states.values():
            raise MintUnknownError("the token is being spent")
        unspent = tuple(spent for spent, state in states.items() if state is ProofState.UNSPENT)
        if not unspent:
            collected = self._ledger.collect_refund(entry, issued)
            return Entry(entry.stream, entry.version + 1, collected)
        return self._ledger.start_sweep(entry, issued, unspent, wallet.purse(issued.draft.unit))

    def sweep(self, entry: Entry, event: SweepStarted, wallet: Wallet) -> Entry:
        """Swap an uncollected token to ourselves; who was quicker, the mint has served."""
        swap = event.swap
        inputs = inputs_of(wallet, self._books, entry.stream, swap.inputs)
        if inputs is None:
            return self._newest(entry)
        try:
            signed = wallet.swap(inputs, swap.plan)
        except MintRefusedError as refusal:
            return self._not_swept(entry, event, wallet, refusal)
        return self._made(entry, event, signed)

    def _not_swept(
        self, entry: Entry, event: SweepStarted, wallet: Wallet, refusal: MintRefusedError
    ) -> Entry:
        history = self._books.history(entry.stream)
        (issued,) = (each.event for each in history if isinstance(each.event, Issued))
        if are_unspent(states_of(wallet, event.swap.inputs)):
            self._pause(PAUSE_S)
            purse = other_purse(wallet, event.swap, refusal)
            return self._ledger.start_sweep(entry, issued, event.swap.inputs, purse)
        begun = [each for each in history if isinstance(each.event, SweepStarted)]
        try:
            made, signed = made_before(wallet, begun, refusal)
        except MintUnknownError:
            # Not by us: by whoever has collected it, or a part of it, and not the rest.
            return self.start_sweep(entry, issued, wallet)
        return self._made(entry, made, signed)

    def _made_before(self, entry: Entry, wallet: Wallet, refusal: MintRefusedError) -> Entry:
        history = self._books.history(entry.stream)[: entry.version]
        made, signed = made_before(wallet, history, refusal)
        return self._made(entry, made, signed)

    def _made(self, entry: Entry, event: Event, signed: tuple[Signed, ...]) -> Entry:
        """Record what the mint has signed for one of the plans of a refund."""
        ledger = self._ledger
        end: Event
        if isinstance(event, Started | Redrafted):
            end = ledger.issue_refund(entry, event.draft, signed)
        elif isinstance(event, Recalled):
            fee_msat = event.swap.fee_msat
            end = ledger.cancel_refund(entry, event.draft, event.reason, signed, fee_msat)
        elif isinstance(event, SweepStarted):
            end = ledger.sweep_refund(entry, event, signed)
        else:
            raise TypeError(event)
        return Entry(entry.stream, entry.version + 1, end)

    def _newest(self, entry: Entry) -> Entry:
        return self._books.history(entry.stream)[-1]
