"""What an auditor of movements asks again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import LedgerBrokenError
from domain.guards import FREE
from domain.identity import OWNER
from domain.msat import MSAT_PER_UNIT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.deposit import Signed
    from domain.guards import GuardRows
    from domain.purse import Spent


def demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001  (reads as a sentence)
    """Raise `LedgerBrokenError` unless it `holds`."""
    if not holds:
        raise LedgerBrokenError(otherwise)


def unit_msat(unit: str) -> int:
    """Return what one of `unit` is worth; raises `LedgerBrokenError` for one we do not keep."""
    demand(unit in MSAT_PER_UNIT, f"is counted in {unit}")
    return MSAT_PER_UNIT[unit]


def total(proofs: Sequence[Spent | Signed]) -> int:
    return sum(proof.amount for proof in proofs)


def demand_inputs(
    rows: GuardRows, mint: str, unit: str, inputs: Sequence[Spent], state: str = FREE
) -> None:
    """Demand that each of `inputs` is there, at its amount, and in `state`."""
    for spent in inputs:
        row = rows.proofs.get(spent.key)
        if row is None or (row.mint, row.unit) != (mint, unit):
            raise LedgerBrokenError("spends a proof that is not there")
        demand(row.state == state, f"spends a proof that is {row.state}")
        demand(row.amount == spent.amount, "spends a proof at another amount")


def demand_surplus(rows: GuardRows, account_id: UUID, taken_msat: int) -> None:
    """Demand that what the owner takes is owed to nobody."""
    if account_id == OWNER:
        owed_msat, free_msat = rows.totals()
        rest_msat = sum(free_msat.values()) - sum(owed_msat.values())
        demand(taken_msat <= rest_msat, f"draws {taken_msat} msat where {rest_msat} are left")
