"""A receipt: what one request was charged for, signed by the house."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from domain.hold import Charged, Metered, Released

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.event import Entry
    from projections.checkpoint import Check, Sign, VerifierKey

FORM = "tallystick-receipt-v1"
PREFIX = FORM.encode() + b"\n"
"""Stands before what is signed, so that it can be taken for nothing else that is."""
LENGTH_MAX = 100_000


class ReceiptError(Exception):
    """It is no receipt, or not one that this house has signed."""


def receipt_of(house: str, entry: Entry, position: int, leaf: bytes) -> dict[str, Any] | None:
    """Return what the end of a hold says of its request; None for any other event.

    `leaf` is the event's hash in the log's tree, at its `position`; with both it can be
    found in an export, and proved to be under a checkpoint. Amounts are in msat.
    """
    event = entry.event
    if not isinstance(event, Charged | Released):
        return None
    document = {
        "form": FORM,
        "house": house,
        "request_id": str(entry.stream),
        "at": event.at.isoformat(),
        "position": position,
        "event": leaf.hex(),
        "held_msat": event.held_msat,
        "charged_msat": 0,
    }
    if isinstance(event, Released):
        return document
    usage = {name: getattr(event.usage, name) for name in Metered.__struct_fields__}
    return {
        **document,
        "charged_msat": event.cost_msat - event.shortfall_msat,
        "cost_msat": event.cost_msat,
        "model": event.terms.model,
        "price_version": event.terms.price_version,
        "btc_usd": event.terms.btc_usd,
        "usage": usage,
    }


def signed_text(receipt: Mapping[str, Any]) -> bytes:
    r"""Return the bytes that are signed: the form, a line end, the canonical JSON (RFC 8785).

    There are no numbers but whole ones, and no names but ASCII ones.

    >>> signed_text({"b": 1, "a": "é"})
    b'tallystick-receipt-v1\n{"a":"\xc3\xa9","b":1}'
    """
    text = json.dumps(receipt, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return PREFIX + text.encode()


def signed(receipt: Mapping[str, Any], key: VerifierKey, sign: Sign) -> dict[str, Any]:
    """Return a receipt with its signature and the key that made it."""
    signature = base64.b64encode(sign(signed_text(receipt))).decode()
    return {"receipt": dict(receipt), "signature": signature, "key": str(key)}


def opened(text: str, key: VerifierKey, check: Check) -> dict[str, Any]:
    """Return the receipt in `text`, if the house of `key` has signed it.

    The key beside the receipt is not looked at: whoever made a false one would have put
    its own there. Raises `ReceiptError`.
    """
    try:
        document: Any = json.loads(text) if len(text) <= LENGTH_MAX else None
        receipt = document["receipt"]
        signature = base64.b64decode(document["signature"], validate=True)
        message = signed_text(receipt)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
        raise ReceiptError("this is not a receipt") from error
    if not isinstance(receipt, dict) or receipt.get("form") != FORM:
        raise ReceiptError("this is not a receipt of a form that is known")
    if not check(signature, message):
        raise ReceiptError(f"it is not signed by {key}")
    if receipt.get("house") != key.name:
        raise ReceiptError(f"it is not of {key.name}")
    return receipt
