"""Finishing what was interrupted: by a crash, a lost answer or a mint that was away."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from app.cashier.errors import CashierError
from app.cashier.patience import Patience
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import SealError, TokenError
from domain.errors import HoldEndedError, LedgerError
from domain.guards import DEPOSIT, FOREIGN, ISSUED, REFUND, SWEEP, HoldRow, MovementRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.cashier.deposit import Deposits
    from app.cashier.refund import Refunds
    from app.store.locks import Locks
    from domain.event import Entry
    from domain.ledger import Ledger

logger = logging.getLogger(__name__)

ASK_AGAIN_AFTER = timedelta(seconds=10)
"""A movement younger than this is most likely being finished by whoever began it."""

STUCK_AFTER = timedelta(hours=1)
WATCH_AT_LEAST_EVERY_S = 600.0
DAY_S = 86_400.0
MINTS_AT_ONCE = 8
SLOW_S = 5.0
"""A mint that takes longer for one movement is not asked about the others for now."""

Open = tuple[UUID, MovementRow]
"""A movement without an end."""


class Books(Protocol):
    """What recovery reads of the store; `now` is the time of its events."""

    def now(self) -> datetime: ...

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
        stuck_after: timedelta = STUCK_AFTER,
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
        self._stuck_after = stuck_after
        self._missing_since_s: dict[str, float] = {}
        self._finishing = Patience(clock)
        self._watching = Patience(clock, longest_s=WATCH_AT_LEAST_EVERY_S)
        self._sweeping = Patience(clock, longest_s=DAY_S)

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
        """Go on with what has no end yet; return how many ended.

        What does not come to an end is asked about less and less often. The mints are asked
        beside each other, and one that is slow to answer is left alone until the next time:
        neither stands in the way of the others.
        """
        due = self._due(self._finishing, older_than, tuple(self._finishers))
        return self._by_mint(due, self._finish)

    def sweep_tokens(self, older_than: timedelta) -> int:
        """Take back tokens that nobody has collected for so long; return how many."""
        return self._by_mint(self._due(self._sweeping, older_than, (ISSUED,)), self._swept)

    def watch_tokens(self, older_than: timedelta = ASK_AGAIN_AFTER) -> int:
        """Ask the mints which issued tokens were collected; return how many were."""
        return self._by_mint(self._due(self._watching, older_than, (ISSUED,)), self._collect)

    def _due(
        self, patience: Patience, older_than: timedelta, kinds: tuple[str, ...]
    ) -> list[Open]:
        """Return the movements to ask about now, oldest first."""
        before = self._books.now() - older_than
        found = [each for each in self._books.open_movements() if each[1].kind in kinds]
        patience.forget_all_but([stream for stream, _ in found])
        return [
            (stream, row)
            for stream, row in found
            if row.at <= before and patience.is_due(stream, row.version)
        ]

    def _by_mint(self, due: Sequence[Open], ask: Callable[[UUID, MovementRow], bool]) -> int:
        """Ask about each, the mints beside each other; return how many came to an end."""
        groups: dict[str, list[Open]] = {}
        for each in due:
            groups.setdefault(each[1].mint, []).append(each)
        if not groups:
            return 0
        with ThreadPoolExecutor(min(len(groups), MINTS_AT_ONCE)) as pool:
            return sum(pool.map(partial(self._ask_in_turn, ask), groups.values()))

    def _ask_in_turn(
        self, ask: Callable[[UUID, MovementRow], bool], movements: Sequence[Open]
    ) -> int:
        """Ask one mint about one movement after the other, until it takes too long."""
        ended = 0
        for stream, row in movements:
            begun_s = self._clock()
            ended += ask(stream, row)
            if self._clock() - begun_s > SLOW_S:
                break
        return ended

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

    def _finish(self, stream: UUID, row: MovementRow) -> bool:
        ask = self._finishers[row.kind]
        is_over = self._asked(self._finishing, stream, row, lambda entry: ask(entry) or True)
        age = self._books.now() - row.at
        if not is_over and age > self._stuck_after:
            fields = {"movement": str(stream), "kind": row.kind, "mint": row.mint}
            told = {**fields, "pending_s": int(age.total_seconds())}
            logger.warning("stuck at mint", extra={"fields": told})
        return is_over

    def _swept(self, stream: UUID, row: MovementRow) -> bool:
        return self._asked(self._sweeping, stream, row, self._refunds.sweep)

    def _collect(self, stream: UUID, row: MovementRow) -> bool:
        return self._asked(self._watching, stream, row, self._refunds.collected)

    def _asked(
        self,
        patience: Patience,
        stream: UUID,
        row: MovementRow,
        ask: Callable[[Entry], object],
    ) -> bool:
        """Ask about one movement; tell whether it has come to an end, or else be patient."""
        is_over = False
        try:
            is_over = bool(ask(self._books.history(stream)[-1]))
        except (CashierError, GatewayError, LedgerError, SealError, TokenError) as error:
            # Not known yet, or refused for good, or sealed by another seed: one movement that
            # cannot go on must not stand in the way of the others.
            logger.info("%s %s: %s", row.kind, stream, type(error).__name__)
        if not is_over:
            patience.failed(stream, row.version)
        return is_over
