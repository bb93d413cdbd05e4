"""The roster: the providers there are just now, each with the way to it."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from app.cashier.parts import Parts
from app.cashier.providers import DEFAULT, opened
from app.cashier.route import Route
from app.gateways.breaker import Breaker
from app.gateways.mint.errors import SealError
from app.store.errors import StoreError
from domain.errors import PricingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cashier.prices import HousePrices
    from app.cashier.providers import OwnProvider
    from app.gateways.mint.seal import Sealer
    from app.gateways.upstream import Upstream
    from domain.catalogue import ProviderRow
    from domain.ledger import Ledger

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 2.0


class Books(Protocol):
    """What is read of the store."""

    def provider_versions(self) -> list[tuple[Any, ...]]: ...

    def providers(self) -> dict[str, ProviderRow]: ...


class Way(NamedTuple):
    """How a provider is reached; the same as long as its address and our key are."""

    address: tuple[object, ...]
    upstream: Upstream
    breaker: Breaker
    parts: Parts


class Roster:
    """Follows what the log says of providers, and makes routes of it.

    Asked for with every request, so the store is looked at every `LOOK_AGAIN_S` only; what
    operators change is seen by every process that soon. The price list of each route is an
    event before anything is sold by it.
    """

    def __init__(
        self,
        ledger: Ledger,
        books: Books,
        sealer: Sealer,
        own: OwnProvider,
        connect: Callable[[str, str], Upstream],
        prices: HousePrices,
        clock: Callable[[], float] = time.monotonic,
        count: Callable[[str, str], None] = lambda _name, _kind: None,
    ) -> None:
        self._ledger = ledger
        self._books = books
        self._sealer = sealer
        self._own = own
        self._connect = connect
        self._prices = prices
        self._clock = clock
        self._count = count
        self._looked_at_s = float("-inf")
        self._versions: list[tuple[Any, ...]] | None = None
        self._routes: tuple[Route, ...] = ()
        self._ways: dict[str, Way] = {}

    def routes(self) -> tuple[Route, ...]:
        """Return the routes of now, the same object while no provider changes.

        Raises `StoreError` until it could be read for the first time.
        """
        now_s = self._clock()
        if now_s - self._looked_at_s > LOOK_AGAIN_S:
            self._looked_at_s = now_s
            try:
                self._look()
            except StoreError as error:
                if self._versions is None:
                    self._looked_at_s = float("-inf")
                    raise
                logger.warning("providers are as they were: %s", error)
        return self._routes

    def close(self) -> None:
        """Close every connection that is not in use."""
        for way in self._ways.values():
            way.upstream.close()

    def _look(self) -> None:
        versions = self._books.provider_versions()
        if versions == self._versions:
            return
        rows = self._books.providers()
        ways: dict[str, Way] = {}
        routes = [self._route(name, row, ways) for name, row in rows.items()]
        if DEFAULT not in rows:
            routes.append(self._own_route(ways))
        found = tuple(route for route in routes if route is not None)
        for route in found:
            self._ledger.adopt_prices(route.book.version, route.book.to_document())
        # What was replaced is not closed: a request that was admitted before may be about to
        # ask it. Its idle connections end with the last request that knows of it.
        self._ways = ways
        self._routes, self._versions = found, versions

    def _own_route(self, ways: dict[str, Way]) -> Route:
        own = self._own
        way = self._way(DEFAULT, ("settings",), own.base_url, own.api_key)
        ways[DEFAULT] = way
        book = self._prices.book(None, own.fee)
        return Route(
            DEFAULT,
            book,
            way.upstream,
            own.models,
            breaker=way.breaker,
            parts=way.parts,
            markup=self._prices.markup(own.fee),
        )

    def _route(self, name: str, row: ProviderRow, ways: dict[str, Way]) -> Route | None:
        """Return the route to a provider; None if it is not asked, or cannot be."""
        provider = row.provider
        if not provider.enabled:
            return None
        is_own = name == DEFAULT and not row.models
        try:
            api_key = opened(self._sealer, row)
            book = self._prices.book(None if is_own else row.models, provider.fee)
        except (SealError, PricingError) as error:
            fields = {"provider": name, "reason": str(error) or type(error).__name__}
            logger.warning("provider cannot be asked", extra={"fields": fields})
            return None
        address = (row.provider_id, provider.base_url, provider.sealed_key)
        way = ways[name] = self._way(name, address, provider.base_url, api_key)
        models = self._own.models if is_own else row.models
        return Route(
            name,
            book,
            way.upstream,
            models,
            priority=provider.priority,
            breaker=way.breaker,
            parts=way.parts,
            markup=self._prices.markup(provider.fee),
        )

    def _way(self, name: str, address: tuple[object, ...], base_url: str, api_key: str) -> Way:
        way = self._ways.get(name)
        if way is not None and way.address == address:
            return way
        breaker = Breaker(name, count=partial(self._count, name))
        upstream = self._connect(base_url, api_key)
        return Way(address, upstream, breaker, Parts(upstream))
