"""API keys at the counter: what binds them, children made and reset."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import UUID, uuid5

import gevent
from msgspec import structs

from app.cashier.insist import insist
from app.store.errors import StoreError
from domain.allowance import Rules
from domain.errors import (
    AccountErasedError,
    ChildKeyError,
    HoldEndedError,
    RequestRepeatedError,
    UnknownHoldError,
)
from domain.hold import Charged, Metered, Terms
from domain.identity import hold_of_request
from domain.key import Changes
from domain.msat import Msat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from app.cashier.vault import Addresses
    from domain.allowance import KeyRow
    from domain.guards import AccountRow
    from domain.ledger import Ledger

CHILD_KEYS = Terms(model="child keys", route="", price_version="")
"""What a request for child keys is charged by: so much a key, as the operator has set it."""

ATTEMPTS_MAX = 10


class Spender(NamedTuple):
    """Who asks, and who pays: `key_id` is set for a key that is bound, or a child."""

    account_id: UUID
    key_id: UUID | None = None

    @property
    def id(self) -> UUID:
        """What the key itself is known by."""
        return self.key_id or self.account_id

    @property
    def is_child(self) -> bool:
        return self.id != self.account_id


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a client wants its key to be bound; `refund_to` is plain here and nowhere else."""

    changes: Changes = field(default_factory=Changes)
    refund_to: str | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return self.changes != Changes() or self.refund_to is not None


class Books(Protocol):
    """What is read of the store."""

    def account(self, account_id: UUID) -> AccountRow | None: ...

    def key(self, key_id: UUID) -> KeyRow | None: ...

    def children_of(self, account_id: UUID) -> list[tuple[UUID, KeyRow]]: ...


class Keys:
    """Binds keys and makes children of them. A child costs `child_cost`."""

    def __init__(
        self,
        ledger: Ledger,
        books: Books,
        addresses: Addresses,
        child_cost: Msat,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger = ledger
        self._books = books
        self._addresses = addresses
        self.child_cost = child_cost
        self._pause = pause

    def rules(self, key_id: UUID) -> Rules:
        """Return what binds a key just now."""
        row = self._books.key(key_id)
        return row.rules if row else Rules()

    def refund_address(self, account_id: UUID) -> str:
        """Return where an account's money goes at its end, "" if nowhere yet."""
        return self._addresses.open(account_id, self.rules(account_id).refund_to)

    def bind(self, spender: Spender, wanted: Wanted) -> None:
        """Let an account's own key be bound as it is `wanted`; what is so already is so.

        Raises `ChildKeyError`, `UnknownAccountError`, and `AccountErasedError` for an
        address that an erased account would get.
        """
        if not wanted:
            return
        if spender.is_child:
            raise ChildKeyError
        account_id, changes = spender.account_id, wanted.changes
        rules = self.rules(account_id)
        if wanted.refund_to not in {None, self._addresses.open(account_id, rules.refund_to)}:
            address = wanted.refund_to or ""
            sealed = self._addresses.seal(account_id, address) if address else ""
            if address and not sealed:
                raise AccountErasedError
            changes = structs.replace(changes, refund_to=sealed)
        if changes.of(rules) != rules:
            self._ledger.set_key(account_id, account_id, changes)

    def make(
        self,
        spender: Spender,
        key_of: Callable[[UUID], UUID],
        salts: Iterable[UUID],
        changes: Changes,
        name: str,
    ) -> int:
        """Make a child for each of `salts`; return what that has cost, in msat.

        `key_of` yields what the key of a salt is known by. What is asked for again under
        the same `name` is there already, and is not paid again. Raises `ChildKeyError`,
        `InsufficientFundsError` and what `Ledger.make_key` raises.
        """
        if spender.is_child:
            raise ChildKeyError
        children = {salt: key_of(salt) for salt in salts}
        cost = Msat(self.child_cost.msat * len(children))
        rules = changes.of(Rules())
        hold_id = self._held(spender, cost, name) if cost else None
        try:
            for salt, key_id in children.items():
                self._ledger.make_key(key_id, spender.account_id, salt, rules)
        except BaseException:
            if hold_id is not None:
                self._give_back(hold_id, spender, "no key was made")
            raise
        if hold_id is not None:
            self._charge(hold_id, spender, cost)
        return cost.msat

    def _charge(self, hold_id: UUID, spender: Spender, cost: Msat) -> None:
        """Charge for keys that are there, as soon as the store takes it."""
        account_id, key_id = spender
        insist(
            lambda: self._ledger.charge(
                hold_id, account_id, cost, CHILD_KEYS, Metered(), key_id
            ),
            self._pause,
        )

    def _give_back(self, hold_id: UUID, spender: Spender, reason: str) -> None:
        """Release a hold as soon as the store takes it.

        While this process lives, nobody else would.
        """
        account_id, key_id = spender
        with suppress(HoldEndedError, UnknownHoldError):
            insist(
                lambda: self._ledger.release(hold_id, account_id, reason, key_id), self._pause
            )

    def _held(self, spender: Spender, cost: Msat, name: str) -> UUID | None:
        """Set the cost aside; `None` if it was paid before under this name."""
        attempt = 0
        while True:
            hold_id = hold_of_request(uuid5(spender.id, "child keys"), name, attempt)
            try:
                self._ledger.hold(
                    hold_id,
                    spender.account_id,
                    cost,
                    CHILD_KEYS,
                    named=True,
                    key_id=spender.key_id,
                )
            except StoreError:
                # It may have been recorded all the same; the client is told at once.
                gevent.spawn(self._give_back, hold_id, spender, "the store did not answer")
                raise
            except RequestRepeatedError as error:
                if isinstance(error.end, Charged):
                    return None
                attempt += 1
                if attempt == ATTEMPTS_MAX:
                    raise
            else:
                return hold_id

    def reset(self, spender: Spender, child_id: UUID) -> None:
        """Begin a child's window anew; raises `KeyRefusedError`."""
        if spender.is_child:
            raise ChildKeyError
        self._ledger.reset_key(child_id, spender.account_id)

    def children(self, account_id: UUID) -> list[tuple[UUID, KeyRow]]:
        """Return the children of an account, in the order in which they were asked for."""
        return self._books.children_of(account_id)

    def available_msat(self, account_id: UUID) -> int:
        account = self._books.account(account_id)
        return account.available_msat if account else 0

    def row(self, key_id: UUID) -> KeyRow | None:
        return self._books.key(key_id)
