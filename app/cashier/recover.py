"""Finishing what was interrupted: by a crash, a lost answer or a mint that was away."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from app.cashier.errors import CashierError
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import SealError, TokenError
from domain.errors import HoldEndedError, LedgerError
from domain.guards import DEPOSIT, FOREIGN, ISSUED, REFUND, SWEEP, HoldRow, MovementRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from app.cashier.deposit import Deposits
    from app.cashier.refund import Refunds
    from app.store.locks import Locks
    from domain.event import Entry
    from domain.ledger import Ledger

logger = logging.getLogger(__name__)

ASK_AGAIN_AFTER = timedelta(seconds=10)
"""A movement younger than this is most likely being finished by whoever began it."""


class Books(Protocol):
    """What recovery reads of the store."""

    def hold_owners(self) -> list[str]: ...

    def open_holds(self, owner: str) -> list[tuple[UUID, HoldRow]]: ...

    def open_movements(self) -> list[tuple[UUID, MovementRow]]: ...

    def history(self, stream: UUID) -> list[Entry]: ...


class Recovery:
    """Walks over everything unfinished. Doing it twice, or by two at once, changes nothing."""

    def __init__(
        self,
        ledger: Ledger,
        books: Books,
        locks: Locks,
        deposits: Deposits,
        refunds: Refunds,
        clock: Callable[[], float] = time.monotonic,
        others: Mapping[str, Callable[[Entry], object]] | None = None,
    ) -> None:
        """`others` go on with movements of other kinds, by kind."""
        self._ledger = ledger
        self._books = books
        self._locks = locks
        self._refunds = refunds
        self._finishers: dict[str, Callable[[Entry], object]] = {
            DEPOSIT: deposits.resume,
            FOREIGN: deposits.resume,
            REFUND: refunds.resume,
            SWEEP: refunds.sweep,
            **(others or {}),
        }
        self._clock = clock
        self._missing_since_s: dict[str, float] = {}

    def release_orphans(self) -> int:
        """Release the holds of processes that are dead; return how many.

        A process is known by the lock it holds, not by the age of its holds: a stream that
        is still being read is never released, however long it runs.
        """
        released = 0
        owners = self._books.hold_owners()
        for owner in owners:
            if self._is_dead(owner):
                for hold_id, row in self._books.open_holds(owner):
                    released += self._release(hold_id, row)
        self._missing_since_s = {
            owner: since_s
            for owner, since_s in self._missing_since_s.items()
            if owner in owners
        }
        return released

    def finish_movements(self, older_than: timedelta = ASK_AGAIN_AFTER) -> int:
        """Go on with what has no end yet; return how many ended."""
        return sum(
            self._finish(stream, row)
            for stream, row in self._unfinished(older_than, tuple(self._finishers))
        )

    def sweep_tokens(self, older_than: timedelta) -> int:
        """Take back tokens that nobody has collected for so long; return how many."""
        return sum(self._swept(stream) for stream, _ in self._unfinished(older_than, (ISSUED,)))

    def watch_tokens(self, older_than: timedelta = ASK_AGAIN_AFTER) -> int:
        """Ask the mints which issued tokens were collected; return how many were."""
        return sum(
            self._collect(stream) for stream, _ in self._unfinished(older_than, (ISSUED,))
        )

    def _is_dead(self, owner: str) -> bool:
        if not self._locks.is_free(owner):
            self._missing_since_s.pop(owner, None)
            return False
        now_s = self._clock()
        since_s = self._missing_since_s.setdefault(owner, now_s)
        return now_s - since_s >= self._locks.grace_s

    def _release(self, hold_id: UUID, row: HoldRow) -> bool:
        try:
            self._ledger.release(hold_id, row.account_id, "the serving process died")
        except HoldEndedError:
            return False
        return True

    def _unfinished(
        self, older_than: timedelta, kinds: tuple[str, ...]
    ) -> list[tuple[UUID, MovementRow]]:
        before = datetime.now(UTC) - older_than
        return [
            (stream, row)
            for stream, row in self._books.open_movements()
            if row.kind in kinds and row.at <= before
        ]

    def _finish(self, stream: UUID, row: MovementRow) -> bool:
        newest = self._books.history(stream)[-1]
        try:
            self._finishers[row.kind](newest)
        except (CashierError, GatewayError, LedgerError, SealError, TokenError) as error:
            # Not known yet, or refused for good, or sealed by another seed: one movement that
            # cannot go on must not stand in the way of the others.
            logger.info("%s %s: %s", row.kind, stream, type(error).__name__)
            return False
        return True

    def _swept(self, stream: UUID) -> bool:
        try:
            return self._refunds.sweep(self._books.history(stream)[-1])
        except (CashierError, GatewayError, LedgerError, TokenError) as error:
            logger.info("token %s: %s", stream, type(error).__name__)
            return False

    def _collect(self, stream: UUID) -> bool:
        try:
            return self._refunds.collected(self._books.history(stream)[-1])
        except (GatewayError, LedgerError, TokenError) as error:
            logger.info("token %s: %s", stream, type(error).__name__)
            return False
