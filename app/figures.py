"""The back office's figures: what is open, who has how much, how far behind what is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from projections.chart import NotToldError, read_totals

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.metrics import Metrics
    from app.store.reads import PurseTotal
    from domain.guards import MovementRow, RateRow, ReconciledRow
    from projections.chart import Source

HOLD = "hold"


class Books(Protocol):
    """What is read of the store."""

    def head(self) -> int: ...

    def holds_open(self) -> tuple[int, datetime | None]: ...

    def open_movements(self) -> list[tuple[UUID, MovementRow]]: ...

    def purses(self) -> list[PurseTotal]: ...

    def rate(self) -> RateRow | None: ...

    def reconciled(self) -> dict[str, ReconciledRow]: ...

    def follower_position(self, name: str) -> int: ...


class Figures:
    """Reads the books and sets every gauge; on a store of its own, every few seconds."""

    def __init__(
        self,
        metrics: Metrics,
        books: Books,
        source: Source,
        followers: tuple[str, ...],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._metrics = metrics
        self._books = books
        self._source = source
        self._followers = followers
        self._clock = clock
        self._kinds: set[str] = set()

    def measure(self) -> None:
        """Set all gauges; those of money wait while the journal is made anew."""
        self._measure_open()
        for mint, row in self._books.reconciled().items():
            self._metrics.set_reconciled(mint, row.unexplained_msat, row.at.timestamp())
        rate = self._books.rate()
        if rate is not None:
            self._metrics.set_rate(rate.at.timestamp())
        head = self._books.head()
        lags = {name: head - self._books.follower_position(name) for name in self._followers}
        self._metrics.set_log(head, lags)
        try:
            self._metrics.set_money(read_totals(self._source))
        except NotToldError:
            return

    def _measure_open(self) -> None:
        now = self._clock()
        count, oldest = self._books.holds_open()
        self._metrics.set_open(HOLD, count, _age_s(oldest, now))
        movements = self._books.open_movements()
        counts = Counter(row.kind for _, row in movements)
        # A kind of which nothing is open any more must not keep its last figure.
        self._kinds |= counts.keys()
        for kind in self._kinds:
            begun = min((row.at for _, row in movements if row.kind == kind), default=None)
            self._metrics.set_open(kind, counts[kind], _age_s(begun, now))


def _age_s(begun: datetime | None, now: datetime) -> float:
    return 0.0 if begun is None else max(0.0, (now - begun).total_seconds())
