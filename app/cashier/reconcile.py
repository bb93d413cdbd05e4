"""Comparing three tellings of one thing: the log, the purse, and what each mint says."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.gateways.errors import GatewayError
from app.gateways.mint.errors import TokenError
from app.gateways.mint.wire import ProofState
from domain.guards import FREE, OUT, MovementRow, ProofKey, ProofRow, ReconciledRow
from domain.msat import MSAT_PER_UNIT
from domain.posting import mint as account_of_mint
from domain.reconcile import Compared
from projections.chart import Source, account_msat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from app.gateways.mint.mints import Mints
    from domain.ledger import Ledger

logger = logging.getLogger(__name__)

BATCH = 1_000
"""Proofs of which the states are asked before the rows are looked at again."""

RECORD_AFTER = timedelta(days=1)
"""How often a comparison that tells nothing new is written down."""

ITEMS_MAX = 10_000
FREE_TO_SPEND, IN_FLIGHT, STUCK = "free", "in flight", "stuck at mint"
UNCOLLECTED, UNEXPLAINED = "uncollected", "unexplained"
NAMES = (FREE_TO_SPEND, IN_FLIGHT, STUCK, UNCOLLECTED, UNEXPLAINED)


class Books(Source, Protocol):
    """What a comparison reads of the store."""

    def holdings(self, mint: str) -> tuple[int, dict[ProofKey, ProofRow]]: ...

    def open_movements(self) -> list[tuple[UUID, MovementRow]]: ...

    def proofs(self, keys: Sequence[ProofKey]) -> dict[ProofKey, ProofRow]: ...

    def reconciled(self) -> dict[str, ReconciledRow]: ...


class Item(NamedTuple):
    """A proof that cannot be spent just now, and the name of the reason."""

    name: str
    key: ProofKey
    amount_msat: int
    movement: UUID | None
    state: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was found at a mint at the position `upto`; `trouble` if it could not be asked.

    `items` are the proofs behind every figure but the free ones, at most `ITEMS_MAX`.
    """

    mint: str
    at: datetime
    upto: int = 0
    compared: Compared | None = None
    items: tuple[Item, ...] = ()
    trouble: str = ""


@dataclass(slots=True)
class _Sorted:
    msat: Counter[str] = field(default_factory=Counter)
    items: list[Item] = field(default_factory=list)


class Reconciliation:
    """Asks every mint about all our proofs there (NUT-07), and gives each difference a name.

    The ledger's account of the mint, our proofs and the movements are read at one position
    of the log. What the service does while the mint is being asked is seen by looking at
    the rows a second time before anything is called unexplained.
    """

    def __init__(
        self,
        ledger: Ledger,
        mints: Mints,
        books: Books,
        stuck_after: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._mints = mints
        self._books = books
        self._stuck_after = stuck_after
        self._clock = clock

    def run(self, *, record: bool = True) -> list[Report]:
        """Compare at every mint, `record` what is news, alarm about what is unexplained.

        Raises `NotToldError` while the journal is made anew.
        """
        reports = [self.compare(url) for url in self._mints.urls]
        known = self._books.reconciled()
        for report in reports:
            if report.compared is None:
                logger.warning("mint %s was not compared: %s", report.mint, report.trouble)
                continue
            if record:
                self._record(report, report.compared, known.get(report.mint))
        return reports

    def compare(self, mint: str) -> Report:
        """Compare at one mint, and record nothing."""
        now = self._clock()
        upto, rows = self._books.holdings(mint)
        booked_msat = -account_msat(self._books, account_of_mint(mint), upto)
        since = {stream: row.at for stream, row in self._books.open_movements()}
        try:
            found = self._sort(mint, rows, since, now)
        except (GatewayError, TokenError) as error:
            return Report(mint, now, upto, trouble=type(error).__name__)
        compared = Compared(
            booked_msat=booked_msat,
            free_msat=found.msat[FREE_TO_SPEND],
            in_flight_msat=found.msat[IN_FLIGHT],
            stuck_msat=found.msat[STUCK],
            uncollected_msat=found.msat[UNCOLLECTED],
            missing_msat=found.msat[UNEXPLAINED],
        )
        return Report(mint, now, upto, compared, tuple(found.items))

    def _sort(
        self,
        mint: str,
        rows: Mapping[ProofKey, ProofRow],
        since: Mapping[UUID, datetime],
        now: datetime,
    ) -> _Sorted:
        wallet, found = self._mints.get(mint), _Sorted()
        keys = sorted(rows)
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            states = dict(zip(batch, wallet.states(batch), strict=True))
            again = self._again(rows, states)
            for key, state in states.items():
                row = rows[key]
                name = _name(row, state, changed=key in again)
                begun = since.get(row.movement, now) if row.movement else now
                if name == IN_FLIGHT and now - begun > self._stuck_after:
                    name = STUCK
                _put(found, Item(name, key, _msat(row), row.movement, state.name.lower()))
        return found

    def _again(
        self, rows: Mapping[ProofKey, ProofRow], states: Mapping[ProofKey, ProofState]
    ) -> set[ProofKey]:
        """Return the free proofs that cannot be spent because a movement took them just now."""
        doubtful = [
            key
            for key, state in states.items()
            if rows[key].state == FREE and state is not ProofState.UNSPENT
        ]
        now = self._books.proofs(doubtful) if doubtful else {}
        return {key for key in doubtful if now.get(key) != rows[key]}

    def _record(self, report: Report, compared: Compared, known: ReconciledRow | None) -> None:
        unexplained_msat = compared.unexplained_msat
        if unexplained_msat:
            logger.error(
                "ALARM: %d msat at mint %s are unexplained; the owner's payouts are stopped",
                unexplained_msat,
                report.mint,
            )
        is_news = known is None or known.unexplained_msat != unexplained_msat
        if is_news or (known and report.at - known.at >= RECORD_AFTER):
            self._ledger.reconcile(report.mint, compared)


def _name(row: ProofRow, state: ProofState, *, changed: bool) -> str:
    if row.state == OUT:
        # One that is spent was collected, and the books are about to hear of it.
        return IN_FLIGHT if state is ProofState.SPENT else UNCOLLECTED
    if row.state != FREE or changed:
        return IN_FLIGHT
    return FREE_TO_SPEND if state is ProofState.UNSPENT else UNEXPLAINED


def _put(found: _Sorted, item: Item) -> None:
    found.msat[item.name] += item.amount_msat
    if item.name != FREE_TO_SPEND and len(found.items) < ITEMS_MAX:
        found.items.append(item)


def _msat(row: ProofRow) -> int:
    return row.amount * MSAT_PER_UNIT[row.unit]
