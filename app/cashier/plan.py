"""The plan for one request: which routes are tried, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from app.cashier.paths import CHAT, bounds_of
from app.cashier.quote import Try
from app.cashier.translation import DIALECTS, Translation
from app.gateways.breaker import Standing
from app.gateways.upstream import UpstreamsExhaustedError, UpstreamsRestingError
from app.translating.errors import UntranslatableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.cashier.parts import Parts
    from app.cashier.quote import Quotes


def tries_of(
    quotes: Quotes, path: str, model: str, document: Mapping[str, Any], prompt_bytes: int
) -> list[Try]:
    """Return a try for each route that serves a request, in the order to ask them in.

    The cheapest for this very request comes first, among equals the one of the lowest
    priority; those that failed of late come last. Raises `PricingError`, `NoRateError`, and
    `UntranslatableError` if it would have to be translated on all of them, and cannot be.
    """
    tries = []
    for quote in quotes.quotes(model):
        bounds = bounds_of(path, document, prompt_bytes, quote.tariff.price)
        tries.append(Try(quote, bounds, quote.tariff.ceiling(bounds)))
    if path in DIALECTS:
        tries = translated(tries, path, document)
    return sorted(tries, key=lambda each: each.order) if len(tries) > 1 else tries


def translated(tries: list[Try], path: str, document: Mapping[str, Any]) -> list[Try]:
    """Return the tries that serve a request of another API, those of chats translated.

    Where nobody knows yet whether a provider has that API, its try covers both. Raises
    `UntranslatableError` if none is left.
    """
    if all(each.quote.route.parts.has(path) for each in tries):
        return tries
    try:
        translation = Translation.of(path, document)
    except UntranslatableError:
        left = [each for each in tries if _is_there(each.quote.route.parts, path)]
        if not left:
            raise
        return left
    return [_covering(each, path, translation) for each in tries]


def _is_there(parts: Parts, path: str) -> bool:
    """Tell whether a provider may have `path`; who is not known is asked for nothing first."""
    known = parts.has(path)
    return known is not False and (known or parts.look(path) is not False)


def _covering(each: Try, path: str, translation: Translation) -> Try:
    """Return a try within the bounds of the chat that may have to be asked in its place."""
    quote = each.quote
    known = quote.route.parts.has(path)
    if known:
        return each
    bounds = bounds_of(CHAT, translation.chat, translation.prompt_bytes, quote.tariff.price)
    chat = Try(quote, bounds, quote.tariff.ceiling(bounds), translation)
    if known is None and each.ceiling > chat.ceiling:
        return replace(each, translation=translation)
    return chat


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
