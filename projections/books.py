"""The balances of the whole chart of accounts, as sums of arrows."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from domain.guards import OUT
from domain.msat import MSAT_PER_UNIT
from domain.posting import TOKENS_OUTSTANDING, available, held, mint, postings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.event import Event
    from domain.guards import GuardRows


class Books:
    """Balances in msat by account; assets and losses are zero or negative."""

    def __init__(self) -> None:
        self.balances_msat: dict[str, int] = defaultdict(int)

    def post(self, event: Event) -> None:
        balances = self.balances_msat
        for source, destination, amount_msat in postings(event):
            balances[source] -= amount_msat
            balances[destination] += amount_msat

    @property
    def total_msat(self) -> int:
        """Return the sum over all accounts, which is zero."""
        return sum(self.balances_msat.values())

    def owed_msat(self) -> int:
        """Return what belongs to clients: available, held, on its way, in tokens."""
        owners = ("client:", "refunds:", "tokens:")
        return sum(
            balance
            for account, balance in self.balances_msat.items()
            if account.startswith(owners)
        )

    def at_mints_msat(self) -> int:
        """Return the worth of all ecash we hold, tokens not yet collected included."""
        return -sum(
            balance
            for account, balance in self.balances_msat.items()
            if account.startswith("mint:")
        )

    def differences(self, rows: GuardRows) -> Iterator[str]:
        """Yield a line for each balance that the guard rows tell otherwise."""
        if self.total_msat:
            yield f"the sum over all accounts is {self.total_msat} msat, not 0"
        told = _told_by(rows)
        for account in sorted(told.keys() | self.balances_msat.keys()):
            if not account.startswith(("client:", "mint:", "tokens:")):
                continue
            booked = self.balances_msat.get(account, 0)
            if booked != told.get(account, 0):
                yield f"{account}: booked {booked} msat, the rows tell {told.get(account, 0)}"


def _told_by(rows: GuardRows) -> dict[str, int]:
    told: dict[str, int] = defaultdict(int)
    for account_id, account in rows.accounts.rows.items():
        told[available(account_id)] = account.available_msat
        told[held(account_id)] = account.held_msat
    for proof in rows.proofs.rows.values():
        proof_msat = proof.amount * MSAT_PER_UNIT[proof.unit]
        told[mint(proof.mint)] -= proof_msat
        if proof.state == OUT:
            told[TOKENS_OUTSTANDING] += proof_msat
    return told
