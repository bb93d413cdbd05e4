"""What the same usage would have earned under another price book."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from domain.errors import PricingError
from domain.hold import Charged
from domain.rate import RateObserved
from projections.audit import rate_of, usage_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.event import Event
    from domain.pricing import PriceBook
    from projections.moments import Period

RATES_KEPT = 64


@dataclass(slots=True)
class Repriced:
    """One model's requests: what they were charged, and what they would have cost.

    Those the other book has no price for are counted apart, and not in the amounts.
    """

    requests: int = 0
    charged_msat: int = 0
    would_be_msat: int = 0
    unpriced: int = 0

    @property
    def difference_msat(self) -> int:
        return self.would_be_msat - self.charged_msat

    def __add__(self, other: Repriced) -> Repriced:
        return Repriced(
            self.requests + other.requests,
            self.charged_msat + other.charged_msat,
            self.would_be_msat + other.would_be_msat,
            self.unpriced + other.unpriced,
        )


def reprice(
    events: Iterable[Event], book: PriceBook, period: Period, newest: str = ""
) -> dict[str, Repriced]:
    """Return by model what the requests charged in `period` would have cost under `book`.

    Dollars are changed at the rate each request was admitted at, or, if it named none, at
    the newest observed before; `newest` is the one in force where `events` begin.
    """
    at_rate = lru_cache(RATES_KEPT)(lambda btc_usd: book.at(rate_of(btc_usd)))
    told: dict[str, Repriced] = {}
    for event in events:
        if isinstance(event, RateObserved):
            newest = event.btc_usd
        if not isinstance(event, Charged) or not period.has(event.at):
            continue
        row = told.setdefault(event.terms.model, Repriced())
        try:
            tariff = at_rate(event.terms.btc_usd or newest).find(event.terms.model)
            cost = tariff.cost(usage_of(event.usage)).total
        except PricingError:
            row.unpriced += 1
            continue
        row.requests += 1
        row.charged_msat += event.cost_msat
        row.would_be_msat += cost.msat
    return dict(sorted(told.items()))
