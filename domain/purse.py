"""Our ecash at one mint in one unit: which proofs there are, and what to spend of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.guards import FREE, RESERVED, GuardRows, ProofKey
from domain.msat import MSAT_PER_UNIT

INPUTS_MAX = 100
"""Proofs spent in one swap; what needs more is refunded in several tokens."""

PPK = 1000
"""Input fees are counted in parts per thousand of the unit (NUT-02)."""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """A proof of ours that a swap spends."""

    keyset_id: str
    counter: int
    amount: int

    @property
    def key(self) -> ProofKey:
        return ProofKey(self.keyset_id, self.counter)


class Purse(NamedTuple):
    """Where proofs are to be spent: fees by keyset in parts per thousand (NUT-02)."""

    mint: str
    unit: str
    keyset_id: str
    fee_ppk: Mapping[str, int]

    @property
    def msat_per_unit(self) -> int:
        return MSAT_PER_UNIT[self.unit]

    def fee(self, inputs: Sequence[Spent]) -> int:
        """Return what the mint keeps for swapping `inputs`, in the purse's unit."""
        ppk = sum(self.fee_ppk.get(spent.keyset_id, 0) for spent in inputs)
        return -(-ppk // PPK)


def split(amount: int) -> tuple[int, ...]:
    """Return the powers of two that add up to `amount`, smallest first (NUT-00).

    >>> split(13)
    (1, 4, 8)
    """
    return tuple(1 << bit for bit in range(amount.bit_length()) if amount >> bit & 1)


def choose(free: Sequence[Spent], wanted: int) -> list[Spent]:
    """Return few proofs worth at least `wanted`, or the largest there are.

    The smallest single proof that covers it, else the largest ones first, then the
    smallest that covers what is left: little is spent and little change is made.
    """
    chosen: list[Spent] = []
    left = sorted(free, key=lambda spent: (spent.amount, spent.key), reverse=True)
    while wanted > 0 and left and len(chosen) < INPUTS_MAX:
        covering = [spent for spent in left if spent.amount >= wanted]
        best = covering[-1] if covering else left[0]
        left.remove(best)
        chosen.append(best)
        wanted -= best.amount
    return chosen


def set_aside(rows: GuardRows, inputs: Sequence[Spent], stream: UUID) -> None:
    """Let `inputs` be spent by nobody but the movement `stream`."""
    for spent in inputs:
        row = rows.proofs.get(spent.key)
        if row is not None:
            rows.proofs.put(spent.key, row._replace(state=RESERVED, movement=stream))


def free_proofs(rows: GuardRows, purse: Purse) -> list[Spent]:
    """Return what can be spent at a purse, of the rows that were loaded."""
    return [
        Spent(keyset_id=key.keyset_id, counter=key.counter, amount=row.amount)
        for key, row in rows.proofs.rows.items()
        if row.state == FREE and row.mint == purse.mint and row.unit == purse.unit
    ]
