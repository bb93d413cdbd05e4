"""Money set aside for a request, and the one end each such hold has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from domain.command import AskTheLogError, Needs
from domain.errors import (
    HoldEndedError,
    InsufficientFundsError,
    RequestChangedError,
    RequestInProgressError,
    RequestRepeatedError,
    UnknownAccountError,
    UnknownHoldError,
)
from domain.event import Entry, Event
from domain.guards import GuardRows, HoldRow


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
    a retry asks for the same, and nothing that shows it.
    """

    TOPIC: ClassVar[str] = "hold.held"
    account_id: UUID
    amount_msat: int
    owner: str
    terms: Terms
    request_hash: str = ""

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.add(self.account_id, -self.amount_msat, self.amount_msat)
        rows.holds.put(stream, HoldRow(self.account_id, self.amount_msat, self.owner, self.at))


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

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        back_msat = self.held_msat - self.from_hold_msat - self.from_available_msat
        rows.add(self.account_id, back_msat, -self.held_msat)
        rows.holds.drop(stream)


class Released(Event, frozen=True, kw_only=True):
    """A request was not served; all of `held_msat` went back to the account."""

    TOPIC: ClassVar[str] = "hold.released"
    account_id: UUID
    held_msat: int
    reason: str

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.add(self.account_id, self.held_msat, -self.held_msat)
        rows.holds.drop(stream)


@dataclass(frozen=True, slots=True)
class Hold:
    """Set `amount_msat` aside.

    Raises `UnknownAccountError`, `InsufficientFundsError`; for a request id that was seen
    before `RequestInProgressError`, `RequestRepeatedError` or, with another `request_hash`,
    `RequestChangedError`. A request that is `named` by its client may have been seen before,
    and may have spent what is missing now.
    """

    stream: UUID
    account_id: UUID
    amount_msat: int
    owner: str
    terms: Terms
    named: bool = False
    request_hash: str = ""

    def need(self, needs: Needs) -> None:
        needs.accounts.add(self.account_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        if rows.holds.get(self.stream):
            raise AskTheLogError(RequestInProgressError(self.stream))
        account = rows.accounts.get(self.account_id)
        if account is None:
            raise UnknownAccountError(self.account_id)
        if self.amount_msat > account.available_msat:
            short = InsufficientFundsError(
                required_msat=self.amount_msat,
                available_msat=account.available_msat,
                held_msat=account.held_msat,
            )
            raise AskTheLogError(short) if self.named else short
        held = Held(
            at=at,
            account_id=self.account_id,
            amount_msat=self.amount_msat,
            owner=self.owner,
            terms=self.terms,
            request_hash=self.request_hash,
        )
        return Entry(self.stream, 1, held)

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

    Raises `UnknownHoldError`, or `HoldEndedError` when the hold was released.
    """

    stream: UUID
    account_id: UUID
    cost_msat: int
    terms: Terms
    usage: Metered

    def need(self, needs: Needs) -> None:
        needs.accounts.add(self.account_id)
        needs.holds.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        hold = rows.holds.get(self.stream)
        account = rows.accounts.get(self.account_id)
        if hold is None or account is None:
            raise AskTheLogError
        from_hold_msat = min(self.cost_msat, hold.amount_msat)
        from_available_msat = min(self.cost_msat - from_hold_msat, account.available_msat)
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
        )
        return Entry(self.stream, 2, charged)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return _end(self.stream, history, Charged)


@dataclass(frozen=True, slots=True)
class Release:
    """End a hold without charging; a repetition returns the recorded release.

    Raises `UnknownHoldError`, or `HoldEndedError` when the hold was charged.
    """

    stream: UUID
    account_id: UUID
    reason: str

    def need(self, needs: Needs) -> None:
        needs.accounts.add(self.account_id)
        needs.holds.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        hold = rows.holds.get(self.stream)
        if hold is None:
            raise AskTheLogError
        released = Released(
            at=at,
            account_id=hold.account_id,
            held_msat=hold.amount_msat,
            reason=self.reason,
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
