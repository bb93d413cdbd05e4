"""Providers as they are set up: whom we ask, on what terms, and what they sell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.errors import InvalidProviderError, PricingError
from domain.exact import exact
from domain.price_list import from_models_json

MODELS_MAX = 2_000
PATTERNS_MAX = 50
TEXT_MAX = 200
KEY_BYTES_MAX = 2_000
URL_MAX = 500
FEE_MAX = 100
PRIORITY_MAX = 1_000
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")

Model = Mapping[str, Any]
"""A model in the shape of models.json, of whose members only the known ones are kept."""


class Provider(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Who is asked for models, and on what terms.

    `sealed_key` is our key there, which opens with the seed alone. What the provider asks is
    raised by the factor `fee`, a decimal text. Of routes that cost the same, the lowest
    `priority` is first. With `lists`, its own list of models is asked for again and again,
    and those are taken whose id is like one of the patterns `only`, all if there are none.
    """

    base_url: str
    sealed_key: bytes = b""
    fee: str = "1"
    priority: int = 0
    enabled: bool = True
    lists: bool = False
    only: tuple[str, ...] = ()


class ProviderRow(NamedTuple):
    """A provider as it is now; `version` is its newest event's."""

    provider_id: UUID
    version: int
    provider: Provider
    models: tuple[Model, ...]


def check_provider(name: str, provider: Provider) -> None:
    """Raise `InvalidProviderError` for what cannot be meant."""
    if not NAME.fullmatch(name):
        raise InvalidProviderError("name", "must be 1 to 40 of a-z, 0-9, '.', '_' and '-'")
    if not 0 < len(provider.base_url) <= URL_MAX:
        raise InvalidProviderError("base_url", f"must have 1 to {URL_MAX} characters")
    if len(provider.sealed_key) > KEY_BYTES_MAX:
        raise InvalidProviderError("key", "is too long")
    if not 0 < _fee(provider.fee) <= FEE_MAX:
        raise InvalidProviderError("fee", f"must be above 0 and at most {FEE_MAX}")
    if abs(provider.priority) > PRIORITY_MAX:
        raise InvalidProviderError(
            "priority", f"must be from -{PRIORITY_MAX} to {PRIORITY_MAX}"
        )
    if len(provider.only) > PATTERNS_MAX or any(
        not 0 < len(pattern) <= TEXT_MAX for pattern in provider.only
    ):
        raise InvalidProviderError("only", f"must be at most {PATTERNS_MAX} patterns of ids")


def check_models(models: Sequence[Model]) -> None:
    """Raise `PricingError` for a catalogue that cannot be sold from."""
    if len(models) > MODELS_MAX:
        raise PricingError(f"There are more than {MODELS_MAX} models.")
    from_models_json(list(models), Fraction(0))


def margin_of(fee: str, house: Fraction) -> Fraction:
    """Return by how much prices are raised: by a provider's fee, and by the house's factor.

    >>> margin_of("1.05", Fraction(1))
    Fraction(1, 20)
    """
    return _fee(fee) * house - 1


def _fee(fee: str) -> Fraction:
    try:
        return exact(fee)
    except ValueError as error:
        raise InvalidProviderError("fee", str(error)) from error
