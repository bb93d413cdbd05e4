"""What is left on keys that have expired goes back to whom it belongs, without being asked."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from app.cashier.errors import CashierError, MintDownError, RefundPendingError
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import SealError, TokenError
from domain.errors import LedgerError
from domain.msat import MSAT_PER_SAT, MSAT_PER_UNIT

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from domain.allowance import KeyRow
    from domain.guards import AccountRow

logger = logging.getLogger(__name__)

PAGE = 100
ROUND_MAX = 1_000
"""Accounts that are looked at in one round; the next one goes on behind them."""


class Books(Protocol):
    """What is read of the store."""

    def expired(
        self, at: datetime, after: tuple[datetime, UUID] | None, limit: int
    ) -> list[tuple[UUID, KeyRow]]: ...

    def account(self, account_id: UUID) -> AccountRow | None: ...


class Refunds(Protocol):
    """Makes a token of all that is available to an account; its owner can fetch it."""

    def refund(self, account_id: UUID) -> object: ...


class Payouts(Protocol):
    """Pays all that is available to an account to an address, once a `payout_id`."""

    def refund_to(self, payout_id: UUID, account_id: UUID, address: str) -> object: ...


class Expiry:
    """Refunds what is available to expired accounts: to their address, else as tokens.

    Done twice, or by two at once, it refunds once: what is being refunded is no longer
    available. What was begun and not finished is finished by whoever recovers movements.
    """

    def __init__(
        self,
        books: Books,
        refunds: Refunds,
        payouts: Payouts,
        address_of: Callable[[UUID], str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._books = books
        self._refunds = refunds
        self._payouts = payouts
        self._address_of = address_of
        self._now = now
        self._new_id = new_id
        self._after: tuple[datetime, UUID] | None = None

    def refund_expired(self) -> int:
        """Refund one round of expired accounts; return how many were."""
        refunded, away, looked_at = 0, set[str](), 0
        while looked_at < ROUND_MAX:
            page = self._books.expired(self._now(), self._after, PAGE)
            refunded += sum(self._refund(account_id, away) for account_id, _ in page)
            looked_at += len(page)
            if len(page) < PAGE:
                self._after = None
                break
            account_id, row = page[-1]
            if row.rules.expires_at is not None:
                self._after = row.rules.expires_at, account_id
        return refunded

    def _refund(self, account_id: UUID, away: set[str]) -> bool:
        account = self._books.account(account_id)
        # Less than the smallest coin of its mint stays what it is: owed, and named.
        if account is None or account.mint in away or is_dust(account):
            return False
        try:
            address = self._address_of(account_id)
            if address:
                self._payouts.refund_to(self._new_id(), account_id, address)
            else:
                self._refunds.refund(account_id)
        except (CashierError, GatewayError, LedgerError, SealError, TokenError) as error:
            # One account that cannot be refunded must not stand in the way of the others, nor
            # a mint that does not answer be asked for each of them.
            logger.info("expired %s: %s", account_id, type(error).__name__)
            if isinstance(error, MintDownError | RefundPendingError):
                away.add(account.mint)
            return False
        return True


def is_dust(account: AccountRow) -> bool:
    return account.available_msat < MSAT_PER_UNIT.get(account.unit, MSAT_PER_SAT)
