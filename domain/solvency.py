"""What the owner may take: nothing owed to clients, nothing while books are unclear."""

from __future__ import annotations

from uuid import UUID

from domain.errors import OwnerMayNotDrawError, UnexplainedError, UnknownAccountError
from domain.guards import AccountRow, GuardRows
from domain.identity import OWNER


def surplus_msat(rows: GuardRows, mint: str) -> int:
    """Return what is free at `mint` beyond what is owed; below 0 when it is too little.

    An account is owed at the mint its newest deposit came from, so that everybody can be
    paid out there; and all accounts together are owed all there is, wherever it came from.
    """
    owed_msat, free_msat = rows.totals()
    here_msat = free_msat.get(mint, 0) - owed_msat.get(mint, 0)
    everywhere_msat = sum(free_msat.values()) - sum(owed_msat.values())
    return min(here_msat, everywhere_msat)


def payer(rows: GuardRows, account_id: UUID, mint: str) -> AccountRow:
    """Return what may be taken out: by a client what is available, by the owner the surplus.

    Raises `UnknownAccountError`, `UnexplainedError`.
    """
    if account_id != OWNER:
        account = rows.accounts.get(account_id)
        if account is None:
            raise UnknownAccountError(account_id)
        return account
    for url, row in rows.reconciled.rows.items():
        if row.unexplained_msat:
            raise UnexplainedError(url, unexplained_msat=row.unexplained_msat)
    return AccountRow(max(surplus_msat(rows, mint), 0), 0, mint, "")


def demand_surplus(rows: GuardRows, account_id: UUID, mint: str, wanted_msat: int) -> None:
    """Raise `OwnerMayNotDrawError` if it is the owner who wants more than the surplus."""
    if account_id == OWNER and (rest_msat := surplus_msat(rows, mint)) < wanted_msat:
        raise OwnerMayNotDrawError(mint, surplus_msat=rest_msat, wanted_msat=wanted_msat)
