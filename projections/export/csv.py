"""Tables as CSV that a spreadsheet can open without running anything."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from projections.export.plain import sat, usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from projections.export.record import Record

COLUMNS = (
    "position",
    "day",
    "time",
    "stream",
    "topic",
    "model",
    "request_id",
    "source",
    "destination",
    "amount_msat",
    "amount_sat",
    "btc_usd",
    "amount_usd",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What spreadsheets take for the beginning of a formula, or cut off before one."""


def journal_csv(records: Iterable[Record]) -> Iterator[str]:
    """Yield a heading, and a line for each arrow."""
    yield from table(COLUMNS, (row for record in records for row in _rows(record)))


def table(heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    r"""Yield `rows` as CSV (RFC 4180); texts that could be formulas get an apostrophe.

    Numbers are numbers: what stands for an amount is to be an int or a `Number`.

    >>> "".join(table(["a", "b"], [["=1+1", -1]]))
    "a,b\r\n'=1+1,-1\r\n"
    """
    writer = csv.writer(_Echo())
    yield writer.writerow(heading)
    for row in rows:
        yield writer.writerow([_inert(cell) for cell in row])


class Number(str):
    """A decimal number of ours, which may begin with a minus."""

    __slots__ = ()


class _Echo:
    """A file that hands back what is written to it."""

    @staticmethod
    def write(text: str) -> str:
        return text


def _inert(cell: object) -> object:
    if isinstance(cell, Number) or not isinstance(cell, str):
        return cell
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _rows(record: Record) -> Iterator[tuple[Any, ...]]:
    origin = record.origin
    if origin is None:
        what: tuple[Any, ...] = ("", "", "", "", "")
    else:
        time, request_id = origin.at.isoformat(), str(origin.request_id or "")
        what = (time, str(origin.stream), origin.stored.topic, origin.model, request_id)
    for source, destination, amount_msat in record.postings:
        amount = (amount_msat, Number(sat(amount_msat)))
        worth = (Number(record.btc_usd), Number(usd(amount_msat, record.btc_usd)))
        yield (record.position, record.day, *what, source, destination, *amount, *worth)
