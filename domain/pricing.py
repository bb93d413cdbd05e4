"""Pricing: what a served request costs, exactly, and what it can cost at most."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from math import gcd, lcm
from types import MappingProxyType
from typing import Any, Literal, Self

from domain.bounds import Bounds, Counts, Usage
from domain.cost import Cost
from domain.errors import PricingError, UnknownModelError
from domain.exact import exact
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
    "input_cache_write_1h",
    "audio",
    "audio_output",
    "second",
    "character",
)
# What a price that is not given is the same as; of the others, nothing is asked.
PARTS = {
    "internal_reasoning": "completion",
    "audio_output": "completion",
    "input_cache_read": "prompt",
    "input_cache_write": "prompt",
    "input_cache_write_1h": "input_cache_write",
    "audio": "prompt",
}
VERSION_CHARS = 16


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


@dataclass(frozen=True)
class ModelPrice:
    """One model's prices, in `currency`.

    Per token, request, image, web search, second of a recording and character spoken.

    Where `input_cache_read`, `input_cache_write` or `audio` is None, such tokens cost as
    much as other prompt tokens; where `internal_reasoning` or `audio_output` is None, as
    other completion tokens. A price that is given replaces that of the whole they are a
    part of: no token is paid for twice.

    `image_sizes` are the prices of images by "QUALITY SIZE" or by size; an image of another
    one costs `image` or, where that is nothing, the dearest of them.
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
    input_cache_write_1h: Fraction | None = None
    audio: Fraction | None = None
    audio_output: Fraction | None = None
    second: Fraction | None = None
    character: Fraction | None = None
    max_seconds: int | None = None
    max_image_tokens: int | None = None
    image_sizes: Mapping[str, Fraction] | None = None

    def __post_init__(self) -> None:
        prices = {name: getattr(self, name) for name in COMPONENTS}
        for name, price in {**prices, **(self.image_sizes or {})}.items():
            if price is not None and price < 0:
                raise PricingError(f"The price '{name}' of model '{self.id}' is below zero.")

    def component(self, name: str) -> Fraction:
        """Return the price called `name`, or that of the whole it is a part of."""
        price: Fraction | None = getattr(self, name)
        if price is not None:
            return price
        return self.component(PARTS[name]) if name in PARTS else Fraction(0)

    def image_of_size(self, size: str) -> Fraction:
        """Return what an image of a "QUALITY SIZE", or of a size, costs."""
        sizes = self.image_sizes or {}
        found = sizes.get(size, sizes.get(size.rpartition(" ")[2]))
        return self.image or max(sizes.values(), default=self.image) if found is None else found

    def at(self, rate: MsatPerUsd | None) -> Tariff:
        """Return these prices in msat; a price in dollars needs a `rate`."""
        if self.currency == "msat":
            return self.whole if rate is None else replace(self.whole, rate=rate)
        if rate is None:
            raise PricingError("A price in dollars needs a rate of exchange.")
        return self.whole.times(rate)

    @cached_property
    def whole(self) -> Tariff:
        """The prices in their own currency, in whole numbers: a rate only multiplies them."""
        prices = {name: self.component(name) for name in COMPONENTS}
        sizes = {size: self.image_of_size(size) for size in self.image_sizes or ()}
        if sizes:
            prices["image"] = self.image_of_size("")
        denominator = lcm(*(each.denominator for each in (*prices.values(), *sizes.values())))
        return Tariff(
            price=self,
            rate=None,
            denominator=denominator,
            image_sizes={size: int(price * denominator) for size, price in sizes.items()},
            **{name: int(price * denominator) for name, price in prices.items()},
        )

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
    input_cache_write_1h: int
    audio: int
    audio_output: int
    second: int
    character: int
    image_sizes: Mapping[str, int]

    def times(self, rate: MsatPerUsd) -> Self:
        """Return the same prices in msat, where these are in dollars."""
        common = gcd(rate.value.numerator, self.denominator)
        factor = rate.value.numerator // common
        return replace(
            self,
            rate=rate,
            denominator=self.denominator // common * rate.value.denominator,
            image_sizes={size: price * factor for size, price in self.image_sizes.items()},
            **{name: getattr(self, name) * factor for name in COMPONENTS},
        )

    def cost(self, usage: Usage) -> Cost:
        """Return what `usage` costs, its exact sum rounded up once."""
        sums = self.sums(usage)
        # The running sums are rounded, not the parts: so the parts add up to the total.
        base_msat, input_msat, total_msat = (-(-each // self.denominator) for each in sums)
        long = usage.long_cache_tokens
        written = self.input_cache_write * (usage.cache_write_tokens - long)
        cost = Cost(
            total=Msat(total_msat),
            base=Msat(base_msat),
            input=Msat(input_msat - base_msat),
            output=Msat(total_msat - input_msat),
            cache_read=self._part(self.input_cache_read * usage.cached_tokens),
            cache_write=self._part(written + self.input_cache_write_1h * long),
        )
        return cost.scaled(self.asked_msat(usage)) if usage.upstream_usd else cost

    def total_msat(self, usage: Counts) -> int:
        """Return the total of `cost` alone, for whoever works out a million of them."""
        if usage.upstream_usd:
            return self.asked_msat(usage)
        return -(-self.sums(usage)[2] // self.denominator)

    def asked_msat(self, usage: Counts) -> int:
        """Return what the upstream itself asks for `usage`, raised by the house's margin.

        Raises `PricingError` where there is no rate of exchange, or no such amount.
        """
        if self.rate is None:
            raise PricingError("An upstream's price in dollars needs a rate of exchange.")
        try:
            usd = exact(usage.upstream_usd) * exact(usage.markup)
        except ValueError as error:
            raise PricingError("What the upstream asks is no decimal number.") from error
        return Msat.ceil(usd * self.rate.value).msat

    def sums(self, usage: Counts) -> tuple[int, int, int]:
        """Return the base, the base and input, and all of it, over the denominator."""
        cached, written = usage.cached_tokens, usage.cache_write_tokens
        plain, unthought = (
            usage.prompt_tokens - cached - written,
            usage.completion_tokens - usage.reasoning_tokens,
        )
        # What was heard and came from the cache is paid for once, as what is cached.
        heard, spoken = min(usage.audio_tokens, plain), min(usage.spoken_tokens, unthought)
        base = self._base(usage)
        with_input = (
            base
            + self.prompt * (plain - heard)
            + self.audio * heard
            + self.input_cache_read * cached
            + self.input_cache_write * (written - usage.long_cache_tokens)
            + self.input_cache_write_1h * usage.long_cache_tokens
            + self.second * usage.seconds
            + self.character * usage.characters
        )
        with_output = (
            with_input
            + self.completion * (unthought - spoken)
            + self.audio_output * spoken
            + self.internal_reasoning * usage.reasoning_tokens
        )
        return base, with_input, with_output

    def ceiling(self, bounds: Bounds) -> Msat:
        """Return at least the cost of any usage that `bounds` admit."""
        kept = max(self.input_cache_write, self.input_cache_write_1h)
        heard = self.audio if bounds.hears else 0
        prompt = max(self.prompt, self.input_cache_read, kept, heard)
        spoken = self.audio_output if bounds.speaks else 0
        dearest = max(self.completion, self.internal_reasoning, spoken)
        completion = bounds.choices * dearest
        read, written = bounds.prompt_tokens_max, bounds.completion_tokens_max
        if bounds.context_tokens_max is not None:
            # The dearer kind fills the context first; the other has what is left of it.
            if completion >= prompt:
                written = min(written, bounds.context_tokens_max)
                read = min(read, bounds.context_tokens_max - written)
            else:
                read = min(read, bounds.context_tokens_max)
                written = min(written, bounds.context_tokens_max - read)
        image = max(self._image(bounds.image_size), self.image if bounds.images else 0)
        whole = (
            self.request
            + image * bounds.images
            + self.web_search * bounds.web_searches
            + self.second * bounds.seconds
            + self.character * bounds.characters
        )
        return Msat(-(-(whole + prompt * read + completion * written) // self.denominator))

    def _part(self, sum_over_denominator: int) -> Msat:
        return Msat(sum_over_denominator // self.denominator) if sum_over_denominator else ZERO

    def _base(self, usage: Counts) -> int:
        images = self._image(usage.image_size) * usage.images if usage.images else 0
        return self.request + images + self.web_search * usage.web_searches

    def _image(self, size: str) -> int:
        sizes = self.image_sizes
        return sizes.get(size, sizes.get(size.rpartition(" ")[2], self.image))


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
    if price.image_sizes:
        document["image_sizes"] = {
            size: str(each) for size, each in sorted(price.image_sizes.items())
        }
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
    if members.get("image_sizes"):
        sizes = members["image_sizes"].items()
        members["image_sizes"] = {size: Fraction(value) for size, value in sizes}
    return ModelPrice(**members)


def _entries(entries: object) -> list[object]:
    if not isinstance(entries, list):
        raise TypeError("the models are not a list")
    return entries
