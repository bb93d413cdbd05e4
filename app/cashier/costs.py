"""Telling a client what its request cost, in the places existing clients look."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from app.cashier.documents import written
from domain.msat import MSAT_PER_SAT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.bounds import Usage
    from domain.cost import Cost
    from domain.msat import Msat
    from domain.pricing import MsatPerUsd

USD_DECIMALS = 12
PROVIDER, PROVIDER_HEADER = "provider", "x-routstr-provider"
REMAINING = "remaining_balance_msats"
# Beside the usage these are told already, by the names of its dialect.
TOKENS = frozenset({"input_tokens", "output_tokens"})


def cost_document(
    cost: Cost,
    usage: Usage | None,
    rate: MsatPerUsd | None,
    provider: str = "",
    remaining_msat: int | None = None,
) -> dict[str, object]:
    """Return what a request cost, as existing clients read it, who served it, what is left.

    The cache's amounts are parts of `input_msats`. Dollars are told where there is a rate:
    as a number, which is for showing only and charged by nobody.
    """
    document: dict[str, object] = {
        "base_msats": cost.base.msat,
        "input_msats": cost.input.msat,
        "output_msats": cost.output.msat,
        "total_msats": cost.total.msat,
        "cache_read_input_tokens": 0 if usage is None else usage.cached_tokens,
        "cache_creation_input_tokens": 0 if usage is None else usage.cache_write_tokens,
        "cache_read_msats": cost.cache_read.msat,
        "cache_creation_msats": cost.cache_write.msat,
    }
    if rate is not None:
        document["total_usd"] = float(usd(cost.total, rate))
    if usage is not None:
        document["input_tokens"] = usage.prompt_tokens
        document["output_tokens"] = usage.completion_tokens
    if provider:
        document[PROVIDER] = provider
    if remaining_msat is not None:
        document[REMAINING] = remaining_msat
    return document


def cost_headers(cost: Cost, rate: MsatPerUsd | None) -> dict[str, str]:
    headers = {
        "x-routstr-cost-msats": str(cost.total.msat),
        "x-routstr-input-cost-msats": str(cost.input.msat),
        "x-routstr-output-cost-msats": str(cost.output.msat),
    }
    if rate is not None:
        headers["x-routstr-cost-usd"] = usd(cost.total, rate)
    return headers


def usd(amount: Msat, rate: MsatPerUsd) -> str:
    """Return `amount` in US dollars, as a decimal text of at most 12 decimals.

    >>> from domain.msat import Msat
    >>> from domain.pricing import MsatPerUsd
    >>> usd(Msat(34), MsatPerUsd.from_btc_usd(Fraction(100_000)))
    '0.000034'
    """
    scale = 10**USD_DECIMALS
    whole, decimals = divmod(round(Fraction(amount.msat) / rate.value * scale), scale)
    return f"{whole}.{decimals:0{USD_DECIMALS}}".rstrip("0").removesuffix(".")


def add_cost(document: dict[str, Any], told: Mapping[str, object]) -> None:
    """Put the cost of an answer, or of the last event of one, wherever clients look for it.

    That is beside and inside its usage, and under `metadata.routstr`.
    """
    cost = dict(told)
    # Ours, in place of what an upstream says of those behind it.
    provider, remaining_msat = cost.pop(PROVIDER, None), cost.pop(REMAINING, None)
    if provider is not None:
        document[PROVIDER] = provider
    document["cost"] = cost
    within = {name: value for name, value in cost.items() if name not in TOKENS}
    total_msat = cost.get("total_msats")
    cost_sat = -(-total_msat // MSAT_PER_SAT) if isinstance(total_msat, int) else None
    left = {} if remaining_msat is None else {REMAINING: remaining_msat}
    for holder in (document, document.get("response")):
        if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
            holder["usage"] |= {"cost": within, "cost_sats": cost_sat, **left}
    metadata = document.get("metadata") or {}
    if isinstance(metadata, dict):
        noted = {**cost, "sats_cost": cost_sat, **left}
        document["metadata"] = {**metadata, "routstr": {"cost": noted}}


def told(document: dict[str, Any], cost: Mapping[str, object]) -> bytes:
    """Return an answer with its cost beside and inside its usage."""
    add_cost(document, cost)
    return written(document)
