"""Pricing: what a served request costs, exactly, and what it can cost at most."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from math import lcm
from types import MappingProxyType
from typing import Any, Literal, Self

from domain.bounds import Bounds, Counts, Usage
from domain.errors import PricingError, UnknownModelError
from domain.msat import MSAT_PER_BTC, ZERO, Msat

Currency = Literal["usd", "msat"]

COMPONENTS = (
    "prompt",
    "completion",
    "request",
    "image",
    "web_search",
    "internal_reasoning",
    "input_cache_read",
    "input_cache_write",
)
VERSION_CHARS = 16
NUMBER = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?")


def exact(number: object) -> Fraction:
    """Read a decimal number from text, an int or a JSON float without rounding it.

    A float is read by its shortest text, which is what its writer wrote. Raises
    `ValueError` for anything else, also for text that would take long to work out.

    >>> exact("0.00000015") == exact(1.5e-07) == Fraction(3, 20_000_000)
    True
    """
    text = "" if isinstance(number, bool) else str(number)
    if not isinstance(number, (str, int, float)) or NUMBER.fullmatch(text) is None:
        raise ValueError("is not a decimal number")
    return Fraction(text)


@dataclass(frozen=True, slots=True)
class MsatPerUsd:
    """The rate of exchange: how many msat one US dollar buys."""

    value: Fraction

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise PricingError("A rate of exchange must be above zero.")

    @classmethod
    def from_btc_usd(cls, price: Fraction) -> MsatPerUsd:
        """Return the rate at which one bitcoin costs `price` dollars.

        >>> MsatPerUsd.from_btc_usd(Fraction(100_000))
        MsatPerUsd(value=Fraction(1000000, 1))
        """
        if price <= 0:
            raise PricingError("A price of bitcoin must be above zero.")
        return cls(MSAT_PER_BTC / price)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request costs; `base`, `input` and `output` add up to `total`.

    `cache_read` and `cache_write` are parts of `input`, each rounded down: together they
    are never more than it.
    """

    total: Msat
    base: Msat
    input: Msat
    output: Msat
    cache_read: Msat = ZERO
    cache_write: Msat = ZERO


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """One model's prices, in `currency`: per token, and per request, image and web search.

    Where `input_cache_read` or `input_cache_write` is None, such tokens cost as much as
    other prompt tokens; where `internal_reasoning` is None, as other completion tokens.
    A price that is given replaces that of the whole they are a part of: no token is
    paid for twice.
    """

    id: str
    currency: Currency
    prompt: Fraction = Fraction(0)
    completion: Fraction = Fraction(0)
    request: Fraction = Fraction(0)
    image: Fraction = Fraction(0)
    web_search: Fraction = Fraction(0)
    internal_reasoning: Fraction | None = None
    input_cache_read: Fraction | None = None
    input_cache_write: Fraction | None = None
    context_length: int | None = None
    max_completion_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in COMPONENTS:
            if getattr(self, name) is not None and getattr(self, name) < 0:
                raise PricingError(f"The price '{name}' of model '{self.id}' is below zero.")

    def component(self, name: str) -> Fraction:
        """Return the price called `name`, or that of the whole it is a part of."""
        price: Fraction | None = getattr(self, name)
        if price is not None:
            return price
        return self.completion if name == "internal_reasoning" else self.prompt

    def at(self, rate: MsatPerUsd | None) -> Tariff:
        """Return these prices in msat; a price in dollars needs a `rate`."""
        factor = Fraction(1)
        if self.currency == "usd":
            if rate is None:
                raise PricingError("A price in dollars needs a rate of exchange.")
            factor = rate.value
        prices = {name: self.component(name) * factor for name in COMPONENTS}
        denominator = lcm(*(price.denominator for price in prices.values()))
        numerators = {name: int(price * denominator) for name, price in prices.items()}
        return Tariff(price=self, rate=rate, denominator=denominator, **numerators)

    def cost(self, usage: Usage, rate: MsatPerUsd | None) -> Cost:
        """Return what `usage` costs; whoever prices many requests keeps a `Tariff`."""
        return self.at(rate).cost(usage)

    def ceiling(self, bounds: Bounds, rate: MsatPerUsd | None) -> Msat:
        """Return what a request within `bounds` can cost at most."""
        return self.at(rate).ceiling(bounds)


@dataclass(frozen=True, slots=True)
class Tariff:
    """One model's prices at one rate: msat as whole numbers over one `denominator`.

    Both are worked out once, so that pricing a request is a few products of integers.
    """

    price: ModelPrice
    rate: MsatPerUsd | None
    denominator: int
    prompt: int
    completion: int
    request: int
    image: int
    web_search: int
    internal_reasoning: int
    input_cache_read: int
    input_cache_write: int

    def cost(self, usage: Usage) -> Cost:
        """Return what `usage` costs, its exact sum rounded up once."""
        base, with_input, with_output = self._sums(usage)
        # The running sums are rounded, not the parts: so the parts add up to the total.
        base_msat, input_msat, total_msat = (
            -(-base // self.denominator),
            -(-with_input // self.denominator),
            -(-with_output // self.denominator),
        )
        return Cost(
            total=Msat(total_msat),
            base=Msat(base_msat),
            input=Msat(input_msat - base_msat),
            output=Msat(total_msat - input_msat),
            cache_read=self._part(self.input_cache_read * usage.cached_tokens),
            cache_write=self._part(self.input_cache_write * usage.cache_write_tokens),
        )

    def total_msat(self, usage: Counts) -> int:
        """Return the total of `cost` alone, for whoever works out a million of them."""
        return -(-self._sums(usage)[2] // self.denominator)

    def _sums(self, usage: Counts) -> tuple[int, int, int]:
        """Return the base, the base and input, and all of it, over the denominator."""
        cached, written = usage.cached_tokens, usage.cache_write_tokens
        base = self._base(usage.images, usage.web_searches)
        with_input = (
            base
            + self.prompt * (usage.prompt_tokens - cached - written)
            + self.input_cache_read * cached
            + self.input_cache_write * written
        )
        with_output = (
            with_input
            + self.completion * (usage.completion_tokens - usage.reasoning_tokens)
            + self.internal_reasoning * usage.reasoning_tokens
        )
        return base, with_input, with_output

    def ceiling(self, bounds: Bounds) -> Msat:
        """Return at least the cost of any usage that `bounds` admit."""
        prompt = max(self.prompt, self.input_cache_read, self.input_cache_write)
        completion = bounds.choices * max(self.completion, self.internal_reasoning)
        read, written = bounds.prompt_tokens_max, bounds.completion_tokens_max
        if bounds.context_tokens_max is not None:
            # The dearer kind fills the context first; the other has what is left of it.
            if completion >= prompt:
                written = min(written, bounds.context_tokens_max)
                read = min(read, bounds.context_tokens_max - written)
            else:
                read = min(read, bounds.context_tokens_max)
                written = min(written, bounds.context_tokens_max - read)
        base = self._base(bounds.images, bounds.web_searches)
        return Msat(-(-(base + prompt * read + completion * written) // self.denominator))

    def _part(self, sum_over_denominator: int) -> Msat:
        return Msat(sum_over_denominator // self.denominator) if sum_over_denominator else ZERO

    def _base(self, images: int, web_searches: int) -> int:
        return self.request + self.image * images + self.web_search * web_searches


@dataclass(frozen=True)
class PriceBook:
    """Every price of the house at one time; `version` names its content.

    `aliases` map other names of a model to its id; `flat`, if any, is the price of every
    model that is not listed.
    """

    models: Mapping[str, ModelPrice]
    aliases: Mapping[str, str] = field(default_factory=dict)
    flat: ModelPrice | None = None

    @cached_property
    def version(self) -> str:
        """The first hexadecimal digits of the SHA-256 of the content."""
        content = json.dumps(self.to_document(), sort_keys=True, separators=(",", ":"))
        return sha256(content.encode()).hexdigest()[:VERSION_CHARS]

    def find(self, model: str) -> ModelPrice:
        """Return the price of `model`, an id or an alias, or raise `UnknownModelError`."""
        price = self.models.get(self.aliases.get(model, model), self.flat)
        if price is None:
            raise UnknownModelError(model)
        return price

    def at(self, rate: MsatPerUsd | None) -> Tariffs:
        """Return the same book in msat, for pricing requests while `rate` holds."""
        return Tariffs(self, rate)

    def to_document(self) -> dict[str, object]:
        """Return the whole book as JSON can hold it, nothing rounded."""
        return {
            "models": [_price_document(self.models[name]) for name in sorted(self.models)],
            "aliases": dict(sorted(self.aliases.items())),
            "flat": None if self.flat is None else _price_document(self.flat),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the book that `to_document` wrote, or raise `PricingError`."""
        try:
            prices = [_price(entry) for entry in _entries(document["models"])]
            flat = document.get("flat")
            aliases = document.get("aliases")
            return cls(
                models=MappingProxyType({price.id: price for price in prices}),
                aliases=MappingProxyType(dict(aliases if isinstance(aliases, Mapping) else {})),
                flat=_price(flat) if flat is not None else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PricingError(f"The recorded price book is damaged: {error}.") from error


class Tariffs:
    """A price book at one rate; each tariff is worked out when first asked for."""

    def __init__(self, book: PriceBook, rate: MsatPerUsd | None) -> None:
        self.book = book
        self.rate = rate
        self._known: dict[str, Tariff] = {}

    def find(self, model: str) -> Tariff:
        """Return the tariff of `model`, or raise `UnknownModelError`."""
        price = self.book.find(model)
        # Keyed by the price's own id: names that clients invent must not fill the memory.
        tariff = self._known.get(price.id)
        if tariff is None:
            tariff = self._known[price.id] = price.at(self.rate)
        return tariff


def _price_document(price: ModelPrice) -> dict[str, object]:
    document = {each.name: getattr(price, each.name) for each in fields(price)}
    return {
        name: str(value) if isinstance(value, Fraction) else value
        for name, value in document.items()
        if value is not None
    }


def _price(document: object) -> ModelPrice:
    if not isinstance(document, Mapping):
        raise TypeError("a price is not an object")
    members: dict[str, Any] = {
        name: Fraction(value) if name in COMPONENTS else value
        for name, value in document.items()
    }
    return ModelPrice(**members)


def _entries(entries: object) -> list[object]:
    if not isinstance(entries, list):
        raise TypeError("the models are not a list")
    return entries
