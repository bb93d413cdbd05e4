"""The owner's earnings, sent to a Lightning address by the clock: never what is owed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from app.cashier.errors import CashierError
from app.cashier.payout import Status
from app.gateways.errors import GatewayError
from domain.errors import LedgerError, OwnerMayNotDrawError, UnexplainedError
from domain.guards import PAYOUT, MovementRow
from domain.identity import OWNER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from app.cashier.payout import Payouts

logger = logging.getLogger(__name__)

REASONS: dict[type[Exception], str] = {
    UnexplainedError: "unexplained",
    OwnerMayNotDrawError: "insolvent",
    CashierError: "lightning",
    LedgerError: "purse",
    GatewayError: "gateway",
}
"""Why there was no payout, in one word each; the first that fits."""


class Books(Protocol):
    """What is read of the store."""

    def movements_of(self, account_id: UUID, kind: str) -> list[tuple[UUID, MovementRow]]: ...


class Earnings:
    """Pays out what is owed to nobody, mint by mint, from `least_msat` to `most_msat` each.

    While a payout of the owner's is open at a mint there is no other there. `count` is told
    what became of each: its status, or the reason why there was none.
    """

    def __init__(
        self,
        payouts: Payouts,
        mints: Iterable[str],
        books: Books,
        count: Callable[[str], None],
        *,
        address: str,
        least_msat: int,
        most_msat: int,
    ) -> None:
        self._payouts = payouts
        self._mints = tuple(mints)
        self._books = books
        self._count = count
        self._address = address
        self._least_msat = least_msat
        self._most_msat = most_msat

    def pay_out(self) -> int:
        """Pay out what there is at each mint; return how many payments were begun.

        What cannot be paid out now is logged with its reason, and tried the next time.
        """
        begun = {row.mint for _, row in self._books.movements_of(OWNER, PAYOUT)}
        return sum(self._paid_out(mint) for mint in self._mints if mint not in begun)

    def _paid_out(self, mint: str) -> bool:
        surplus_msat = self._payouts.surplus_msat(mint)
        if surplus_msat < self._least_msat:
            return False
        fields: dict[str, object] = {"mint": mint, "surplus_msat": surplus_msat}
        try:
            payout = self._payouts.draw(uuid4(), mint, self._address, self._most_msat)
        except (CashierError, GatewayError, LedgerError) as error:
            reason = next(word for kind, word in REASONS.items() if isinstance(error, kind))
            self._count(reason)
            told = {**fields, "reason": reason, "error": str(error)}
            logger.warning("no payout to the owner", extra={"fields": told})
            return False
        self._count(payout.status)
        told = {**fields, "payout_id": str(payout.payout_id), "status": payout.status}
        level = logging.WARNING if payout.status is Status.FAILED else logging.INFO
        logger.log(level, "payout to the owner", extra={"fields": told})
        return True
