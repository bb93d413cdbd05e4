"""What an auditor asks of API keys: who bound them, and whether they kept to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.allowance import refusal
from domain.erasure import AccountErased
from domain.hold import counting
from domain.key import KeyMade, KeyReset, KeySet
from projections.check import demand

if TYPE_CHECKING:
    from uuid import UUID

    from domain.guards import GuardRows
    from domain.hold import Held

KeyEvent = KeyMade | KeySet | KeyReset | AccountErased


def check_key_hold(rows: GuardRows, event: Held, key_id: UUID) -> None:
    """Demand that the rules of `key_id`, and of its parent, allowed what was held.

    Raises `LedgerBrokenError`, or the `KeyRefusedError` by which it should have been refused.
    """
    for counted in counting(event.account_id, key_id):
        row = rows.key(counted)
        demand(row.parent_id in {None, event.account_id}, "spends another account's money")
        refused = refusal(row, event.amount_msat, event.terms.model, event.at)
        if refused is not None:
            raise refused


def check_rules(rows: GuardRows, stream: UUID, version: int, event: KeyEvent) -> None:
    """Demand that a key was made once, of an account, and changed by that account only."""
    row = rows.keys.get(stream)
    newest = row.version if row else 0
    demand(version == newest + 1, f"is version {version} after {newest}")
    if isinstance(event, KeyMade):
        parent = rows.keys.get(event.parent_id)
        demand(row is None, "makes a key that is there")
        demand(parent is None or parent.parent_id is None, "makes a child of a child")
    elif isinstance(event, AccountErased):
        demand(row is None or row.parent_id is None, "erases a child")
        demand(row is None or not row.erased, "erases what is erased")
    else:
        owner = row.parent_id if row and row.parent_id else stream
        demand(event.by == owner, "changes another account's key")
        has_address = isinstance(event, KeySet) and bool(event.rules.refund_to)
        is_erased = row is not None and bool(row.erased)
        demand(not (has_address and is_erased), "gives an erased account an address")
