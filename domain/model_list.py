"""Lists of models: what of an operator's, or of a provider's own, is kept and believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

from domain.catalogue import MODELS_MAX, TEXT_MAX, Model, check_models
from domain.errors import PricingError
from domain.exact import exact
from domain.price_list import entries_of, from_models_json
from domain.pricing import COMPONENTS, ModelPrice

ALIASES_MAX = 20
DESCRIPTION_MAX = 500
USD_MAX = 1_000

TEXTS = ("name", "canonical_slug")
NUMBERS = ("created", "context_length", "max_seconds", "max_image_tokens")
TOP_NUMBERS = ("context_length", "max_completion_tokens")
MODALITIES = ("input_modalities", "output_modalities")
CORE = ("prompt", "completion")


@dataclass(frozen=True, slots=True)
class Merged:
    """What a new list comes to.

    The prices of `held_back` have jumped: they stay as they were. `gone` are no longer
    listed, `ignored` is how many entries say no price or make no sense.
    """

    models: tuple[Model, ...]
    held_back: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    ignored: int = 0


def read_models(document: object) -> tuple[Model, ...]:
    """Return the catalogue that an operator wrote, in the shape of models.json.

    A model is asked for by its id, unless `forwarded_model_id` says how. What is not enabled
    is left out. Raises `PricingError` that names every fault.
    """
    entries = [each for each in entries_of(document) if not _is_disabled(each)]
    from_models_json(entries, Fraction(0))
    models = []
    for entry in entries:
        model = _pruned(entry, [*_texts(entry.get("alias_ids")), entry.get("canonical_slug")])
        if model is None:
            raise PricingError(f"Model '{str(entry['id'])[:TEXT_MAX]}': a price is too high.")
        models.append(model)
    check_models(models)
    return tuple(models)


def merged(
    known: Sequence[Model],
    document: object,
    only: Sequence[str] = (),
    jump_max: Fraction | None = None,
) -> Merged:
    """Return the catalogue that a provider's own list makes of the one that is `known`.

    The list has OpenAI's shape, in which nothing has a price and nothing changes, or
    OpenRouter's. A model keeps the id and the other names it is known by here. A price that
    is more than `jump_max` times what it was, or less than that part of it, is not believed.
    Raises `PricingError` for what is no list, or lacks most of what was there.
    """
    return _Merging(known, only, jump_max).of(entries_of(document))


class _Merging:
    """Goes through a list once, and keeps what is to be believed of it."""

    def __init__(
        self, known: Sequence[Model], only: Sequence[str], jump_max: Fraction | None
    ) -> None:
        self._known = {model.get("forwarded_model_id") or model["id"]: model for model in known}
        self._only = only
        self._jump_max = jump_max
        self._models: dict[str, Model] = {}
        self._taken: set[str] = set()
        self._held_back: list[str] = []
        self._ignored = 0

    def of(self, entries: list[Any]) -> Merged:
        if len(entries) > MODELS_MAX:
            raise PricingError(f"The list has more than {MODELS_MAX} models.")
        ids = {str(each.get("id")) for each in entries if isinstance(each, Mapping)}
        self._taken = ids | {model["id"] for model in self._known.values()}
        is_priced = False
        for entry in entries:
            is_priced |= self._take(entry)
        if not is_priced:
            return Merged(tuple(self._known.values()), ignored=self._ignored)
        lacking = self._known.keys() - ids
        if 2 * len(lacking) > len(self._known):
            raise PricingError(f"The list lacks {len(lacking)} of {len(self._known)} models.")
        gone = [known["id"] for name, known in self._known.items() if name not in self._models]
        models = tuple(self._models.values())
        check_models(models)
        return Merged(models, tuple(self._held_back), tuple(gone), self._ignored)

    def _take(self, entry: Any) -> bool:
        """Take one entry in; return whether it was of use."""
        name = entry.get("id") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or name in self._models:
            return False
        if self._only and not any(fnmatchcase(name, pattern) for pattern in self._only):
            return False
        known = self._known.get(name)
        aliases = [] if known else self._free_names(entry)
        model = _pruned(entry, aliases)
        if model is None:
            self._ignored += known is None
            if known is not None:
                self._models[name] = known
            return False
        if known is not None:
            kept = {each: known[each] for each in ("id", "alias_ids") if each in known}
            model = {**model, **kept, "forwarded_model_id": name}
            if self._jump_max is not None and _jumps(known, model, self._jump_max):
                self._held_back.append(known["id"])
                model = {**model, "pricing": known["pricing"]}
        self._models[name] = model
        return True

    def _free_names(self, entry: Model) -> list[str]:
        """Return other names that an upstream gives a new model, if no other model has them."""
        names = [*_texts(entry.get("alias_ids")), entry.get("canonical_slug")]
        free = [n for n in names if isinstance(n, str) and n not in self._taken]
        self._taken.update(free)
        return free


def _jumps(known: Model, model: Model, jump_max: Fraction) -> bool:
    before, after = _price_of(known), _price_of(model)
    for name in COMPONENTS:
        was, now = before.component(name), after.component(name)
        # Something beside the words that used to be free is better sold at its price.
        if not was and name not in CORE:
            continue
        if now > was * jump_max or was > now * jump_max:
            return True
    return False


def _price_of(model: Model) -> ModelPrice:
    return from_models_json([{**model, "alias_ids": []}], Fraction(0)).models[model["id"]]


def _pruned(entry: Model, names: Sequence[object]) -> dict[str, Any] | None:
    """Return what is kept of an entry that is known by `names`, too; None without a price."""
    name = entry["id"]
    pricing = _pricing(entry.get("pricing"))
    if pricing is None or not 0 < len(name) <= TEXT_MAX:
        return None
    aliases = list(dict.fromkeys(n for n in names if isinstance(n, str) and n and n != name))
    found: dict[str, Any] = {"id": name, "pricing": pricing, "alias_ids": aliases[:ALIASES_MAX]}
    found |= {each: str(entry[each])[:TEXT_MAX] for each in TEXTS if _is_text(entry.get(each))}
    if found.get("canonical_slug") not in (*aliases, name):
        found.pop("canonical_slug", None)
    if _is_text(entry.get("description")):
        found["description"] = entry["description"][:DESCRIPTION_MAX]
    found |= {each: entry[each] for each in NUMBERS if _is_count(entry.get(each))}
    top, made = entry.get("top_provider"), entry.get("architecture")
    if isinstance(top, Mapping):
        found["top_provider"] = {n: top[n] for n in TOP_NUMBERS if _is_count(top.get(n))}
    if isinstance(made, Mapping):
        found["architecture"] = _architecture(made)
    forwarded = entry.get("forwarded_model_id")
    found["forwarded_model_id"] = str(forwarded)[:TEXT_MAX] if _is_text(forwarded) else name
    return found


def _pricing(pricing: object) -> dict[str, Any] | None:
    """Return prices as texts, or None where one makes no sense or a needed one is missing."""
    if not isinstance(pricing, Mapping) or any(pricing.get(name) is None for name in CORE):
        return None
    prices: dict[str, Any] = {}
    for name in COMPONENTS:
        if pricing.get(name) is not None:
            prices[name] = _usd(pricing[name])
    sizes = pricing.get("image_sizes")
    if isinstance(sizes, Mapping) and sizes:
        by_size = {str(size)[:TEXT_MAX]: _usd(price) for size, price in sizes.items()}
        prices["image_sizes"] = by_size
        if None in by_size.values():
            return None
    return None if None in prices.values() else prices


def _usd(price: object) -> str | None:
    try:
        number = exact(price)
    except ValueError:
        return None
    return str(price) if 0 <= number <= USD_MAX else None


def _architecture(made: Model) -> dict[str, Any]:
    kinds = {name: _texts(made.get(name)) for name in MODALITIES}
    modality = (
        {"modality": made["modality"][:TEXT_MAX]} if _is_text(made.get("modality")) else {}
    )
    return {**modality, **{name: texts for name, texts in kinds.items() if texts}}


def _texts(value: object) -> list[str]:
    texts = value if isinstance(value, list) else ()
    return [text[:TEXT_MAX] for text in texts if _is_text(text)][:ALIASES_MAX]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53


def _is_disabled(entry: object) -> bool:
    return isinstance(entry, Mapping) and entry.get("enabled") is False
