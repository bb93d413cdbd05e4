"""The plan for one request: which routes are tried, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.cashier.paths import bounds_of
from app.cashier.quote import Try
from app.gateways.breaker import Standing
from app.gateways.upstream import UpstreamsExhaustedError, UpstreamsRestingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.cashier.quote import Quotes


def tries_of(
    quotes: Quotes, path: str, model: str, document: Mapping[str, Any], prompt_bytes: int
) -> list[Try]:
    """Return a try for each route that serves a request, in the order to ask them in.

    The cheapest for this very request comes first, among equals the one of the lowest
    priority; those that failed of late come last. Raises `PricingError`, `NoRateError`.
    """
    tries = []
    for quote in quotes.quotes(model):
        bounds = bounds_of(path, document, prompt_bytes, quote.tariff.price)
        tries.append(Try(quote, bounds, quote.tariff.ceiling(bounds)))
    return sorted(tries, key=lambda each: each.order) if len(tries) > 1 else tries


def awake(tries: Sequence[Try], attempts_max: int) -> list[Try]:
    """Return the first of `tries` whose routes may be asked just now.

    Raises `UpstreamsRestingError` when there is none, `UpstreamsExhaustedError` if that is
    because all of them have too much to do.
    """
    found = [each for each in tries if each.standing is not Standing.SHUT]
    if found:
        return found[:attempts_max]
    are_exhausted = all(
        each.quote.route.breaker.is_exhausted(each.quote.terms.model) for each in tries
    )
    error = UpstreamsExhaustedError if are_exhausted else UpstreamsRestingError
    raise error(min(each.rest_s for each in tries))
