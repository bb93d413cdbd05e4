"""The double entries: which event moves how much from which account to which.

The chart of accounts, and which way round the signs are:

    mint:<url>             our ecash at a mint: an asset, so its balance is zero or negative
    client:<id>:available  owed to a client, who may spend it
    client:<id>:held       owed to a client, set aside for requests in progress
    instant:<url>          locked tokens of a mint, credited and not yet swapped: an asset
    refunds:in_flight      taken from clients, the mint has not yet made the token
    tokens:outstanding     owed to whoever holds a token we issued
    house:earned           the house's income
    house:donated          what clients have given to the house
    house:shortfall        the house's loss: served, but neither held nor available
    house:lost             locked tokens that were credited, and that their mint did not take;
                           proofs of ours that were spent, and nobody knows for what
    lightning:in_flight    taken for payments over Lightning, the mint has not yet paid
    house:drawn            what the owner has taken out: zero or negative
    house:fees:lightning   what payments of the house have cost: zero or negative
    house:fees:mint        what mints have kept of the house's own proofs: zero or negative

An amount leaves its source and enters its destination, so the sum over all accounts is
zero after every event, and what the mints hold equals what is owed plus what is earned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from domain.deposit import Credited, Received, Refused, Replanned
from domain.donation import Donated
from domain.erasure import AccountErased
from domain.event import Event
from domain.foreign import ForeignArrived, ForeignCredited, ForeignQuoted, ForeignRefused
from domain.hold import Charged, Held, Released
from domain.identity import OWNER
from domain.instant import (
    BatchParted,
    BatchPlanned,
    BatchReplanned,
    BatchSwapped,
    InstantCredited,
    InstantLost,
)
from domain.invoice import InvoiceCredited, InvoiceLapsed, InvoiceOpened, InvoicePlanned
from domain.key import KeyMade, KeyReset, KeySet
from domain.keyset import KeysetAdvanced
from domain.lost import ProofsLost
from domain.operators import OperatorActed, OperatorRemoved, OperatorSet, OperatorSignedOut
from domain.payout import PayoutAbandoned, PayoutCancelled, PayoutPaid, PayoutStarted
from domain.prices import PricesAdopted
from domain.provider import ProviderListed, ProviderRemoved, ProviderSet
from domain.rate import RateObserved
from domain.reclaim import Recalled, SweepStarted, Swept
from domain.reconcile import Reconciled
from domain.refund import Cancelled, Collected, Issued, Redrafted, Started
from domain.setting import SettingChanged
from domain.swap import SwapDone, SwapRedrafted, SwapStarted

NAMES_MAX = 50_000
EARNED = "house:earned"
DONATED = "house:donated"
SHORTFALL = "house:shortfall"
REFUNDS_IN_FLIGHT = "refunds:in_flight"
TOKENS_OUTSTANDING = "tokens:outstanding"
LIGHTNING_IN_FLIGHT = "lightning:in_flight"
DRAWN = "house:drawn"
FEES_LIGHTNING = "house:fees:lightning"
FEES_MINT = "house:fees:mint"
LOST = "house:lost"


class Posting(NamedTuple):
    """One arrow of money; `amount_msat` is always above zero."""

    source: str
    destination: str
    amount_msat: int


def available(account_id: UUID) -> str:
    return f"client:{account_id}:available"


def held(account_id: UUID) -> str:
    return f"client:{account_id}:held"


@lru_cache(maxsize=NAMES_MAX)
def _client(account_id: UUID) -> tuple[str, str]:
    """Return both names of a client's accounts; who replays a log asks again and again."""
    return available(account_id), held(account_id)


def mint(url: str) -> str:
    return f"mint:{url}"


def instant(url: str) -> str:
    return f"instant:{url}"


def postings(event: Event) -> list[Posting]:
    """Return the arrows of `event`, none for events that move no money."""
    return [posting for posting in _POSTINGS[type(event)](event) if posting.amount_msat]


def _nothing(_event: Event) -> list[Posting]:
    return []


def _held(event: Held) -> list[Posting]:
    free, kept = _client(event.account_id)
    return [Posting(free, kept, event.amount_msat)]


def _charged(event: Charged) -> list[Posting]:
    free, kept = _client(event.account_id)
    arrows = [
        Posting(kept, EARNED, event.from_hold_msat),
        Posting(kept, free, event.held_msat - event.from_hold_msat),
    ]
    if event.cost_msat > event.from_hold_msat:
        arrows.append(Posting(free, EARNED, event.from_available_msat))
        arrows.append(Posting(SHORTFALL, EARNED, event.shortfall_msat))
    return arrows


def _released(event: Released) -> list[Posting]:
    free, kept = _client(event.account_id)
    return [Posting(kept, free, event.held_msat)]


def _credited(event: Credited) -> list[Posting]:
    # The token's whole worth comes in and the mint's fee goes out again, so that a
    # statement shows the client both.
    client = available(event.account_id)
    return [
        Posting(mint(event.mint), client, event.face_msat),
        Posting(client, mint(event.mint), event.fee_msat),
    ]


def _credited_at_once(event: InstantCredited) -> list[Posting]:
    client = available(event.account_id)
    return [
        Posting(instant(event.mint), client, event.face_msat),
        Posting(client, instant(event.mint), event.fee_msat),
    ]


def _swapped_later(event: BatchSwapped) -> list[Posting]:
    """Return what came of locked tokens: together they cost less than each alone.

    Were they worth less than was credited, the mint's fee has risen meanwhile.
    """
    url, credited_msat = event.batch.mint, event.batch.credited_msat
    came_msat = min(event.swapped_msat, credited_msat)
    return [
        Posting(mint(url), instant(url), came_msat),
        Posting(mint(url), FEES_MINT, event.swapped_msat - came_msat),
        Posting(FEES_MINT, instant(url), credited_msat - came_msat),
    ]


def _lost(event: InstantLost) -> list[Posting]:
    return [Posting(LOST, instant(event.mint), event.lost_msat)]


def _paid_in(event: InvoiceCredited | ForeignCredited) -> list[Posting]:
    return [Posting(mint(event.mint), available(event.account_id), event.credited_msat)]


def _donated(event: Donated) -> list[Posting]:
    return [Posting(available(event.account_id), DONATED, event.amount_msat)]


def _payer(account_id: UUID) -> str:
    return DRAWN if account_id == OWNER else available(account_id)


def _started(event: Started) -> list[Posting]:
    draft = event.draft
    return [Posting(_payer(draft.account_id), REFUNDS_IN_FLIGHT, draft.taken_msat)]


def _issued(event: Issued) -> list[Posting]:
    draft = event.draft
    return [
        Posting(REFUNDS_IN_FLIGHT, TOKENS_OUTSTANDING, draft.token_msat),
        Posting(REFUNDS_IN_FLIGHT, mint(draft.mint), draft.fee_msat),
        *_owners_fee(draft.account_id, FEES_MINT, draft.fee_msat),
    ]


def _cancelled(event: Cancelled) -> list[Posting]:
    draft = event.draft
    return [
        Posting(REFUNDS_IN_FLIGHT, _payer(draft.account_id), draft.taken_msat),
        Posting(FEES_MINT, mint(draft.mint), event.fee_msat),
    ]


def _payout_started(event: PayoutStarted) -> list[Posting]:
    payment = event.payment
    return [Posting(_payer(payment.account_id), LIGHTNING_IN_FLIGHT, payment.taken_msat)]


def _payout_paid(event: PayoutPaid) -> list[Posting]:
    payment, place = event.payment, mint(event.payment.mint)
    fees_msat = event.fees_msat - event.excess_msat
    return [
        Posting(LIGHTNING_IN_FLIGHT, place, payment.amount * payment.unit_msat),
        Posting(LIGHTNING_IN_FLIGHT, place, fees_msat),
        Posting(LIGHTNING_IN_FLIGHT, _payer(payment.account_id), event.returned_msat),
        Posting(FEES_LIGHTNING, place, event.excess_msat),
        *_owners_fee(payment.account_id, FEES_LIGHTNING, fees_msat),
    ]


def _payout_cancelled(event: PayoutCancelled) -> list[Posting]:
    payment = event.payment
    return [
        Posting(LIGHTNING_IN_FLIGHT, mint(payment.mint), event.fee_msat),
        Posting(LIGHTNING_IN_FLIGHT, _payer(payment.account_id), event.returned_msat),
        *_owners_fee(payment.account_id, FEES_MINT, event.fee_msat),
    ]


def _owners_fee(account_id: UUID, fees: str, fee_msat: int) -> list[Posting]:
    # A client pays its fees; those of the owner's own movements are no part of what it drew.
    return [Posting(fees, DRAWN, fee_msat)] if account_id == OWNER else []


def _collected(event: Collected) -> list[Posting]:
    return [Posting(TOKENS_OUTSTANDING, mint(event.mint), event.token_msat)]


def _swept(event: Swept) -> list[Posting]:
    # As with a deposit: all of it comes back, and the mint's fee goes out again.
    client, ecash = _payer(event.account_id), mint(event.swap.mint)
    return [
        Posting(TOKENS_OUTSTANDING, client, event.swept_msat),
        Posting(client, ecash, event.swap.fee_msat),
        Posting(TOKENS_OUTSTANDING, ecash, event.collected_msat),
    ]


def _swapped(event: SwapDone) -> list[Posting]:
    return [Posting(FEES_MINT, mint(event.swap.mint), event.swap.fee_msat)]


_POSTINGS: Mapping[type[Event], Callable[[Any], list[Posting]]] = {
    Held: _held,
    Charged: _charged,
    Released: _released,
    Received: _nothing,
    Replanned: _nothing,
    Credited: _credited,
    Refused: _nothing,
    Started: _started,
    Redrafted: _nothing,
    Issued: _issued,
    Cancelled: _cancelled,
    Collected: _collected,
    PayoutStarted: _payout_started,
    PayoutPaid: _payout_paid,
    PayoutAbandoned: _nothing,
    PayoutCancelled: _payout_cancelled,
    Recalled: _nothing,
    SweepStarted: _nothing,
    Swept: _swept,
    SwapStarted: _nothing,
    SwapRedrafted: _nothing,
    SwapDone: _swapped,
    KeysetAdvanced: _nothing,
    ProofsLost: lambda event: [Posting(LOST, mint(event.mint), event.lost_msat)],
    InvoiceOpened: _nothing,
    InvoicePlanned: _nothing,
    InvoiceCredited: _paid_in,
    InvoiceLapsed: _nothing,
    KeyMade: _nothing,
    KeySet: _nothing,
    KeyReset: _nothing,
    AccountErased: _nothing,
    Donated: _donated,
    RateObserved: _nothing,
    PricesAdopted: _nothing,
    ProviderSet: _nothing,
    ProviderListed: _nothing,
    ProviderRemoved: _nothing,
    OperatorSet: _nothing,
    OperatorSignedOut: _nothing,
    OperatorRemoved: _nothing,
    OperatorActed: _nothing,
    SettingChanged: _nothing,
    Reconciled: _nothing,
    InstantCredited: _credited_at_once,
    InstantLost: _lost,
    BatchPlanned: _nothing,
    BatchReplanned: _nothing,
    BatchSwapped: _swapped_later,
    BatchParted: _nothing,
    ForeignQuoted: _nothing,
    ForeignArrived: _nothing,
    ForeignCredited: _paid_in,
    ForeignRefused: _nothing,
}

KINDS: tuple[type[Event], ...] = tuple(_POSTINGS)
"""Every kind of event there is."""
