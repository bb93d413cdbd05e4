"""The log as a journal that hledger and ledger read: one transaction a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.export.plain import (
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

HEADER = """\
; Tallystick: amounts in SAT with three decimals, to the msat
commodity SAT
    format 1000.000 SAT
commodity USD
    format 1000.00000000 USD
"""


def hledger(
    records: Iterable[Record], begin: str = "", opening_msat: Mapping[str, int] | None = None
) -> Iterator[str]:
    """Yield the file bit by bit; balances brought forward stand on the day `begin`."""
    declared: set[str] = set()
    day = rate = ""
    yield HEADER
    if opening_msat:
        amounts = list(opening_legs(opening_msat))
        yield from _declared((account for account, _ in amounts), declared)
        yield f"\n{begin} * balances brought forward\n"
        yield from map(_leg, amounts)
    for record in records:
        if record.day != day:
            yield from _price(day, rate)
            day, rate = record.day, ""
        rate = record.btc_usd or rate
        if record.postings:
            yield from _declared((account for account, _ in legs(record)), declared)
            yield _head(record)
            yield from map(_leg, legs(record))
    yield from _price(day, rate)


def _head(record: Record) -> str:
    known = facts(record)
    if record.origin is not None:
        known["stream"] = str(record.origin.stream)
    lines = "".join(f"    ; {name}: {value}\n" for name, value in known.items())
    return f"\n{record.day} * {headline(record)}\n{lines}"


def _leg(leg: tuple[str, int]) -> str:
    account, amount_msat = leg
    return f"    {plain_name(account)}  {sat(amount_msat)} SAT\n"


def _declared(accounts: Iterable[str], declared: set[str]) -> Iterator[str]:
    for account in accounts:
        if account not in declared:
            declared.add(account)
            yield f"\naccount {plain_name(account)}\n    ; account: {safe(account)}\n"


def _price(day: str, rate: str) -> Iterator[str]:
    if rate:
        yield f"\nP {day} SAT {usd_per_sat(rate)} USD\n"
