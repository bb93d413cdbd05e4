"""How the pages write amounts, times, names and the fields of an event."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID as Identity  # noqa: N811  (UUID is a pattern here)

import msgspec

from domain.hold import Charged
from domain.posting import postings
from projections.rates import usd as worth

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from fractions import Fraction

    from domain.event import Event

MINUS = "\N{MINUS SIGN}"
MSAT_PER_SAT = 1000
MOST_USD = 10**9
ITEMS_MAX = 20
VALUE_CHARACTERS_MAX = 400
CLIENT = re.compile(r"client:([0-9a-f]{8}-[0-9a-f-]{27}):(available|held)", re.ASCII)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def sat(amount_msat: int | None) -> str:
    """Write an amount in sat, its msat as decimals that line up.

    >>> sat(1_234_567), sat(0), sat(None), sat(-5) == MINUS + "0.005"
    ('1,234.567', '0.000', '', True)
    """
    if amount_msat is None:
        return ""
    whole, rest = divmod(abs(amount_msat), MSAT_PER_SAT)
    return f"{MINUS if amount_msat < 0 else ''}{whole:,}.{rest:03d}"


def usd(amount_msat: int, btc_usd: str) -> str:
    """Write an amount in US dollars at a rate; below one dollar to a hundredth of a cent.

    >>> usd(1_000_000, "50000"), usd(2_000_000_000, "61234.56"), usd(1, "")
    ('$0.5000', '$1,224.69', '')
    """
    if not btc_usd:
        return ""
    dollars = Decimal(worth(amount_msat, btc_usd, 4))
    if abs(dollars) >= 1:
        dollars = Decimal(worth(amount_msat, btc_usd, 2))
    return f"{MINUS if dollars < 0 else ''}${abs(dollars):,}"


def price(each: Fraction | Decimal, count: int) -> str:
    """Write what `count` of something cost, to the sixth decimal.

    >>> price(3 * Decimal("5e-8"), 1_000_000), price(Decimal(0), 1)
    ('0.15', '0')
    """
    millionth = round(each * count * 10**6)
    return f"{Decimal(millionth).scaleb(-6):,f}".rstrip("0").rstrip(".")


def asked_price(text: str, count: int) -> str:
    """Write what a provider asks for `count` of something; as it is if it is no number.

    >>> asked_price("0.00000015", 1_000_000), asked_price("much", 1), asked_price("", 1)
    ('0.15', 'much', '')
    """
    try:
        each = Decimal(text)
    except InvalidOperation:
        return text
    return price(each, count) if each.is_finite() and abs(each) < MOST_USD else text


def time(at: datetime | None, zone: tzinfo = UTC) -> str:
    """Write a moment in a time zone, to the second.

    >>> time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02 03:04:05'
    """
    return "" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def ago(seconds: float) -> str:
    """Write how long something has lasted, in its largest whole unit.

    >>> ago(42), ago(7_300), ago(400_000)
    ('42 s', '2 h', '4 days')
    """
    for size, unit in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"{max(0, int(seconds))} s"


def short(name: object) -> str:
    """Shorten the identifiers in a name.

    >>> short("client:0f9d2c1e-8a3b-5c4d-9e6f-102030405060:held")
    'client:0f9d2c1e…:held'
    """
    return UUID.sub(lambda found: f"{found[0][:8]}…", str(name))


def owner(account: str) -> str:
    """Return how the statement of `account` is asked for: a client's by its id alone.

    >>> owner("house:earned")
    'house:earned'
    """
    found = CLIENT.fullmatch(account)
    return account if found is None else found[1]


def amount_msat(event: Event) -> int | None:
    """Return what an event is about: a charge's cost, else its first arrow; `None` if none."""
    if isinstance(event, Charged):
        return event.cost_msat
    arrows = postings(event)
    return arrows[0].amount_msat if arrows else None


def account_of(event: Event) -> str:
    """Return the id of the client whose money an event is about, empty if nobody's."""
    for holder in (event, *(getattr(event, part, None) for part in ("claim", "draft", "bill"))):
        account_id = getattr(holder, "account_id", None)
        if account_id is not None:
            return str(account_id)
    # Of a key that is made or bound it is the account that wanted it so.
    wanted_by = getattr(event, "parent_id", None) or getattr(event, "by", None)
    return str(wanted_by) if isinstance(wanted_by, Identity) else ""


def model_of(event: Event) -> str:
    """Return the model that a hold or a charge is for, else nothing."""
    terms = getattr(event, "terms", None)
    return "" if terms is None else str(terms.model)


def fields(
    event: Event, instead: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[str, str]]:
    """Yield every field of an event with its dotted name; what is sealed is only counted.

    Of the fields named in `instead`, that is told.
    """
    left: list[tuple[str, Any]] = [("", event)]
    while left:
        name, value = left.pop()
        inner = _inner(name, value)
        if inner is None:
            yield name, instead.get(name) or _text(value)
        else:
            left.extend(reversed(inner))


def _inner(name: str, value: Any) -> list[tuple[str, Any]] | None:
    """Return what `value` is made of, `None` if it is told in one line."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    elif isinstance(value, tuple | list) and value and not isinstance(value[0], int | str):
        told = [(f"{name}[{place}]", _plain(item)) for place, item in enumerate(value)]
        more = len(told) - ITEMS_MAX
        return [*told[:ITEMS_MAX], (name, f"and {more} more")] if more > 0 else told
    if not isinstance(value, dict) or "[" in name:
        return None
    dot = f"{name}." if name else ""
    return [(f"{dot}{key}", item) for key, item in value.items()]


def _plain(item: Any) -> Any:
    return msgspec.to_builtins(item) if isinstance(item, msgspec.Struct) else item


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes, sealed"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        text = ", ".join(f"{name} {inner}" for name, inner in value.items() if inner != "")
    elif isinstance(value, tuple | list):
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = str(value)
    if len(text) > VALUE_CHARACTERS_MAX:
        return f"{text[:VALUE_CHARACTERS_MAX]}…"
    return text
