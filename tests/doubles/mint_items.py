"""The kinds of things that a mint in memory keeps."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from app.gateways.mint import crypto

if TYPE_CHECKING:
    from coincurve import PrivateKey


class Payment(StrEnum):
    """What becomes of a payment, in the words of nutshell's pretended wallet."""

    SETTLED = "SETTLED"
    PENDING = "PENDING"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


class RefusalError(Exception):
    """What the mint answers with status 400."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass
class FakeKeyset:
    unit: str
    fee_ppk: int
    secret_keys: dict[int, PrivateKey]
    active: bool = True
    version: int = 2
    keys: dict[int, str] = field(init=False)
    id: str = field(init=False)

    def __post_init__(self) -> None:
        pairs = self.secret_keys.items()
        self.keys = {amount: key.public_key.format().hex() for amount, key in pairs}
        if self.version == 1:
            self.id = crypto.keyset_id_v1(self.keys)
        else:
            self.id = crypto.keyset_id_v2(self.keys, self.unit, self.fee_ppk, None)


@dataclass
class FakeQuote:
    id: str
    request: str
    amount: int
    unit: str
    state: str = "UNPAID"
    pubkey: str | None = None
    fee_reserve: int = 0
    expiry: int | None = field(default_factory=lambda: int(time.time()) + 3600)
    change: list[dict[str, Any]] = field(default_factory=list)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)


def quote_json(quote: FakeQuote) -> dict[str, Any]:
    return {
        "quote": quote.id,
        "request": quote.request,
        "amount": quote.amount,
        "unit": quote.unit,
        "state": quote.state,
        "expiry": quote.expiry,
        "pubkey": quote.pubkey,
        "fee_reserve": quote.fee_reserve,
        "change": quote.change or None,
    }
