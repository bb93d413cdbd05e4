"""The rates: what one bitcoin was worth in US dollars, from which event of the log on."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from domain.hold import Charged, Held
from domain.msat import MSAT_PER_BTC
from domain.rate import RateObserved
from projections.sheet import Line, Sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from domain.event import Entry, Event

    Query = Callable[..., list[tuple[Any, ...]]]

RATES_KEPT = 1_000
USD_DIGITS = 8
"""Decimals of an amount in dollars. At 50,000 dollars a bitcoin, a msat is 0.00000050."""

OF_LINE = (
    "CASE WHEN journal.btc_usd <> '' THEN journal.btc_usd ELSE (SELECT rate.btc_usd FROM rate"
    " WHERE rate.position <= journal.position ORDER BY rate.position DESC LIMIT 1) END"
)
"""The rate of a line of the journal, in SQL: its event's own, else the newest before it."""


def named_in(event: Event) -> str:
    """Return the rate that an event was priced at, empty if it names none."""
    return event.terms.btc_usd if isinstance(event, Held | Charged) else ""


def observed_in(event: Event) -> str:
    """Return the rate that an event has observed, empty if it is about something else."""
    return event.btc_usd if isinstance(event, RateObserved) else ""


def rate_before(query: Query, moment: datetime | None, upto: int) -> str:
    """Return the newest rate observed before `moment` and up to the position `upto`, if any."""
    until, values = ("", ()) if moment is None else (" AND at < ?", (moment,))
    # By its time where one is asked for: that is what its index is for.
    order = "position" if moment is None else "at DESC, position"
    found = query(
        f"SELECT btc_usd FROM rate WHERE position <= ?{until}"  # noqa: S608
        f" ORDER BY {order} DESC LIMIT 1",
        (upto, *values),
    )
    return str(found[0][0]) if found else ""


def usd(amount_msat: int, btc_usd: str, digits: int = USD_DIGITS) -> str:
    """Return what an amount is worth in dollars, rounded half to even; empty without a rate.

    >>> usd(1_234_567, "50000"), usd(-1, "50000"), usd(5, "50000", 5), usd(1, "")
    ('0.61728350', '-0.00000050', '0.00000', '')
    """
    if not btc_usd:
        return ""
    rate = _exact(btc_usd)
    # One fraction of whole numbers: to reduce each product would take thrice as long.
    amount = amount_msat * rate.numerator * 10**digits
    parts = round(Fraction(amount, rate.denominator * MSAT_PER_BTC))
    whole, rest = divmod(abs(parts), 10**digits)
    return f"{'-' if parts < 0 else ''}{whole}.{rest:0{digits}d}"


_exact = lru_cache(RATES_KEPT)(Fraction)
"""Reads a rate; a statement of many lines has few of them."""


def lines(position: int, entry: Entry) -> Sequence[Line]:
    """Return a line for each rate that was observed."""
    btc_usd = observed_in(entry.event)
    return [(position, entry.event.at, btc_usd)] if btc_usd else []


RATES = Sheet(
    name="rate",
    columns=(("position", "int"), ("at", "time"), ("btc_usd", "text")),
    key_count=1,
    indexes=(("rate_at", "(at, position)"),),
    lines=lines,
)
