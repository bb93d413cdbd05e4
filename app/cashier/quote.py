"""What things cost just now: the price list at the newest rate that is fresh enough."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from app.cashier.errors import NoRateError
from domain.hold import Terms
from domain.pricing import MsatPerUsd, PriceBook, Tariff, Tariffs

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.guards import RateRow

LOOK_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Quote:
    """What a request for one model is charged by, whatever changes while it is served."""

    tariff: Tariff
    terms: Terms


class Rates:
    """The BTC/USD rate: the operator's own, or the newest that was observed.

    Asked for often, so the store is looked at every `LOOK_AGAIN_S` only.
    """

    def __init__(
        self,
        newest: Callable[[], RateRow | None],
        *,
        fixed_btc_usd: str | None,
        stale_after_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._newest = newest
        self._fixed_btc_usd = fixed_btc_usd
        self._stale_after = timedelta(seconds=stale_after_s)
        self._clock = clock
        self._looked_at_s = float("-inf")
        self._row: RateRow | None = None

    def btc_usd(self) -> str:
        """Return what a bitcoin costs in US dollars, or raise `NoRateError`.

        A rate that nobody has confirmed for too long is none: selling by it is a gamble.
        """
        if self._fixed_btc_usd is not None:
            return self._fixed_btc_usd
        now_s = self._clock()
        if now_s - self._looked_at_s > LOOK_AGAIN_S:
            self._row, self._looked_at_s = self._newest(), now_s
        if self._row is None or datetime.now(UTC) - self._row.at > self._stale_after:
            raise NoRateError
        return self._row.btc_usd


class Quotes:
    """Makes quotes from one price list."""

    def __init__(self, book: PriceBook, rates: Rates, route: str) -> None:
        self.book = book
        self._rates = rates
        self._route = route
        self._needs_rate = any(
            price.currency == "usd" for price in (*book.models.values(), book.flat) if price
        )
        self._tariffs: tuple[str, Tariffs] | None = None

    def quote(self, model: str) -> Quote:
        """Return the terms for `model` now; raises `UnknownModelError`, `NoRateError`."""
        self.book.find(model)
        btc_usd, tariffs = self._current()
        tariff = tariffs.find(model)
        terms = Terms(
            model=tariff.price.id if model not in self.book.models else model,
            route=self._route,
            price_version=self.book.version,
            btc_usd=btc_usd,
        )
        return Quote(tariff, terms)

    def tariffs(self) -> Tariffs:
        """Return the whole list in msat at the rate of this moment, or `NoRateError`."""
        return self._current()[1]

    def _current(self) -> tuple[str, Tariffs]:
        btc_usd = self._rates.btc_usd() if self._needs_rate else ""
        if self._tariffs is None or self._tariffs[0] != btc_usd:
            rate = MsatPerUsd.from_btc_usd(Fraction(btc_usd)) if btc_usd else None
            self._tariffs = (btc_usd, self.book.at(rate))
        return self._tariffs
