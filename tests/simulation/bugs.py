"""Bugs planted on purpose: each is a wrong part, handed in where the right one belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gevent
import msgspec

from app.cashier.deposit import Deposits
from app.cashier.errors import DepositPendingError
from app.cashier.keys import Keys, Spender
from app.gateways.errors import MintRefusedError
from app.gateways.mint.wallet import Code
from domain.event import Entry
from domain.foreign_ledger import expect
from domain.hold import Charge, Charged, Release, Released
from domain.ledger import Ledger
from tests.simulation.house import Parts
from tests.simulation.store import SimLocks, SimStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from domain.batch import Answer
    from domain.command import Command, Needs
    from domain.deposit import Received, Replanned
    from domain.guards import GuardRows
    from domain.hold import Metered, Terms
    from domain.key import Changes
    from domain.msat import Msat


class HastyDeposits(Deposits):
    """Takes a mint that has not answered for one that has refused."""

    def _step(self, entry: Entry, event: Received | Replanned) -> Entry:
        try:
            return super()._step(entry, event)
        except DepositPendingError:
            refusal = MintRefusedError(Code.ALREADY_SPENT, "timed out")
            return self._refused(entry, refusal, ())


class EagerStore(SimStore):
    """Answers as soon as it has decided, and writes it down a moment later."""

    def commit(self, commands: Sequence[Command]) -> list[Answer]:
        self._stage.cross(self._process, "decides")
        with self._exclusive() as db:
            answers, unread = self._try(db, commands, {})
            db.execute("ROLLBACK")
        if unread:
            return self.record(commands)
        gevent.spawn(self._write, commands)
        return answers

    def _write(self, commands: Sequence[Command]) -> None:
        self._stage.sleep(self._process, 0.01, "writes at last")
        self.record(commands)


@dataclass(frozen=True, slots=True)
class ReleaseAgain(Release):
    """Ends a hold that has ended, without looking."""

    held_msat: int = 0

    def need(self, needs: Needs) -> None:
        needs.accounts.add(self.account_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        del rows
        released = Released(
            at=at, account_id=self.account_id, held_msat=self.held_msat, reason=self.reason
        )
        return Entry(self.stream, 3, released)


class TwiceEndingLedger(Ledger):
    """Gives back what it has just charged."""

    def charge(
        self,
        hold_id: UUID,
        account_id: UUID,
        cost: Msat,
        terms: Terms,
        usage: Metered,
        key_id: UUID | None = None,
    ) -> Charged:
        charged = super().charge(hold_id, account_id, cost, terms, usage, key_id)
        self._record(ReleaseAgain(hold_id, account_id, "again", key_id, charged.held_msat))
        return charged


@dataclass(frozen=True, slots=True)
class ChargeMore(Charge):
    """Takes for its own hold what is held for another request."""

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        stream, version, event = Charge.decide(self, rows, at)
        charged = expect(Entry(stream, version, event), Charged)
        others_msat = rows.accounts.rows[self.account_id].held_msat - charged.held_msat
        held_msat = charged.held_msat + others_msat
        return Entry(stream, version, msgspec.structs.replace(charged, held_msat=held_msat))


class GreedyLedger(Ledger):
    """Ends all holds of an account with the first."""

    def charge(
        self,
        hold_id: UUID,
        account_id: UUID,
        cost: Msat,
        terms: Terms,
        usage: Metered,
        key_id: UUID | None = None,
    ) -> Charged:
        more = ChargeMore(hold_id, account_id, cost.msat, terms, usage, key_id)
        return expect(self._record(more), Charged)


class ForgetfulStore(SimStore):
    """Moves the counters on in the log, and not in the guard rows."""

    def record(self, commands: Sequence[Command]) -> list[Answer]:
        with self.transaction() as query:
            before = query("SELECT next_counter, keyset_id FROM keyset_counter")
        answers = super().record(commands)
        with self.transaction() as query:
            for values in before:
                query("UPDATE keyset_counter SET next_counter = ? WHERE keyset_id = ?", values)
        return answers


class ForgetfulKeys(Keys):
    """Forgets what it was asked under which name."""

    def make(
        self,
        spender: Spender,
        key_of: Callable[[UUID], UUID],
        salts: Iterable[UUID],
        changes: Changes,
        name: str,
    ) -> int:
        self._forgotten = getattr(self, "_forgotten", 0) + 1
        return super().make(spender, key_of, salts, changes, f"{name} {self._forgotten}")


class RashLocks(SimLocks):
    """Believes everybody else to be dead."""

    def is_free(self, name: str) -> bool:
        return self._holders.get(name) is not self._process


BUGS = {
    "timeout-is-failure": Parts(deposits=HastyDeposits),
    "credit-before-commit": Parts(store=EagerStore),
    "double-end": Parts(ledger=TwiceEndingLedger),
    "anothers-hold": Parts(ledger=GreedyLedger),
    "forgotten-counter": Parts(store=ForgetfulStore),
    "child-paid-again": Parts(keys=ForgetfulKeys),
    "living-taken-for-dead": Parts(locks=RashLocks),
}
