"""What the mints said of our proofs, compared with the books, difference by difference."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from app.cashier.errors import CashierError
from app.cashier.reconcile import UNEXPLAINED
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import TokenError
from app.web.admin.figures import moment_of
from app.web.admin.room import FormError, NothingFoundError, Room, asked, filled, page
from domain.guards import OUT, RESERVED
from domain.identity import reconciliation_of
from domain.msat import MSAT_PER_UNIT
from domain.reconcile import Compared, Reconciled
from domain.rights import SETTINGS
from projections.statement import uuid_of

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from app.cashier.reconcile import Report
    from app.web.admin.log import Log, Told
    from projections.chart import Query

HISTORY = 10
PROOFS_MAX = 500
NAMES = {"in-flight": RESERVED, "uncollected": OUT}
"""Which differences are drilled into, and the state that their proofs have in the books."""

COMPARED = "compared with a mint"


class Comparison(NamedTuple):
    """What a mint said at the event at `position`."""

    position: int
    at: datetime
    mint: str
    compared: Compared


class Held(NamedTuple):
    """A proof that cannot be spent just now, by the books."""

    keyset_id: str
    counter: int
    amount_msat: int
    movement: UUID | None
    kind: str
    since: datetime | None


class Reconciling(Room):
    """The newest comparison at each mint, those before, and the proofs behind a difference."""

    @page("/")
    def index(self) -> Any:
        return self._told()

    @page("/proofs")
    def proofs(self) -> Any:
        """List the proofs that a named difference is made of, as the books have them now."""
        mint, name = asked("mint"), asked("name")
        if name not in NAMES:
            raise FormError("There is no difference of that name to look into.")
        found = self.auditor.look(lambda query: _held(query, mint, NAMES[name]))
        if not found:
            raise NothingFoundError("No proof is in that state at this mint now.")
        return self.render(
            "auditor/proofs.html",
            mint=mint,
            name=name.replace("-", " "),
            proofs=found,
            proofs_max=PROOFS_MAX,
            total_msat=sum(proof.amount_msat for proof in found),
        )

    @page("/compare", "POST", scope=SETTINGS)
    def compare(self) -> Any:
        """Ask a mint now, record nothing, and name each proof that cannot be spent."""
        if self.auditor.compare is None:
            raise FormError("No mint can be asked from here.")
        mint = filled("mint")
        try:
            report = self.auditor.compare(mint)
        except (CashierError, GatewayError, TokenError, TimeoutError) as error:
            return self._told(str(error) or type(error).__name__), HTTPStatus.CONFLICT
        self.auditor.note(COMPARED, self.auditor.who(), mint)
        return self._told(report=report)

    def _told(self, message: str = "", report: Report | None = None) -> str:
        log = self.auditor.log

        def read(query: Query) -> list[list[Comparison]]:
            mints = [row[0] for row in query("SELECT mint FROM reconciled ORDER BY mint")]
            return [history_of(query, log, mint) for mint in mints]

        items = report.items if report else ()
        sums = Counter({item.name: 0 for item in items})
        for item in items:
            sums[item.name] += item.amount_msat
        return self.render(
            "auditor/reconciliation.html",
            message=message,
            report=report,
            sums=sorted(sums.items()),
            unexplained=[item for item in items if item.name == UNEXPLAINED][:PROOFS_MAX],
            histories=self.auditor.look(read),
        )


def history_of(query: Query, log: Log, mint: str) -> list[Comparison]:
    """Return the newest comparisons with a mint, newest first."""
    found: list[Told] = log.newest_of(query, reconciliation_of(mint), HISTORY)
    return [
        Comparison(told.position, told.at, mint, told.event.compared)
        for told in found
        if isinstance(told.event, Reconciled)
    ]


def _held(query: Query, mint: str, state: str) -> list[Held]:
    rows = query(
        "SELECT proof.keyset_id, proof.counter, proof.unit, proof.amount, proof.movement_id,"
        " open_movement.kind, open_movement.at FROM proof"
        " LEFT JOIN open_movement ON open_movement.stream = proof.movement_id"
        " WHERE proof.mint = ? AND proof.state = ?"
        " ORDER BY open_movement.at, proof.keyset_id, proof.counter LIMIT ?",
        [mint, state, PROOFS_MAX],
    )
    return [
        Held(
            keyset_id,
            counter,
            int(amount) * MSAT_PER_UNIT[unit],
            uuid_of(movement) if movement else None,
            kind or "",
            moment_of(at) if at else None,
        )
        for keyset_id, counter, unit, amount, movement, kind, at in rows
    ]
