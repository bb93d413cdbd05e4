"""Telling a client what its request cost, in the places existing clients look."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from domain.bounds import Usage
    from domain.pricing import Cost


def cost_document(cost: Cost, usage: Usage | None) -> dict[str, object]:
    """Return what a request cost, as existing clients read it."""
    document: dict[str, object] = {
        "base_msats": cost.base.msat,
        "input_msats": cost.input.msat,
        "output_msats": cost.output.msat,
        "total_msats": cost.total.msat,
    }
    if usage is not None:
        document["input_tokens"] = usage.prompt_tokens
        document["output_tokens"] = usage.completion_tokens
    return document


def cost_headers(cost: Cost) -> dict[str, str]:
    return {
        "x-routstr-cost-msats": str(cost.total.msat),
        "x-routstr-input-cost-msats": str(cost.input.msat),
        "x-routstr-output-cost-msats": str(cost.output.msat),
    }


def told(document: dict[str, Any], cost: dict[str, object]) -> bytes:
    """Return an answer with its cost beside and inside its usage."""
    document["cost"] = cost
    if isinstance(document.get("usage"), dict):
        document["usage"]["cost"] = cost
    return json.dumps(document, ensure_ascii=False).encode()
