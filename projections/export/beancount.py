"""The log as a beancount file: one transaction a record, amounts in SAT to the msat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.export.plain import (
    OPENED,
    facts,
    headline,
    legs,
    opening_legs,
    plain_name,
    safe,
    sat,
    usd_per_sat,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from projections.export.record import Record

HEADER = f"""\
option "title" "Tallystick"
option "operating_currency" "SAT"
{OPENED} commodity SAT
  name: "Satoshi, with three decimals: to the msat"
{OPENED} commodity USD
"""


def beancount(
    records: Iterable[Record], begin: str = "", opening_msat: Mapping[str, int] | None = None
) -> Iterator[str]:
    """Yield the file bit by bit; balances brought forward stand on the day `begin`."""
    opened: set[str] = set()
    day = rate = ""
    yield HEADER
    if opening_msat:
        yield f'\n{begin} * "balances brought forward"\n'
        yield from _legs(opening_legs(opening_msat), opened)
    for record in records:
        if record.day != day:
            yield from _price(day, rate)
            day, rate = record.day, ""
        rate = record.btc_usd or rate
        if record.postings:
            yield _head(record)
            yield from _legs(legs(record), opened)
    yield from _price(day, rate)


def _head(record: Record) -> str:
    link = f" ^{record.origin.stream}" if record.origin else ""
    known = "".join(f'  {name}: "{value}"\n' for name, value in facts(record).items())
    return f'\n{record.day} * "{headline(record)}"{link}\n{known}'


def _legs(amounts: Iterable[tuple[str, int]], opened: set[str]) -> Iterator[str]:
    fresh: dict[str, None] = {}
    for account, amount_msat in amounts:
        if account not in opened:
            fresh[account] = None
        yield f"  {plain_name(account)}  {sat(amount_msat)} SAT\n"
    # Beancount sorts by day: an account may be opened further down.
    for account in fresh:
        opened.add(account)
        yield f'\n{OPENED} open {plain_name(account)} SAT\n  account: "{safe(account)}"\n'


def _price(day: str, rate: str) -> Iterator[str]:
    if rate:
        yield f"\n{day} price SAT {usd_per_sat(rate)} USD\n"
