"""What the plain-text formats have in common: names of accounts, amounts, prices, safe text."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

from domain.msat import MSAT_PER_BTC, MSAT_PER_SAT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from projections.export.record import Record

OPENED = "1970-01-01"
"""Before any event: an account is open on whatever day it is first seen."""

EQUITY = "equity:opening"
"""Against it stand balances brought forward of some accounts only."""

HOUSE = {
    EQUITY: "Equity:Opening-Balances",
    "refunds:in_flight": "Liabilities:Refunds:InFlight",
    "tokens:outstanding": "Liabilities:Tokens:Outstanding",
    "house:earned": "Income:Earned",
    "house:donated": "Income:Donated",
    "house:shortfall": "Expenses:Shortfall",
    "house:lost": "Expenses:Lost",
    "lightning:in_flight": "Liabilities:Lightning:InFlight",
    "house:drawn": "Equity:Drawn",
    "house:fees:lightning": "Expenses:Fees:Lightning",
    "house:fees:mint": "Expenses:Fees:Mint",
}
TEXT_MAX = 200
MARK_CHARS = 8
NAMES_MAX = 50_000
SAT_PER_BTC_DIGITS = 8


@lru_cache(maxsize=NAMES_MAX)
def plain_name(account: str) -> str:
    """Return the name that beancount, hledger and ledger know `account` by.

    No two accounts share one: clients keep their whole id, mints get a mark of their URL.

    >>> plain_name("house:shortfall")
    'Expenses:Shortfall'
    """
    kind, _, rest = account.partition(":")
    if kind == "client":
        client, _, part = rest.rpartition(":")
        return f"Liabilities:Client:{client.upper()}:{part.capitalize()}"
    if kind in {"mint", "instant"}:
        host = re.sub(r"[^A-Za-z0-9]+", "-", rest.partition("://")[2]).strip("-")[:40]
        mark = sha256(rest.encode()).hexdigest()[:MARK_CHARS]
        return f"Assets:{kind.capitalize()}:{f'{host}-{mark}'.strip('-').capitalize()}"
    # What is added to the chart before it is named here still balances.
    words = "-".join(re.findall("[A-Za-z0-9]+", account))
    return HOUSE.get(account) or f"Equity:{words.capitalize()}"


def is_ours(account: str) -> bool:
    """Tell whether `account` is an asset or an expense: a debit, and below zero in the log.

    >>> is_ours("mint:https://m.example"), is_ours("house:earned")
    (True, False)
    """
    return plain_name(account).startswith(("Assets:", "Expenses:"))


def sat(amount_msat: int) -> str:
    """Return an amount in sat, to the msat.

    >>> sat(-1001)
    '-1.001'
    """
    whole, rest = divmod(abs(amount_msat), MSAT_PER_SAT)
    return f"{'-' if amount_msat < 0 else ''}{whole}.{rest:03d}"


def usd(amount_msat: int, btc_usd: str) -> str:
    """Return what `amount_msat` is worth in dollars, exactly; empty without a rate.

    >>> usd(100_000_000, "50000")
    '50'
    """
    if not btc_usd:
        return ""
    exact = Decimal(amount_msat) * Decimal(btc_usd) / Decimal(MSAT_PER_BTC)
    return format(exact.normalize(), "f")


def usd_per_sat(btc_usd: str) -> str:
    """Return the price of one sat in dollars.

    >>> usd_per_sat("50000")
    '0.00050000'
    """
    return format(Decimal(btc_usd).scaleb(-SAT_PER_BTC_DIGITS), "f")


def safe(text: str) -> str:
    """Return `text` so that no program takes any of it for a command; percent-encoded.

    >>> safe("gpt-x:free"), safe('"; [2020-01-01]')
    ('gpt-x:free', '%22%3B%20%5B2020-01-01%5D')
    """
    return quote(text[:TEXT_MAX].encode(errors="replace"), safe="-_./:@+")


def headline(record: Record) -> str:
    """Return what a record's transaction is called."""
    return "all of this day" if record.origin is None else safe(record.origin.stored.topic)


def facts(record: Record) -> dict[str, str]:
    """Return what is known of a record beside its amounts, safe to be written anywhere."""
    known = {"position": str(record.position)}
    if record.origin is None:
        known["events"] = str(record.events)
    else:
        known["time"] = record.origin.at.isoformat()
        known["model"] = safe(record.origin.model)
        known["request-id"] = str(record.origin.request_id or "")
    known["btc-usd"] = record.btc_usd
    return {name: value for name, value in known.items() if value}


def opening_legs(opening_msat: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield (name, amount in msat) of balances brought forward; they add up to zero."""
    for account, balance_msat in opening_msat.items():
        if balance_msat:
            yield account, -balance_msat
    rest_msat = sum(opening_msat.values())
    if rest_msat:
        yield EQUITY, rest_msat


def legs(record: Record) -> Iterator[tuple[str, int]]:
    """Yield (account, amount in msat) as accountants sign them: what we have is positive."""
    for source, destination, amount_msat in record.postings:
        yield source, amount_msat
        yield destination, -amount_msat
