"""What both stores can tell: the log in order, one movement's history, the guard rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from eventsourcing.persistence import PersistenceError

from app.store.errors import StoreUnavailableError
from app.store.tables import (
    API_KEY,
    BALANCE,
    GUARD_TABLES,
    KEYSET_COUNTER,
    NEWEST_RATE,
    OPEN_HOLD,
    OPEN_MOVEMENT,
    OPERATOR,
    PROOF,
    PROVIDER,
    RECONCILED,
    SETTING,
    TOTALS,
    totals_of,
)
from domain.guards import (
    FREE,
    INVOICE,
    ISSUED,
    NEWEST,
    AccountRow,
    GuardRows,
    HoldRow,
    KeysetRow,
    MovementRow,
    ProofKey,
    ProofRow,
    RateRow,
    ReconciledRow,
    SettingRow,
    Totals,
)
from projections.halving import first_since
from projections.usage import read_total

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import timedelta
    from uuid import UUID

    from eventsourcing.persistence import ApplicationRecorder

    from app.store.mapper import LedgerMapper
    from app.store.shape import GuardTable
    from domain.allowance import KeyRow
    from domain.catalogue import ProviderRow
    from domain.event import Entry
    from domain.rights import OperatorRow
    from projections.sheet import Line, Sheet

Query = Callable[..., list[tuple[Any, ...]]]
"""`query(statement, values)`: places for values are question marks, in both engines."""

Now = Callable[[], datetime]
"""Tells what time it is: the time of the events that are recorded."""

PAGE = 2_000
LEFT_MAX = 20_000
POSITION_MAX = (1 << 63) - 1


class Placed(NamedTuple):
    """An entry and its position in the log; positions rise, with gaps."""

    position: int
    entry: Entry


class PurseTotal(NamedTuple):
    """What we hold at a mint in one unit and state (free, reserved, out)."""

    mint: str
    unit: str
    state: str
    amount: int


def utc_now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def translated() -> Iterator[None]:
    """Raise what the library says of a lost database as our `StoreUnavailableError`."""
    try:
        yield
    except PersistenceError as error:
        raise StoreUnavailableError(str(error)) from error


class Reads(ABC):
    """Reading, the same for both engines; `position` is the log's column for positions."""

    engine: ClassVar[str]
    position: ClassVar[str]

    def __init__(
        self,
        recorder: ApplicationRecorder,
        mapper: LedgerMapper,
        sheets: Sequence[Sheet],
        now: Now,
    ) -> None:
        self.recorder: Any = recorder
        self.mapper = mapper
        self.sheets = {sheet.name: sheet for sheet in sheets}
        self.now = now
        # One connection writes: what two threads began on it would end with whoever ends first.
        self._turn = RLock()
        self._left: dict[UUID, AccountRow] = {}

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Query]:
        """Open one consistent view; everything queried in it is of the same moment."""

    def history(self, stream: UUID) -> list[Entry]:
        """Return all entries of a movement, oldest first; none if it never began."""
        with translated():
            return self.mapper.entries(self.recorder.select_events(stream))

    def log(self, after: int = 0, upto: int | None = None) -> Iterator[list[Placed]]:
        """Yield the log behind position `after`, in pages, in order."""
        # Not by the library's notifications: an object for each, made and thrown away,
        # takes longer than reading and decoding the event.
        select = (
            f"SELECT {self.position}, originator_id, originator_version, topic, state"
            f" FROM stored_events WHERE {self.position} > ? AND {self.position} <= ?"
            f" ORDER BY {self.position} LIMIT {PAGE}"
        )
        last = POSITION_MAX if upto is None else upto
        while True:
            with self.snapshot() as query:
                found = query(select, (after, last))
            if not found:
                return
            positions, *stored = zip(*found, strict=True)
            after = positions[-1]
            yield list(map(Placed, positions, self.mapper.read(*stored)))

    def first_since(self, moment: datetime) -> int:
        """Return the position of the first event at or after `moment`, else behind the last."""
        select = (
            f"SELECT {self.position}, topic, state FROM stored_events"
            f" WHERE {self.position} > ? ORDER BY {self.position} LIMIT 1"
        )
        with self.snapshot() as query:

            def behind(after: int) -> tuple[int, datetime] | None:
                for position, topic, state in query(select, (after,)):
                    return position, self.mapper.decode(topic, bytes(state)).at
                return None

            head = query(f"SELECT MAX({self.position}) FROM stored_events")[0][0] or 0
            return first_since(moment, head, behind)

    def head(self) -> int:
        """Return the position of the newest entry, 0 for an empty log."""
        with translated():
            return self.recorder.max_notification_id() or 0

    def kept(self) -> tuple[int, GuardRows]:
        """Return all guard rows and the newest position, both of the same moment."""
        rows = GuardRows()
        with self.snapshot() as query:
            head = query(f"SELECT MAX({self.position}) FROM stored_events")[0][0] or 0
            for table in GUARD_TABLES:
                built = (table.build(values) for values in query(table.select()))
                table.of(rows).rows.update(built)
        return head, rows

    def follower_position(self, name: str) -> int:
        """Return how far the follower `name` has read, 0 if it never did."""
        with self.snapshot() as query:
            found = query("SELECT position FROM follower WHERE name = ?", [name])
        return found[0][0] if found else 0

    def follow(self, name: str, after: int, page: Sequence[tuple[int, Entry]]) -> bool:
        """Add what `page` tells to a follower's table, as `tell` does."""
        return self.tell(name, after, page[-1][0], self.sheets[name].told(page))

    @abstractmethod
    def tell(self, name: str, after: int, upto: int, lines: Sequence[Line]) -> bool:
        """Add `lines` to a follower's table, and note that it has read `upto`, together.

        Does nothing and returns False unless the follower has read exactly up to `after`:
        what is added up must not be told twice.
        """

    def account(self, account_id: UUID) -> AccountRow | None:
        """Return what an account has, `None` if nothing was ever credited to it."""
        found = self._rows(BALANCE, "WHERE account_id = ?", account_id)
        return found[0][1] if found else None

    def left(self, account_id: UUID) -> AccountRow | None:
        """Return what an account has had since this process changed it last.

        Of a request that was just charged that is known without asking again.
        """
        return self._left.get(account_id) or self.account(account_id)

    def key(self, key_id: UUID) -> KeyRow | None:
        """Return what binds a key, `None` if nothing does and it is no child."""
        found = self._rows(API_KEY, "WHERE key_id = ?", key_id)
        return found[0][1] if found else None

    def _remember(self, rows: GuardRows) -> None:
        """Note what a transaction of ours has left of the accounts it changed."""
        left, accounts = self._left, rows.accounts
        for account_id in accounts.changed:
            # The one changed last stands last.
            left.pop(account_id, None)
            left[account_id] = accounts.rows[account_id]
        while len(left) > LEFT_MAX:
            del left[next(iter(left))]

    def children_of(self, account_id: UUID) -> list[tuple[UUID, KeyRow]]:
        """Return the child keys of an account, in the order of their salts."""
        return self._rows(API_KEY, "WHERE parent_id = ? ORDER BY salt", account_id)

    def expired(
        self, at: datetime, after: tuple[datetime, UUID] | None, limit: int
    ) -> list[tuple[UUID, KeyRow]]:
        """Return accounts whose keys have expired by `at` and that have money available.

        Oldest first, at most `limit`, those behind the expiry and the id `after`.
        """
        where = (
            "WHERE expires_at <= ? AND parent_id IS NULL AND EXISTS (SELECT 1 FROM balance"
            " WHERE account_id = api_key.key_id AND available_msat > 0)"
        )
        tail = "ORDER BY expires_at, key_id LIMIT ?"
        if after is None:
            return self._rows(API_KEY, f"{where} {tail}", at, limit)
        behind = "AND (expires_at, key_id) > (?, ?)"
        return self._rows(API_KEY, f"{where} {behind} {tail}", at, *after, limit)

    def used(self, account_id: UUID) -> tuple[int, int]:
        """Return an account's requests of all times and what it has paid for them, in msat."""
        with self.snapshot() as query:
            return read_total(query, account_id)

    def open_holds(self, owner: str) -> list[tuple[UUID, HoldRow]]:
        """Return the holds that the process `owner` has not ended."""
        return self._rows(OPEN_HOLD, "WHERE owner = ?", owner)

    def holds_open(self) -> tuple[int, datetime | None]:
        """Return how many holds are open, and since when the oldest of them is."""
        with self.snapshot() as query:
            count, oldest = query("SELECT COUNT(*), MIN(at) FROM open_hold")[0]
        return count, datetime.fromisoformat(oldest) if isinstance(oldest, str) else oldest

    def hold_owners(self) -> list[str]:
        """Return the processes that have holds open."""
        with self.snapshot() as query:
            return [row[0] for row in query("SELECT DISTINCT owner FROM open_hold")]

    def open_movements(self) -> list[tuple[UUID, MovementRow]]:
        """Return the deposits and refunds without an end, oldest first."""
        return self._rows(OPEN_MOVEMENT, "ORDER BY at, stream")

    def stuck(self, after: timedelta) -> list[tuple[UUID, MovementRow]]:
        """Return the movements that have waited for their mint for so long, oldest first.

        Tokens that wait to be collected, and invoices to be paid, wait for their owners.
        """
        tail = "WHERE kind NOT IN (?, ?) AND at < ? ORDER BY at, stream"
        return self._rows(OPEN_MOVEMENT, tail, ISSUED, INVOICE, self.now() - after)

    def movements_of(self, account_id: UUID, kind: str) -> list[tuple[UUID, MovementRow]]:
        """Return an account's unfinished movements of one kind, newest first."""
        where = "WHERE account_id = ? AND kind = ? ORDER BY at DESC"
        return self._rows(OPEN_MOVEMENT, where, account_id, kind)

    def rate(self) -> RateRow | None:
        """Return the newest rate observed, if any."""
        found = self._rows(NEWEST_RATE, "WHERE name = ?", NEWEST)
        return found[0][1] if found else None

    def providers(self) -> dict[str, ProviderRow]:
        """Return every provider there is, by name."""
        return dict(self._rows(PROVIDER, "ORDER BY name"))

    def provider_versions(self) -> list[tuple[Any, ...]]:
        """Return what changes whenever a provider does, for whoever looks often."""
        with self.snapshot() as query:
            return query("SELECT name, provider_id, version FROM provider ORDER BY name")

    def operators(self) -> dict[str, OperatorRow]:
        """Return every operator there is, by name."""
        return dict(self._rows(OPERATOR, "ORDER BY name"))

    def settings(self) -> dict[str, SettingRow]:
        """Return every setting that was ever changed while the house was open, by name."""
        return dict(self._rows(SETTING, "ORDER BY name"))

    def proofs_of(self, movement: UUID) -> dict[ProofKey, ProofRow]:
        """Return the proofs that a movement has set aside or issued."""
        return dict(self._rows(PROOF, "WHERE movement_id = ?", movement))

    def proofs(self, keys: Sequence[ProofKey]) -> dict[ProofKey, ProofRow]:
        """Return the rows of `keys` that we still hold."""
        with self.snapshot() as query:
            select = f"{PROOF.select()} WHERE {PROOF.where('?')}"
            return dict(PROOF.build(row) for key in keys for row in query(select, key))

    def holdings(self, mint: str) -> tuple[int, dict[ProofKey, ProofRow]]:
        """Return the newest position and all proofs at a mint, both of the same moment."""
        with self.snapshot() as query:
            head = query(f"SELECT MAX({self.position}) FROM stored_events")[0][0] or 0
            found = query(f"{PROOF.select()} WHERE mint = ?", (mint,))
            return head, dict(map(PROOF.build, found))

    def reconciled(self) -> dict[str, ReconciledRow]:
        """Return how each mint's proofs were last compared with the books."""
        return dict(self._rows(RECONCILED, ""))

    def counters(self) -> dict[str, KeysetRow]:
        """Return the next unused counter of every keyset, by its id."""
        return dict(self._rows(KEYSET_COUNTER, ""))

    def purses(self) -> list[PurseTotal]:
        """Return what we hold, by mint, unit and state."""
        with self.snapshot() as query:
            return [
                PurseTotal(mint, unit, state, int(amount))
                for mint, unit, state, amount in query(
                    "SELECT mint, unit, state, SUM(amount) FROM proof"
                    " GROUP BY mint, unit, state ORDER BY mint, unit, state"
                )
            ]

    def free(self, mint: str, unit: str) -> int:
        """Return what is unspent and not set aside at `mint`, in `unit`."""
        return sum(
            total.amount
            for total in self.purses()
            if (total.mint, total.unit, total.state) == (mint, unit, FREE)
        )

    def keysets_free(self, mint: str, unit: str) -> list[str]:
        """Return the ids of the keysets of which proofs are unspent and not set aside."""
        select = (
            "SELECT DISTINCT keyset_id FROM proof WHERE mint = ? AND unit = ? AND state = ?"
        )
        with self.snapshot() as query:
            return [row[0] for row in query(f"{select} ORDER BY keyset_id", (mint, unit, FREE))]

    def totals(self) -> Totals:
        """Return what all accounts are owed and what is free, in msat, by mint."""
        with self.snapshot() as query:
            return totals_of(query(TOTALS, (FREE,)))

    def _rows(self, table: GuardTable, tail: str, *values: Any) -> list[tuple[Any, Any]]:
        with self.snapshot() as query:
            return [table.build(row) for row in query(f"{table.select()} {tail}", values)]
