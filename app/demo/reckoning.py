"""What the tour expects of every amount: worked out from public facts, not by the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MSAT_PER_SAT = 1_000
MSAT_PER_BTC = 100_000_000_000
PPK = 1_000


class NoPriceError(Exception):
    """The price list does not have the model."""


@dataclass(frozen=True, slots=True)
class Used:
    """The tokens an answer says it used; cached and reasoning ones are parts of the others."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0

    @classmethod
    def of(cls, usage: Mapping[str, Any]) -> Used:
        """Read the `usage` of an OpenAI-compatible answer.

        >>> Used.of({"prompt_tokens": 5, "completion_tokens": 7})
        Used(prompt=5, completion=7, cached=0, reasoning=0)
        """
        read = usage.get("prompt_tokens_details") or {}
        written = usage.get("completion_tokens_details") or {}
        return cls(
            prompt=usage["prompt_tokens"],
            completion=usage["completion_tokens"],
            cached=read.get("cached_tokens") or 0,
            reasoning=written.get("reasoning_tokens") or 0,
        )


@dataclass(frozen=True, slots=True)
class PriceTag:
    """What a model costs by the price list: US dollars, per token and per request."""

    prompt: Fraction
    completion: Fraction
    request: Fraction
    cached: Fraction
    reasoning: Fraction

    @classmethod
    def of(cls, path: Path, model: str) -> PriceTag:
        """Read the price of `model`, an id or an alias, from a models.json.

        Raises `NoPriceError`.
        """
        for entry in json.loads(path.read_text())["models"]:
            if model in {entry["id"], *entry.get("alias_ids", ())}:
                return cls._read(entry["pricing"])
        raise NoPriceError(model)

    @classmethod
    def _read(cls, pricing: Mapping[str, Any]) -> PriceTag:
        prompt = Fraction(str(pricing["prompt"]))
        completion = Fraction(str(pricing["completion"]))
        cached = pricing.get("input_cache_read")
        # A reasoning price of "0" is how a price list says that it has none of its own.
        reasoning = Fraction(str(pricing.get("internal_reasoning") or 0))
        return cls(
            prompt=prompt,
            completion=completion,
            request=Fraction(str(pricing.get("request") or 0)),
            cached=prompt if cached is None else Fraction(str(cached)),
            reasoning=reasoning or completion,
        )

    def usd(self, used: Used) -> Fraction:
        """Return what an answer costs at list price, in US dollars."""
        return (
            self.request
            + self.prompt * (used.prompt - used.cached)
            + self.cached * used.cached
            + self.completion * (used.completion - used.reasoning)
            + self.reasoning * used.reasoning
        )


@dataclass(frozen=True, slots=True)
class Deal:
    """What the house adds to a list price, as factors, and what it takes a bitcoin for."""

    exchange_fee: Fraction
    provider_fee: Fraction
    btc_usd: Fraction

    def __str__(self) -> str:
        fees = f"* {as_decimal(self.exchange_fee)} * {as_decimal(self.provider_fee)}"
        return f"{fees} at {as_decimal(self.btc_usd)} USD a bitcoin"

    def msat(self, price_usd: Fraction) -> Fraction:
        """Return what the house asks for `price_usd`, in msat, not yet rounded.

        >>> Deal(Fraction(1), Fraction("1.05"), Fraction(100_000)).msat(Fraction("0.001"))
        Fraction(1050, 1)
        """
        return price_usd * self.exchange_fee * self.provider_fee * MSAT_PER_BTC / self.btc_usd


def charge_msat(exact_msat: Fraction) -> int:
    """Return what is charged: a fraction of a msat costs a whole one.

    >>> charge_msat(Fraction("10.2"))
    11
    """
    return ceil(exact_msat)


def mint_fee_sat(proofs: int, fee_ppk: int) -> int:
    """Return what a mint takes for spending so many proofs in one swap (NUT-02).

    >>> mint_fee_sat(6, 100), mint_fee_sat(11, 100)
    (1, 2)
    """
    return ceil(Fraction(proofs * fee_ppk, PPK))


def refund_sat(available_msat: int) -> int:
    """Return what leaves an account that is refunded: whole satoshis only.

    >>> refund_sat(998_961)
    998
    """
    return available_msat // MSAT_PER_SAT


def as_decimal(number: Fraction, digits_max: int = 12) -> str:
    """Write a number as a person reads it: no more digits than it has, cut off at the last.

    >>> as_decimal(Fraction("10.289")), as_decimal(Fraction(100_000))
    ('10.289', '100,000')
    """
    cut = number.numerator * 10**digits_max // number.denominator
    whole, rest = divmod(cut, 10**digits_max)
    decimals = f"{rest:0{digits_max}}".rstrip("0")
    return f"{whole:,}.{decimals}" if decimals else f"{whole:,}"
