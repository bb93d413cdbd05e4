"""Price lists: reading the operator's, and writing the one that clients are shown."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from domain.bounds import SECONDS_MAX_DEFAULT
from domain.errors import PricingError
from domain.exact import exact
from domain.msat import MSAT_PER_SAT
from domain.pricing import COMPONENTS, ModelPrice, MsatPerUsd, PriceBook

REQUIRED = ("prompt", "completion")
# OpenRouter writes "0" for what is not priced apart from the prompt or the completion.
ZERO_IS_ABSENT = frozenset({"audio", "audio_output", "internal_reasoning"})
FLAT_ID = "*"
PROMPT_TOKENS_DEFAULT = 1_000_000
COMPLETION_TOKENS_DEFAULT = 32_000
CHARACTERS_USUAL = 4_096
FAULTS_MAX = 20


def from_models_json(document: object, margin: Fraction) -> PriceBook:
    """Return the price book of a models.json, each price raised by `margin` of itself.

    The shape is OpenRouter's `{"models": [...]}` (or `{"data": [...]}`), prices in dollars
    as text or number. Raises `PricingError` that names every fault's model and field.
    """
    if margin <= -1:
        raise PricingError("The margin must leave something of the price.")
    reader = _Reader(1 + margin)
    reader.read(document)
    if reader.faults:
        raise PricingError("\n".join(reader.faults[:FAULTS_MAX]))
    return PriceBook(
        models=MappingProxyType(reader.models), aliases=MappingProxyType(reader.aliases)
    )


def entries_of(document: object) -> list[Any]:
    """Return the entries of a price list, which is a list or has one by name.

    Raises `PricingError`.
    """
    entries = document
    if isinstance(document, Mapping):
        entries = document.get("models", document.get("data"))
    if not isinstance(entries, list):
        raise PricingError("The price list has no list 'models'.")
    return entries


def fixed(
    request_sat: Fraction, per_1k_input_sat: Fraction, per_1k_output_sat: Fraction
) -> PriceBook:
    """Return the price book of a house that asks the same for every model.

    >>> fixed(Fraction(1), Fraction(0), Fraction(0)).find("any").request
    Fraction(1000, 1)
    """
    # So many sat for a thousand tokens are as many msat for one.
    price = ModelPrice(
        id=FLAT_ID,
        currency="msat",
        prompt=Fraction(per_1k_input_sat),
        completion=Fraction(per_1k_output_sat),
        request=Fraction(request_sat) * MSAT_PER_SAT,
    )
    return PriceBook(models=MappingProxyType({}), flat=price)


def sats_pricing(price: ModelPrice, rate: MsatPerUsd | None) -> dict[str, Fraction]:
    """Return `price` in sat, with the most that one answer can cost (`max_cost`).

    Existing clients send as much as `max_cost` says, so that it covers all that `ceiling`
    may hold for one choice without searches, pictures and sounds beside the text. Where no
    text is paid for, it is that of one image, of the longest recording and of a voice of
    `CHARACTERS_USUAL`.
    """
    tariff = price.at(rate)
    in_sat = {
        name: Fraction(getattr(tariff, name), tariff.denominator * MSAT_PER_SAT)
        for name in COMPONENTS
    }
    caches = ("input_cache_read", "input_cache_write", "input_cache_write_1h")
    prompt = max(in_sat["prompt"], *(in_sat[name] for name in caches))
    completion = max(in_sat["completion"], in_sat["internal_reasoning"])
    context, written = price.context_length, price.max_completion_tokens
    if context and (written is None or written >= context):
        prompt_cost, completion_cost = context * prompt, context * completion
        tokens_cost = max(prompt_cost, completion_cost)
    elif context and written:
        prompt_cost, completion_cost = (context - written) * prompt, written * completion
        tokens_cost = max(prompt_cost + completion_cost, context * prompt)
    else:
        # Nobody says how much the model reads: four times what it writes is a fair guess.
        written_tokens = written or COMPLETION_TOKENS_DEFAULT
        prompt_tokens = 4 * written if written else PROMPT_TOKENS_DEFAULT
        prompt_cost, completion_cost = prompt_tokens * prompt, written_tokens * completion
        tokens_cost = prompt_cost + completion_cost
    seconds = price.max_seconds or SECONDS_MAX_DEFAULT
    sounds_cost = seconds * in_sat["second"] + CHARACTERS_USUAL * in_sat["character"]
    image_cost = Fraction(0) if tokens_cost else in_sat["image"]
    return {
        **in_sat,
        "max_prompt_cost": prompt_cost,
        "max_completion_cost": completion_cost,
        "max_cost": tokens_cost + in_sat["request"] + sounds_cost + image_cost,
    }


def as_json_floats(prices: Mapping[str, Fraction]) -> dict[str, float]:
    """Round `prices` to floats, which is how the listing's JSON has always shown them.

    For showing only: nothing that comes out of here is ever charged.
    """
    return {name: float(price) for name, price in prices.items()}


class _Reader:
    """Reads a models.json to its end, noting every fault on the way."""

    def __init__(self, factor: Fraction) -> None:
        self.models: dict[str, ModelPrice] = {}
        self.aliases: dict[str, str] = {}
        self.faults: list[str] = []
        self._factor = factor

    def read(self, document: object) -> None:
        try:
            entries = entries_of(document)
        except PricingError as error:
            self.faults.append(str(error))
            return
        for place, entry in enumerate(entries):
            self._model(place, entry)
        for entry in entries:
            self._aliases(entry)

    def _model(self, place: int, entry: object) -> None:
        name = entry.get("id") if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping) or not isinstance(name, str) or not name:
            self.faults.append(f"Model number {place + 1}, field 'id': is missing.")
        elif name in self.models:
            self._fault(name, "id", "occurs twice")
        else:
            self._price(name, entry)

    def _price(self, name: str, entry: Mapping[str, object]) -> None:
        pricing = entry.get("pricing")
        if not isinstance(pricing, Mapping):
            self._fault(name, "pricing", "is missing")
            return
        top = entry.get("top_provider")
        prices = {each: self._component(name, each, pricing) for each in COMPONENTS}
        given: dict[str, Any] = {
            each: price for each, price in prices.items() if price is not None
        }
        self.models[name] = ModelPrice(
            id=name,
            currency="usd",
            context_length=self._tokens(name, "context_length", entry, top),
            max_completion_tokens=self._tokens(name, "max_completion_tokens", top),
            max_seconds=self._tokens(name, "max_seconds", entry, top),
            max_image_tokens=self._tokens(name, "max_image_tokens", entry, top),
            image_sizes=self._image_sizes(name, pricing),
            **given,
        )

    def _component(
        self, model: str, name: str, pricing: Mapping[str, object]
    ) -> Fraction | None:
        value = pricing.get(name)
        if value is None:
            if name in REQUIRED:
                self._fault(model, f"pricing.{name}", "is missing")
            return None
        try:
            price = exact(value)
        except ValueError as error:
            self._fault(model, f"pricing.{name}", str(error))
            return None
        if price < 0:
            self._fault(model, f"pricing.{name}", "is below zero")
            return None
        return None if not price and name in ZERO_IS_ABSENT else price * self._factor

    def _image_sizes(
        self, model: str, pricing: Mapping[str, object]
    ) -> dict[str, Fraction] | None:
        """Return the prices of images by size, None if there are none."""
        sizes = pricing.get("image_sizes")
        if sizes is None:
            return None
        if not isinstance(sizes, Mapping) or not sizes:
            self._fault(model, "pricing.image_sizes", "is not an object of sizes and prices")
            return None
        prices = {str(size): self._component(model, str(size), sizes) for size in sizes}
        return {size: price for size, price in prices.items() if price is not None}

    def _tokens(self, model: str, name: str, *places: object) -> int | None:
        """Return the first whole number called `name` in `places`; 0 says nothing."""
        for place in places:
            value = place.get(name) if isinstance(place, Mapping) else None
            if value is None or value == 0:
                continue
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
            self._fault(model, name, "is not a whole number")
        return None

    def _aliases(self, entry: object) -> None:
        name = entry.get("id") if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping) or name not in self.models:
            return
        names = entry.get("alias_ids") or []
        if not isinstance(names, list):
            self._fault(str(name), "alias_ids", "is not a list")
            return
        for alias in [*names, entry.get("canonical_slug")]:
            self._alias(str(name), alias)

    def _alias(self, name: str, alias: object) -> None:
        if alias is None or alias == name:
            return
        if not isinstance(alias, str):
            self._fault(name, "alias_ids", "holds something that is no text")
        elif alias in self.models or self.aliases.get(alias, name) != name:
            self._fault(name, "alias_ids", f"'{alias}' is another model's name")
        else:
            self.aliases[alias] = name

    def _fault(self, model: str, name: str, fault: str) -> None:
        self.faults.append(f"Model '{model}', field '{name}': {fault}.")
