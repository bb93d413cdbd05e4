"""Money set aside for a request, and the one end each such hold has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from domain import allowance
from domain.command import AskTheLogError, Needs
from domain.errors import (
    HoldEndedError,
    InsufficientFundsError,
    LedgerBrokenError,
    LedgerError,
    OtherKeyError,
    RequestChangedError,
    RequestInProgressError,
    RequestRepeatedError,
    UnknownAccountError,
    UnknownHoldError,
)
from domain.event import Entry, Event
from domain.guards import AccountRow, GuardRows, HoldRow


class Metered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What an upstream says, or we estimate, that a request used; see `Usage`."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    web_searches: int = 0
    estimated: bool = False
    seconds: int = 0
    characters: int = 0
    audio_tokens: int = 0
    spoken_tokens: int = 0
    long_cache_tokens: int = 0
    image_size: str = ""
    upstream_usd: str = ""
    markup: str = ""


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was agreed when a request was admitted, and what it is charged by."""

    model: str
    route: str
    price_version: str
    btc_usd: str = ""


class Held(Event, frozen=True, kw_only=True):
    """`amount_msat` was set aside for a request; the process `owner` serves it.

    `request_hash` is of what a request that its client named asks for: enough to tell that
    a retry asks for the same, and nothing that shows it. `key_id` is the key that asked, if
    it is bound by rules or a child: whoever asked, the account pays.
    """

    TOPIC: ClassVar[str] = "hold.held"
    account_id: UUID
    amount_msat: int
    owner: str
    terms: Terms
    request_hash: str = ""
    key_id: UUID | None = None

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.add(self.account_id, -self.amount_msat, self.amount_msat)
        row = HoldRow(self.account_id, self.amount_msat, self.owner, self.at, self.key_id)
        rows.holds.put(stream, row)
        for key_id in counting(self.account_id, self.key_id):
            rows.keys.put(key_id, allowance.held(rows.key(key_id), self.amount_msat))


class Charged(Event, frozen=True, kw_only=True):
    """A request was served and cost `cost_msat`.

    The cost is `from_hold_msat` of the `held_msat`, then `from_available_msat` of what was
    free, and what neither covers is `shortfall_msat`, the house's loss. What the hold did
    not need went back to the account.
    """

    TOPIC: ClassVar[str] = "hold.charged"
    account_id: UUID
    held_msat: int
    cost_msat: int
    from_hold_msat: int
    from_available_msat: int = 0
    shortfall_msat: int = 0
    terms: Terms
    usage: Metered
    key_id: UUID | None = None

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        paid_msat = self.from_hold_msat + self.from_available_msat
        rows.add(self.account_id, self.held_msat - paid_msat, -self.held_msat)
        rows.holds.drop(stream)
        for key_id in counting(self.account_id, self.key_id):
            row = allowance.charged(rows.key(key_id), self.held_msat, paid_msat, self.at)
            rows.keys.put(key_id, row)


class Released(Event, frozen=True, kw_only=True):
    """A request was not served; all of `held_msat` went back to the account."""

    TOPIC: ClassVar[str] = "hold.released"
    account_id: UUID
    held_msat: int
    reason: str
    key_id: UUID | None = None

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.add(self.account_id, self.held_msat, -self.held_msat)
        rows.holds.drop(stream)
        for key_id in counting(self.account_id, self.key_id):
            rows.keys.put(key_id, allowance.held(rows.key(key_id), -self.held_msat))


def counting(account_id: UUID, key_id: UUID | None) -> tuple[UUID, ...]:
    """Return whose rows count what `key_id` spends: its own and, of a child, its parent's."""
    if key_id is None:
        return ()
    return (key_id,) if key_id == account_id else (key_id, account_id)


@dataclass(frozen=True, slots=True)
class Hold:
    """Set `amount_msat` aside.

    Raises `UnknownAccountError`, `InsufficientFundsError`, what a key's rules refuse; for a
    request id that was seen before `RequestInProgressError`, `RequestRepeatedError` or, with
    another `request_hash`, `RequestChangedError`. A request that is `named` by its client
    may have been seen before, and may have spent what is missing now. `key_id` is the key
    that asks; `OtherKeyError` says that the account's own must be named.
    """

    stream: UUID
    account_id: UUID
    amount_msat: int
    owner: str
    terms: Terms
    named: bool = False
    request_hash: str = ""
    key_id: UUID | None = None

    def need(self, needs: Needs) -> None:
        needs.accounts.add(self.account_id)
        needs.keys.update(counting(self.account_id, self.key_id))

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        if rows.holds.get(self.stream):
            raise AskTheLogError(RequestInProgressError(self.stream))
        account = rows.accounts.get(self.account_id)
        if account is None:
            raise UnknownAccountError(self.account_id)
        if account.keyed and self.key_id is None:
            raise OtherKeyError(self.account_id)
        refusal = self._refusal(rows, account, at)
        if refusal is not None:
            raise AskTheLogError(refusal) if self.named else refusal
        held = Held(
            at=at,
            account_id=self.account_id,
            amount_msat=self.amount_msat,
            owner=self.owner,
            terms=self.terms,
            request_hash=self.request_hash,
            key_id=self.key_id,
        )
        return Entry(self.stream, 1, held)

    def _refusal(
        self, rows: GuardRows, account: AccountRow, at: datetime
    ) -> LedgerError | None:
        for key_id in counting(self.account_id, self.key_id):
            row = rows.key(key_id)
            if row.parent_id not in {None, self.account_id}:
                raise LedgerBrokenError(f"the key {key_id} spends another account's money")
            refusal = allowance.refusal(row, self.amount_msat, self.terms.model, at)
            if refusal is not None:
                return refusal
        if self.amount_msat <= account.available_msat:
            return None
        return InsufficientFundsError(
            required_msat=self.amount_msat,
            available_msat=account.available_msat,
            held_msat=account.held_msat,
        )

    def replay(self, history: Sequence[Entry]) -> Entry:
        first = history[0].event
        known = first.request_hash if isinstance(first, Held) else ""
        if known and self.request_hash and known != self.request_hash:
            raise RequestChangedError(self.stream)
        if len(history) == 1:
            raise RequestInProgressError(self.stream)
        raise RequestRepeatedError(self.stream, history[-1].event)


@dataclass(frozen=True, slots=True)
class Charge:
    """End a hold by charging `cost_msat`; a repetition returns the recorded charge.

    What a key's limit has no room for is not taken from what is free: the limit is the
    parent's, and that the hold was too small is the house's fault. Raises `UnknownHoldError`,
    or `HoldEndedError` when the hold was released; `OtherKeyError` names the hold's key.
    """

    stream: UUID
    account_id: UUID
    cost_msat: int
    terms: Terms
    usage: Metered
    key_id: UUID | None = None

    def need(self, needs: Needs) -> None:
        needs.accounts.add(self.account_id)
        needs.holds.add(self.stream)
        needs.keys.update(counting(self.account_id, self.key_id))

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        hold = rows.holds.get(self.stream)
        account = rows.accounts.get(self.account_id)
        if hold is None or account is None:
            raise AskTheLogError
        if hold.key_id != self.key_id:
            raise OtherKeyError(hold.key_id)
        from_hold_msat = min(self.cost_msat, hold.amount_msat)
        from_available_msat = min(self.cost_msat - from_hold_msat, account.available_msat)
        for key_id in counting(hold.account_id, hold.key_id):
            # With all of the hold spent, this is what may be spent beside it.
            room_msat = allowance.left_msat(rows.key(key_id), at)
            if room_msat is not None:
                from_available_msat = min(from_available_msat, room_msat)
        charged = Charged(
            at=at,
            account_id=hold.account_id,
            held_msat=hold.amount_msat,
            cost_msat=self.cost_msat,
            from_hold_msat=from_hold_msat,
            from_available_msat=from_available_msat,
            shortfall_msat=self.cost_msat - from_hold_msat - from_available_msat,
            terms=self.terms,
            usage=self.usage,
            key_id=hold.key_id,
        )
        return Entry(self.stream, 2, charged)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return _end(self.stream, history, Charged)


@dataclass(frozen=True, slots=True)
class Release:
    """End a hold without charging; a repetition returns the recorded release.

    Raises `UnknownHoldError`, or `HoldEndedError` when the hold was charged;
    `OtherKeyError` names the hold's key.
    """

    stream: UUID
    account_id: UUID
    reason: str
    key_id: UUID | None = None

    def need(self, needs: Needs) -> None:
        needs.accounts.add(self.account_id)
        needs.holds.add(self.stream)
        needs.keys.update(counting(self.account_id, self.key_id))

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        hold = rows.holds.get(self.stream)
        if hold is None:
            raise AskTheLogError
        if hold.key_id != self.key_id:
            raise OtherKeyError(hold.key_id)
        released = Released(
            at=at,
            account_id=hold.account_id,
            held_msat=hold.amount_msat,
            reason=self.reason,
            key_id=hold.key_id,
        )
        return Entry(self.stream, 2, released)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return _end(self.stream, history, Released)


def _end(stream: UUID, history: Sequence[Entry], wanted: type[Event]) -> Entry:
    if not history:
        raise UnknownHoldError(stream)
    end = history[-1]
    if not isinstance(end.event, wanted):
        raise HoldEndedError(stream, end.event)
    return end
