"""What things cost just now: the routes' prices at the newest rate that is fresh enough."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from app.cashier.errors import NoRateError
from app.gateways.breaker import Standing
from domain.bounds import Usage
from domain.errors import UnknownModelError
from domain.hold import Terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cashier.route import Route
    from app.cashier.translation import Translation
    from domain.bounds import Bounds
    from domain.guards import RateRow
    from domain.msat import Msat
    from domain.pricing import MsatPerUsd, Tariff

LOOK_AGAIN_S = 2.0
COMMON = Usage(prompt_tokens=1_000, completion_tokens=500)
"""By what the prices of two routes are compared where no request says how it would be."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a request is charged by if `route` serves it, whatever changes meanwhile."""

    route: Route
    tariff: Tariff
    terms: Terms

    @property
    def rate(self) -> MsatPerUsd | None:
        """The rate of exchange it is at, if one is needed."""
        return self.tariff.rate


@dataclass(frozen=True, slots=True)
class Try:
    """A request on one route: within which bounds, and what it can cost at most there.

    Both hold for its `translation`, too, if it may have to be asked as a chat.
    """

    quote: Quote
    bounds: Bounds
    ceiling: Msat
    translation: Translation | None = field(default=None, repr=False)

    @property
    def order(self) -> tuple[bool, int, int, str]:
        route = self.quote.route
        return self.standing is Standing.SHAKY, self.ceiling.msat, route.priority, route.name

    @property
    def standing(self) -> Standing:
        return self.quote.route.breaker.standing(self.quote.terms.model)

    @property
    def rest_s(self) -> float:
        return self.quote.route.breaker.rest_s(self.quote.terms.model)


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


class Offers:
    """All that is sold on the routes of one moment, at the rate of that moment."""

    def __init__(self, routes: tuple[Route, ...], btc_usd: str) -> None:
        self.routes = routes
        self.btc_usd = btc_usd

    def quotes(self, model: str) -> list[Quote]:
        """Return a quote for each route that serves `model`, by id or by another name.

        The one that is cheapest for a common request comes first. Raises
        `UnknownModelError`.
        """
        found = [self._quote(route, model) for route in self.routes if route.offers(model)]
        if not found:
            raise UnknownModelError(model)
        return sorted(found, key=_usual_order) if len(found) > 1 else found

    def _quote(self, route: Route, model: str) -> Quote:
        btc_usd = self.btc_usd if route.needs_rate else ""
        tariff = route.tariffs(btc_usd).find(model)
        terms = Terms(
            model=tariff.price.id,
            route=route.name,
            price_version=route.book.version,
            btc_usd=btc_usd,
        )
        return Quote(route, tariff, terms)


def _usual_order(quote: Quote) -> tuple[int, int, str]:
    route = quote.route
    return quote.tariff.cost(COMMON).total.msat, route.priority, route.name


class Quotes:
    """Makes quotes from the routes there are just now."""

    def __init__(self, routes: Callable[[], tuple[Route, ...]], rates: Rates) -> None:
        self.routes = routes
        self._rates = rates
        self._offers = Offers((), "")

    def quotes(self, model: str) -> list[Quote]:
        """Return the quotes for `model` now; raises `UnknownModelError`, `NoRateError`."""
        routes = self.routes()
        if not any(route.offers(model) for route in routes):
            raise UnknownModelError(model)
        return self._current(routes).quotes(model)

    def offers(self) -> Offers:
        """Return all that is sold now, the same object while nothing changes.

        Raises `NoRateError`.
        """
        return self._current(self.routes())

    def _current(self, routes: tuple[Route, ...]) -> Offers:
        needs_rate = any(route.needs_rate for route in routes)
        btc_usd = self._rates.btc_usd() if needs_rate else ""
        if self._offers.routes is not routes or self._offers.btc_usd != btc_usd:
            self._offers = Offers(routes, btc_usd)
        return self._offers
