"""How the house stood with its mints at a moment of the past, as far as the log tells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from domain.guards import FREE, OUT, RESERVED, GuardRows
from domain.msat import MSAT_PER_UNIT
from domain.posting import mint as account_of_mint
from domain.reconcile import Compared, Reconciled
from projections.books import Books

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime


class Log(Protocol):
    """What is read."""

    def head(self) -> int:
        """Return the newest position of the log."""

    def log(self, after: int = 0, upto: int | None = None) -> Iterator[Any]:
        """Yield pages of (position, entry), in order."""


@dataclass(slots=True)
class Past:
    """What was booked at a mint, and in which state our proofs there were.

    A mint's word on a proof cannot be asked for the past: `compared` is what it said when
    it was last asked before that moment, at `asked_at`.
    """

    booked_msat: int = 0
    msat: Counter[str] = field(default_factory=Counter)
    compared: Compared | None = None
    asked_at: datetime | None = None

    @property
    def free_msat(self) -> int:
        return self.msat[FREE]

    @property
    def in_flight_msat(self) -> int:
        return self.msat[RESERVED]

    @property
    def uncollected_msat(self) -> int:
        return self.msat[OUT]

    @property
    def unexplained_msat(self) -> int:
        """What the books and the purse differ by, and what the mint called unexplained."""
        missing_msat = self.compared.missing_msat if self.compared else 0
        return self.booked_msat - self.msat.total() + missing_msat


def as_of(
    log: Log, moment: datetime, progress: Callable[[int, int], None]
) -> tuple[int, dict[str, Past]]:
    """Return how things stood by mint, and the position of the last event before `moment`.

    Raises `LedgerBrokenError` when the log itself does not hold.
    """
    rows, books = GuardRows(tracked=False), Books()
    told: dict[str, Past] = {}
    position, head = 0, log.head()
    for page in log.log(0, head):
        for place, (stream, version, event) in page:
            if event.at >= moment:
                return position, _stood(rows, books, told)
            event.apply(rows, stream, version)
            books.post(event)
            if isinstance(event, Reconciled):
                past = told.setdefault(event.mint, Past())
                past.compared, past.asked_at = event.compared, event.at
            position = place
        progress(position, head)
    return position, _stood(rows, books, told)


def _stood(rows: GuardRows, books: Books, told: dict[str, Past]) -> dict[str, Past]:
    for row in rows.proofs.rows.values():
        past = told.setdefault(row.mint, Past())
        past.msat[row.state] += row.amount * MSAT_PER_UNIT[row.unit]
    prefix = account_of_mint("")
    for account, balance_msat in books.balances_msat.items():
        if account.startswith(prefix):
            told.setdefault(account.removeprefix(prefix), Past()).booked_msat = -balance_msat
    return dict(sorted(told.items()))
