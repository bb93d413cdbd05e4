"""The bill of one paid call: its hold, and the one end that hold comes to."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import gevent

from app.cashier.costs import cost_document
from app.cashier.insist import insist
from app.cashier.usage import estimate, heard, spoken
from app.store.errors import StoreError
from domain.bounds import Usage
from domain.cost import Cost
from domain.errors import (
    HoldEndedError,
    InsufficientFundsError,
    LimitReachedError,
    UnknownHoldError,
)
from domain.hold import Metered
from domain.msat import Msat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from uuid import UUID

    from app.cashier.form import Form
    from app.cashier.quote import Try
    from app.cashier.route import Route
    from app.cashier.translation import Translation
    from domain.guards import AccountRow
    from domain.ledger import Ledger
    from domain.pricing import MsatPerUsd


MissingUsage = Literal["estimate", "max", "free"]


class Account(Protocol):
    """Reads what an account has, None if it never had anything."""

    def __call__(self, account_id: UUID, /) -> AccountRow | None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asks of the upstream, and who pays for it.

    `body` is what it sent, `document` the same, parsed; a `form` brings files along, which
    are no text. `request_id` names the hold, and is chance unless the client has
    `named` its request; `request_hash` then tells whether another one of that name asks
    for the same. `used` is told how many tokens it was charged for; `key_id` is the key
    that asks, if it is bound or a child. `waiting` is around what it waits for of ours. A
    `translation` says that it is a chat in place of what was asked.
    """

    request_id: UUID
    account_id: UUID
    path: str
    model: str
    document: Mapping[str, Any] = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    stream: bool
    named: bool = False
    request_hash: str = ""
    form: Form | None = field(default=None, repr=False)
    used: Callable[[int], object] = bool
    key_id: UUID | None = None
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    translation: Translation | None = field(default=None, repr=False)

    @property
    def prompt_bytes(self) -> int:
        """How many bytes of text a model has to read at most."""
        return len(self.body) - (0 if self.form is None else self.form.files_bytes)


@dataclass(frozen=True, slots=True)
class Policy:
    """How the house treats answers that do not go as they should.

    `missing_usage` says what an answer without usage costs: an estimate of what was
    delivered, the whole hold, or nothing. A stream its client has left is read on for
    `drain_s` seconds, to learn what it used. Of several providers at most `attempts_max`
    are asked in turn, none of them later than `failover_s` seconds after the first.
    """

    missing_usage: MissingUsage
    drain_s: float
    attempts_max: int = 3
    failover_s: float = 30.0


class Bill:
    """One hold and its one end; ending it twice does nothing."""

    def __init__(
        self,
        ledger: Ledger,
        call: Call,
        tries: Sequence[Try],
        policy: Policy,
        account: Account | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger = ledger
        self._pause = pause
        self._account = account
        self._call = call
        self._policy = policy
        self._ended = False
        self._key_id = call.key_id
        self.tries = tries
        """What the hold covers, and what may therefore be tried, in this order."""
        self.take(tries[0])

    def take(self, one: Try) -> None:
        """Charge by the terms of `one` from now on: its route is asked next."""
        self._quote, self._bounds = one.quote, one.bounds
        self.translation = one.translation

    def hold(self) -> None:
        """Set aside the most that the call can cost, whichever of its routes serves it.

        Who cannot pay for the dearest is served by those that are covered.
        """
        try:
            self._hold()
        except (InsufficientFundsError, LimitReachedError) as error:
            covered = [t for t in self.tries if t.ceiling.msat <= error.available_msat]
            if not covered:
                raise
            self.tries = covered
            self.take(covered[0])
            self._hold()

    def _hold(self) -> None:
        call = self._call
        try:
            held = self._ledger.hold(
                call.request_id,
                call.account_id,
                max(each.ceiling for each in self.tries),
                self._quote.terms,
                named=call.named,
                request_hash=call.request_hash,
                key_id=call.key_id,
            )
        except StoreError:
            # It may have been recorded all the same. The client is told at once; the hold
            # is given back as soon as the store can be asked.
            gevent.spawn(self.release, "the store did not answer")
            raise
        # It may have been bound since it was looked at.
        self._key_id = held.key_id

    @property
    def route(self) -> Route:
        """The route that is asked, and is charged for."""
        return self._quote.route

    @property
    def provider(self) -> str:
        return self._quote.terms.route

    @property
    def model(self) -> str:
        """The id of the model's price."""
        return self._quote.terms.model

    @property
    def rate(self) -> MsatPerUsd | None:
        """The rate of exchange it was admitted at, if there is one."""
        return self._quote.rate

    def charge(self, usage: Usage | None, delivered_characters: int) -> Cost | None:
        """Charge for an answer that was delivered; `None` if it is on the house."""
        if usage is None and self._is_by_characters:
            usage = Usage()
        if usage is None:
            return self._charge_without_usage(delivered_characters)
        usage = self._completed(usage)
        if usage.upstream_usd and self.route.markup and self.rate is not None:
            asked = replace(usage, markup=self.route.markup)
            cost = self._quote.tariff.cost(asked)
            # More than an honest upstream could ask is not believed: the list decides.
            if cost.total <= self._quote.tariff.ceiling(self._bounds):
                self._end(cost, asked)
                return cost
        if usage.upstream_usd:
            usage = replace(usage, upstream_usd="")
        cost = self._quote.tariff.cost(usage)
        self._end(cost, usage)
        return cost

    def told(self, cost: Cost, usage: Usage | None) -> dict[str, object]:
        """Return what to tell the client of `cost`, once it is charged."""
        row = self._account(self._call.account_id) if self._account else None
        left_msat = None if row is None else row.available_msat
        return cost_document(cost, usage, self.rate, self.provider, left_msat)

    def release(self, reason: str) -> None:
        """Give everything back: nothing was delivered."""
        if not self._ended:
            self._ended = True
            self._insist(
                lambda: self._ledger.release(
                    self._call.request_id, self._call.account_id, reason, self._key_id
                )
            )

    def _completed(self, usage: Usage) -> Usage:
        """Return a usage with what upstreams do not report: the request itself tells it."""
        asked_for = self._bounds.images
        return replace(
            usage,
            images=min(usage.images or asked_for, asked_for),
            image_size=self._bounds.image_size,
            characters=self._bounds.characters,
            web_searches=usage.web_searches or self._bounds.ordered,
        )

    @property
    def _is_by_characters(self) -> bool:
        """Tell whether a voice costs by what it says, so that nothing need be estimated."""
        tariff = self._quote.tariff
        tokens = max(tariff.prompt, tariff.completion, tariff.audio_output)
        return self._bounds.characters > 0 and not tokens

    def _charge_without_usage(self, delivered_characters: int) -> Cost | None:
        guess = self._completed(self._guess(delivered_characters))
        if self._policy.missing_usage == "free":
            self.release("usage unknown")
            return None
        tariff = self._quote.tariff
        cost, ceiling = tariff.cost(guess), tariff.ceiling(self._bounds)
        if self._policy.missing_usage == "max" or cost.total > ceiling:
            cost = Cost(ceiling, Msat(0), Msat(0), ceiling)
        self._end(cost, guess)
        return cost

    def _guess(self, delivered_characters: int) -> Usage:
        """Estimate what was used of an answer that does not tell."""
        guess = estimate(self._call.prompt_bytes, delivered_characters)
        if self._bounds.characters:
            return spoken(guess, self._bounds.characters)
        if self._bounds.seconds:
            file = self._call.document.get("file") or {}
            return heard(guess, min(file.get("seconds_guess", 0), self._bounds.seconds))
        return guess

    def _end(self, cost: Cost, usage: Usage) -> None:
        if self._ended:
            return
        self._ended = True
        call, terms = self._call, self._quote.terms
        call.used(usage.prompt_tokens + usage.completion_tokens)
        self._insist(
            lambda: self._ledger.charge(
                call.request_id,
                call.account_id,
                cost.total,
                terms,
                metered(usage),
                self._key_id,
            )
        )

    def _insist(self, act: Callable[[], object]) -> None:
        """Do `act` until the store takes it: the answer was delivered, or was not.

        While this process lives nobody else ends the hold; should it die meanwhile, the
        back office gives the hold back.
        """
        with suppress(HoldEndedError, UnknownHoldError):
            insist(act, self._pause)


def metered(usage: Usage) -> Metered:
    """Return a usage as the log keeps it."""
    return Metered(**{name: getattr(usage, name) for name in Metered.__struct_fields__})
