"""Routes for tests of prices, on which nobody is ever asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.cashier.quote import Quotes
from app.cashier.route import Route
from app.gateways.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from app.cashier.quote import Rates
    from domain.pricing import PriceBook


NOWHERE = "http://127.0.0.1:9"


def upstream_at(
    base_url: str = "http://127.0.0.1:9", *, read_timeout_s: float = 5.0
) -> Upstream:
    return Upstream(
        base_url,
        "sk-upstream",
        connect_timeout_s=2.0,
        read_timeout_s=read_timeout_s,
        connections_max=10,
    )


def quotes_of(
    book: PriceBook, rates: Rates, entries: Iterable[Mapping[str, Any]] = ()
) -> Quotes:
    """Return the quotes of a house with one provider."""
    routes = (Route("main", book, upstream_at(), entries),)
    return Quotes(lambda: routes, rates)
