"""Small readers of what is exported, written apart from what wrote it."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

from app.store.mapper import LedgerMapper
from projections.export.plain import plain_name
from projections.export.record import Record, Selection, records
from projections.moments import Period
from tests.projections.story import books_of, stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domain.event import Entry

LEG = re.compile(r"\s+((?:Assets|Liabilities|Income|Expenses|Equity):\S+)  (-?\d+\.\d{3}) SAT")
EVERYTHING = Selection(Period())


def told(entries: Iterable[Entry], selection: Selection = EVERYTHING) -> list[Record]:
    """The records of `entries`, stored at the positions 1, 2, 3…"""
    return list(records(stored(entries, LedgerMapper()), selection))


def transactions(text: str) -> list[Counter[str]]:
    """What each transaction of a plain-text file adds to which account, in msat."""
    found: list[Counter[str]] = []
    for line in text.splitlines():
        if re.match(r"\d{4}-\d\d-\d\d \*", line):
            found.append(Counter())
        elif leg := LEG.fullmatch(line):
            found[-1][leg[1]] += int(Decimal(leg[2]) * 1000)
    return found


def totals(text: str) -> dict[str, int]:
    """What a plain-text file comes to by account, in msat, zeros left out."""
    sums: Counter[str] = Counter()
    for transaction in transactions(text):
        sums.update(transaction)
    return {account: msat for account, msat in sums.items() if msat}


def as_accountants_sign(books: Mapping[str, int]) -> dict[str, int]:
    """What the books say, under the names of the plain-text formats."""
    return {plain_name(account): -msat for account, msat in books.items()}


def expected(entries: Iterable[Entry]) -> dict[str, int]:
    return as_accountants_sign(books_of(entries))
