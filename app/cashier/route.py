"""A route: one provider as requests are sent to it, with its prices and its models."""

from __future__ import annotations

from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from app.cashier.parts import Parts
from app.gateways.breaker import Breaker
from domain.errors import UnknownModelError
from domain.pricing import MsatPerUsd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from app.gateways.upstream import Upstream
    from domain.pricing import PriceBook, Tariffs

Entry = dict[str, Any]
"""A model in the shape of models.json."""


class Route:
    """A way to have a request served.

    `name` is what charges and clients know it by; `book` holds the prices that clients pay
    on it, its fee included. `entries` are its models as they are listed. Of routes that
    cost the same, the one of the lowest `priority` is asked first. Where a `markup` is
    given, a decimal, the provider's own word on what a request has cost is charged, times
    that. What stays the same when other settings of the provider change, `upstream`,
    `breaker` and `parts`, is handed in.
    """

    def __init__(
        self,
        name: str,
        book: PriceBook,
        upstream: Upstream,
        entries: Iterable[Mapping[str, Any]] = (),
        *,
        priority: int = 0,
        breaker: Breaker | None = None,
        parts: Parts | None = None,
        markup: str = "",
    ) -> None:
        self.name = name
        self.markup = markup
        self.book = book
        self.upstream = upstream
        self.priority = priority
        self.breaker = breaker or Breaker(name)
        self.parts = parts or Parts(upstream)
        self.entries = MappingProxyType({entry["id"]: entry for entry in entries})
        self.needs_rate = any(
            price.currency == "usd" for price in (*book.models.values(), book.flat) if price
        )
        self._tariffs: tuple[str, Tariffs] | None = None
        self._aliases: dict[str, list[str]] = {}
        for alias, name_there in book.aliases.items():
            self._aliases.setdefault(name_there, []).append(alias)

    def offers(self, model: str) -> bool:
        """Tell whether `model`, an id or another name of one, is served here."""
        try:
            self.book.find(model)
        except UnknownModelError:
            return False
        return True

    def id_of(self, model: str) -> str:
        """Return the id under which this provider lists `model`."""
        return self.book.aliases.get(model, model)

    def aliases(self, model: str) -> list[str]:
        """Return the other names of `model` here."""
        name = self.id_of(model)
        return [each for each in (name, *self._aliases.get(name, ())) if each != model]

    def forwarded(self, model: str) -> str:
        """Return what the provider calls `model`: as it was asked for, if nobody says."""
        entry = self.entries.get(self.id_of(model), {})
        return str(entry.get("forwarded_model_id") or model)

    def tariffs(self, btc_usd: str) -> Tariffs:
        """Return its prices in msat; `btc_usd` is empty where none are in dollars."""
        if self._tariffs is None or self._tariffs[0] != btc_usd:
            rate = MsatPerUsd.from_btc_usd(Fraction(btc_usd)) if btc_usd else None
            self._tariffs = (btc_usd, self.book.at(rate))
        return self._tariffs[1]
