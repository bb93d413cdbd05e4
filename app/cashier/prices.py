"""What the house sells models at: their providers' prices, raised, or one price for all."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING

from domain.catalogue import margin_of
from domain.price_list import from_models_json
from domain.pricing import PriceBook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.catalogue import Model
    from domain.pricing import ModelPrice


class HousePrices:
    """Makes a provider's price list; `own` are the models of the settings' provider.

    Prices are raised by the provider's fee and by the `exchange_fee`. With `flat`, every
    model costs that, and the settings' provider is asked for any. With `upstream_cost`, what
    an upstream says that a request has cost is raised likewise, and charged.
    """

    def __init__(
        self,
        own: Sequence[Model],
        exchange_fee: Decimal,
        flat: PriceBook | None = None,
        *,
        upstream_cost: bool = False,
    ) -> None:
        self._own = own
        self._exchange_fee = exchange_fee
        self._flat = flat
        self._upstream_cost = upstream_cost

    def markup(self, fee: str) -> str:
        """Return the factor on what an upstream asks, empty if that is not asked about."""
        return format(Decimal(fee) * self._exchange_fee, "f") if self._upstream_cost else ""

    def book(self, models: Sequence[Model] | None, fee: str) -> PriceBook:
        """Return the price list of `models`, or of the settings' provider if that is None.

        Raises `PricingError`.
        """
        if self._flat is not None and models is None:
            return self._flat
        listed = list(self._own if models is None else models)
        book = from_models_json(listed, margin_of(fee, Fraction(self._exchange_fee)))
        if self._flat is None or self._flat.flat is None:
            return book
        return _at_one_price(book, self._flat.flat)


def _at_one_price(book: PriceBook, flat: ModelPrice) -> PriceBook:
    prices = {
        name: replace(
            flat,
            id=name,
            context_length=price.context_length,
            max_completion_tokens=price.max_completion_tokens,
        )
        for name, price in book.models.items()
    }
    return PriceBook(models=MappingProxyType(prices), aliases=book.aliases)
