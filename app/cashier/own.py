"""Our own proofs as inputs of a swap, and which copy of it the mint has carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.gateways.errors import MintRefusedError, MintUnknownError
from app.gateways.mint.wallet import REPLAN
from app.gateways.mint.wire import ProofState
from domain.deposit import Plan, Signed
from domain.reclaim import Recalled, SweepStarted
from domain.refund import Redrafted, Started
from domain.swap import SwapRedrafted, SwapStarted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from app.gateways.mint.tokens import Proof
    from app.gateways.mint.wallet import Wallet
    from domain.event import Entry, Event
    from domain.guards import ProofKey, ProofRow
    from domain.purse import Purse, Spent
    from domain.swap import SelfSwap


class Books(Protocol):
    """What is read of the store."""

    def history(self, stream: UUID) -> list[Entry]: ...

    def proofs(self, keys: Sequence[ProofKey]) -> dict[ProofKey, ProofRow]: ...


def inputs_of(
    wallet: Wallet, books: Books, stream: UUID, inputs: Sequence[Spent]
) -> list[Proof] | None:
    """Return the proofs to swap; `None` if they are no longer those of the movement `stream`.

    Then another process has ended it.
    """
    keys = [spent.key for spent in inputs]
    rows = books.proofs(keys)
    if any(key not in rows or rows[key].movement != stream for key in keys):
        return None
    return [wallet.proof(_signed(key, rows[key])) for key in keys]


def states_of(wallet: Wallet, proofs: Sequence[Spent]) -> dict[Spent, ProofState]:
    """Ask the mint about proofs of ours (NUT-07)."""
    states = wallet.states([(spent.keyset_id, spent.counter) for spent in proofs])
    return dict(zip(proofs, states, strict=True))


def are_unspent(states: dict[Spent, ProofState]) -> bool:
    return set(states.values()) == {ProofState.UNSPENT}


def made_before(
    wallet: Wallet, history: Iterable[Entry], refusal: MintRefusedError
) -> tuple[Event, tuple[Signed, ...]]:
    """Return which of a movement's plans the mint has carried out, and what it has signed.

    Its inputs are spent, so that one was, though another copy of the request than the one
    just refused; or somebody else has spent them: then `MintUnknownError`, for it is not
    for us to say what became of them.
    """
    for entry in history:
        plan = plan_of(entry.event)
        if plan is not None:
            signed = wallet.restored(plan)
            # Other amounts are another transaction's, at counters that were used twice.
            if tuple(proof.amount for proof in signed) == plan.amounts:
                return entry.event, signed
    raise MintUnknownError("the inputs are spent, and not by us") from refusal


def plan_of(event: Event) -> Plan | None:
    """Return the outputs that an event says are about to be asked for, if it does."""
    if isinstance(event, Started | Redrafted):
        return event.draft.plan
    if isinstance(event, Recalled | SweepStarted | SwapStarted | SwapRedrafted):
        return event.swap.plan
    return None


def other_purse(wallet: Wallet, swap: SelfSwap, refusal: MintRefusedError) -> Purse:
    """Return how to ask again for what was refused, though no input is spent.

    Raises `MintUnknownError` if it would be the same once more: then it is for the mint to
    change its mind, or for its operator.
    """
    wallet.keysets.refresh()
    purse = wallet.purse(swap.unit)
    fee_msat = purse.fee(swap.inputs) * purse.msat_per_unit
    if refusal.code not in REPLAN and fee_msat == swap.fee_msat:
        raise MintUnknownError(refusal.detail, code=refusal.code) from refusal
    return purse


def _signed(key: ProofKey, row: ProofRow) -> Signed:
    return Signed(
        keyset_id=key.keyset_id,
        counter=key.counter,
        amount=row.amount,
        c=row.c,
        e=row.e,
        s=row.s,
    )
