"""What must hold of a house at rest, whatever was done to it: asked of the mint itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.gateways.mint.wire import ProofState
from domain.deposit import Credited, Received, Replanned
from domain.foreign import ForeignArrived, ForeignCredited
from domain.guards import FREE, ISSUED, OUT, ProofKey
from domain.instant import BatchPlanned, BatchReplanned, BatchSwapped
from domain.invoice import InvoiceCredited, InvoicePlanned
from domain.payout import PayoutAbandoned, PayoutCancelled, PayoutPaid, PayoutStarted
from domain.posting import DONATED, DRAWN, EARNED, FEES_LIGHTNING, FEES_MINT, SHORTFALL
from domain.reclaim import Recalled, SweepStarted, Swept
from domain.refund import Cancelled, Collected, Issued, Redrafted, Started
from domain.swap import SwapDone, SwapRedrafted, SwapStarted
from projections.books import Books
from projections.follow import verify

if TYPE_CHECKING:
    from app.store.opening import Store
    from domain.deposit import Plan
    from domain.event import Event
    from tests.integration.house import House

OF_THE_HOUSE = (DONATED, EARNED, SHORTFALL, DRAWN, FEES_MINT, FEES_LIGHTNING)
MSAT_OF_UNIT = {"sat": 1_000, "msat": 1}


@dataclass
class Told:
    """What the log tells: everything ever asked of the mint, and where money went."""

    books: Books
    plans: list[tuple[str, str, Plan]]
    faces_msat: int = 0
    fees_msat: int = 0
    collected_msat: int = 0
    paid_msat: int = 0


def assert_sound(house: House) -> Told:
    """Check that nothing is open, nothing is lost and nothing is there twice.

    Of all outputs the house ever asked the mint to sign, those that can still be spent must
    be exactly those in its purse or in tokens not collected; their sum must be what came in
    less the mint's fees, what was collected and what was paid, and cover what is owed.
    """
    store = house.store
    assert verify(store, lambda _done, _all: None) is None
    assert store.hold_owners() == []
    unfinished = [row for _, row in store.open_movements() if row.kind != ISSUED]
    assert unfinished == []
    told = read(store)

    head, kept = store.kept()
    ours = {key: row.amount * MSAT_OF_UNIT[row.unit] for key, row in kept.proofs.rows.items()}
    assert head == store.head()
    assert {row.state for row in kept.proofs.rows.values()} <= {FREE, OUT}
    there = _spendable_msat(house, told)
    assert there == ours, _difference(house, told, there, ours)

    gone_msat = told.fees_msat + told.collected_msat + told.paid_msat
    assert sum(ours.values()) == told.faces_msat - gone_msat
    of_the_house_msat = sum(told.books.balances_msat[name] for name in OF_THE_HOUSE)
    assert sum(ours.values()) == told.books.owed_msat() + of_the_house_msat
    return told


def _difference(
    house: House, told: Told, there: dict[ProofKey, int], ours: dict[ProofKey, int]
) -> str:
    """Tell of each proof that only one side has which movements are about it."""
    lines = []
    for key in there.keys() ^ ours.keys():
        side = "the mint" if key in there else "the books"
        rows = house.store.proofs([key])
        of = [
            f"{entry.stream} {entry.version} {entry.event.TOPIC}"
            for page in house.store.log()
            for _, entry in page
            if (planned := _planned(entry.event)) is not None
            and planned[2].keyset_id == key.keyset_id
            and 0 <= key.counter - planned[2].counter_from < len(planned[2].amounts)
        ]
        lines.append(f"only {side} has {key}: {rows}, planned by {of}")
    return "\n".join(lines)


def assert_nothing_is_left_to_do(house: House) -> None:
    """Check that to recover once more changes nothing at all."""
    head = house.store.head()
    house.recover()
    assert house.store.head() == head


def read(store: Store) -> Told:
    """Read the whole log."""
    told = Told(Books(), [])
    for page in store.log():
        for _, entry in page:
            told.books.post(entry.event)
            _read(told, entry.event)
    return told


def _read(told: Told, event: Event) -> None:
    plan = _planned(event)
    if plan is not None:
        told.plans.append(plan)
    elif isinstance(event, InvoiceCredited | ForeignCredited | BatchSwapped):
        told.faces_msat += (
            event.swapped_msat if isinstance(event, BatchSwapped) else event.credited_msat
        )
    elif isinstance(event, Credited):
        told.faces_msat += event.face_msat
        told.fees_msat += event.fee_msat
    elif isinstance(event, Issued):
        told.fees_msat += event.draft.fee_msat
    elif isinstance(event, Cancelled):
        told.fees_msat += event.fee_msat
    elif isinstance(event, SwapDone | Swept):
        told.fees_msat += event.swap.fee_msat
        told.collected_msat += event.collected_msat if isinstance(event, Swept) else 0
    elif isinstance(event, Collected):
        told.collected_msat += event.token_msat
    elif isinstance(event, PayoutPaid):
        told.paid_msat += event.payment.amount * event.payment.unit_msat
        told.fees_msat += event.fees_msat
    elif isinstance(event, PayoutCancelled):
        told.fees_msat += event.fee_msat


def _planned(event: Event) -> tuple[str, str, Plan] | None:
    """Return at which mint, in which unit and for which outputs an event is an intent."""
    if isinstance(event, Received | Replanned):
        return event.claim.mint, event.claim.unit, event.plan
    if isinstance(event, Started | Redrafted | BatchPlanned | BatchReplanned):
        asked = event.draft if isinstance(event, Started | Redrafted) else event.batch
        return asked.mint, asked.unit, asked.plan
    if isinstance(event, InvoicePlanned | ForeignArrived):
        return event.bill.mint, event.bill.unit, event.plan
    if isinstance(event, PayoutStarted | PayoutAbandoned):
        plan = event.plan if isinstance(event, PayoutAbandoned) else event.payment.blanks
        return event.payment.mint, event.payment.unit, plan
    if isinstance(event, Recalled | SweepStarted | SwapStarted | SwapRedrafted):
        return event.swap.mint, event.swap.unit, event.swap.plan
    return None


def _spendable_msat(house: House, told: Told) -> dict[ProofKey, int]:
    """Return what the mint has signed for this house and not seen again (NUT-09, NUT-07)."""
    found: dict[ProofKey, int] = {}
    for mint, unit, plan in told.plans:
        wallet = house.mints.get(mint)
        signed = wallet.restored(plan)
        states = wallet.states([(proof.keyset_id, proof.counter) for proof in signed])
        for proof, state in zip(signed, states, strict=True):
            if state is ProofState.UNSPENT:
                found[proof.key] = proof.amount * MSAT_OF_UNIT[unit]
    return found
