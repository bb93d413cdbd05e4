"""The SQLite store: one file, WAL, every commit on disk before anybody is answered."""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import contextmanager
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from app.store.append_only import SQLITE_APPEND_ONLY
from app.store.desk_tables import DESK_TABLES
from app.store.errors import LogMovedError, SchemaTooNewError, StoreUnavailableError
from app.store.mapper import LedgerMapper
from app.store.nostr_tables import SQLITE_NOSTR
from app.store.reads import Now, Query, Reads, translated, utc_now
from app.store.seal_tables import LIABILITIES, SQLITE_SEALS
from app.store.shape import SQLITE_TYPES, GuardTable, Identities
from app.store.sheet_tables import (
    FOLLOWED,
    FOLLOWS,
    create_indexes,
    create_sheets,
    spelled,
    write_lines,
)
from app.store.sqlite_connection import connected
from app.store.tables import (
    API_KEY,
    BALANCE,
    DATA_KEY,
    EXPOSURE,
    GUARD_TABLES,
    INDEXES,
    KEYSET_COUNTER,
    LOCKED_PROOF,
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
from app.store.upgrade import SCHEMA_VERSION, disposal, folded
from domain.batch import Answer, decide
from domain.command import Command, Needs
from domain.errors import LedgerBrokenError
from domain.event import Entry
from domain.guards import FREE, GuardRows
from projections.sheets import SHEETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from projections.sheet import Line, Sheet

BUSY_TIMEOUT_S = 30
ATTEMPTS_MAX = 5

READ = {
    table.name: f"SELECT {', '.join(table.names)} FROM json_each(?)"
    f" CROSS JOIN {table.name} ON {table.keys[0]} = value"
    for table in GUARD_TABLES
    if table.key_count == 1
}
"""The rows of a JSON list of keys; a statement for each key takes thrice as long."""
UPSERT = {
    table.name: table.upsert(f"VALUES ({', '.join('?' * len(table.columns))})")
    for table in GUARD_TABLES
}
DELETE = {table.name: table.delete("?") for table in GUARD_TABLES}


class SqliteStore(Reads):
    """The log and the guard rows in one SQLite file.

    Reads may come from any thread. `commit` is for one thread at a time: the committer's.
    """

    engine = "sqlite"
    position = "rowid"

    def __init__(
        self, path: Path, sheets: Sequence[Sheet] = SHEETS, now: Now = utc_now
    ) -> None:
        self.path = path
        self._datastore = SQLiteDatastore(str(path), lock_timeout=BUSY_TIMEOUT_S)
        super().__init__(
            SQLiteApplicationRecorder(self._datastore), LedgerMapper(), sheets, now
        )
        self._writer: sqlite3.Connection | None = None
        self._decided = GuardRows()
        self._queue: IO[str] | None = None

    def create(self) -> None:
        """Make the tables that are missing; harmless when called again, by anybody.

        A database of an older version gets today's tables, filled from its log. Raises
        `SchemaTooNewError`, `UpgradeError`, `StoreUnavailableError`.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._exclusive() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise SchemaTooNewError(
                    f"{self.path} has schema {version}, this program knows {SCHEMA_VERSION}"
                )
            is_old = 0 < version < SCHEMA_VERSION
            if is_old:
                for statement in disposal(self.sheets):
                    db.execute(statement)
            for statement in self.recorder.construct_create_table_statements():
                db.execute(statement)
            for statement in (
                *(*SQLITE_APPEND_ONLY, *self._tables(), *INDEXES),
                *(*SQLITE_SEALS, *DESK_TABLES, *SQLITE_NOSTR),
            ):
                db.execute(statement)
            if is_old:
                rows = folded(self, version)
                for table in GUARD_TABLES:
                    _write(db, table, rows)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def commit(self, commands: Sequence[Command]) -> list[Answer]:
        """Decide `commands` and record what happens, all in one durable transaction.

        Returns one answer for each. Raises `StoreUnavailableError`; then none is recorded.
        """
        histories: dict[UUID, Sequence[Entry]] = {}
        with self._exclusive() as db:
            for _ in range(ATTEMPTS_MAX):
                answers, unread = self._try(db, commands, histories)
                if not unread:
                    break
                # Undone first, so that nothing of ours is taken for the log's; nobody else
                # writes meanwhile, so what it says stays true.
                db.execute("ROLLBACK")
                db.execute("BEGIN IMMEDIATE")
                histories.update({stream: self._history(db, stream) for stream in unread})
            else:
                raise LedgerBrokenError("a batch of commands could not be decided")
        self._remember(self._decided)
        return answers

    def append(self, entries: Sequence[Entry], rows: GuardRows, after: int) -> int:
        """Record what was decided elsewhere behind the position `after`, where the log ends.

        The rows that it changed are written together with it. Returns where the log ends
        now. Raises `LogMovedError`, `StoreUnavailableError`.
        """
        newest = "SELECT IFNULL(MAX(rowid), 0) FROM stored_events"
        with self._exclusive() as db:
            if db.execute(newest).fetchone() != (after,) or not self._insert(db, entries):
                raise LogMovedError
            for table in GUARD_TABLES:
                _write(db, table, rows)
            head: int = db.execute(newest).fetchone()[0]
        return head

    def replace_guards(self, fold_tail: Callable[[], GuardRows]) -> None:
        """Swap all guard rows for `fold_tail()`'s, while every writer waits."""
        with self._exclusive() as db:
            rows = fold_tail()
            for table in GUARD_TABLES:
                db.execute(f"DELETE FROM {table.name}")
                _write(db, table, rows)

    def tell(self, name: str, after: int, upto: int, lines: Sequence[Line]) -> bool:
        sheet = self.sheets[name]
        rows = spelled(sheet, lines)
        with self._exclusive() as db:
            db.execute(FOLLOWS, (name,))
            told = db.execute(FOLLOWED, (upto, name, after)).rowcount == 1
            if told:
                db.executemany(write_lines(sheet), rows)
        return told

    def forget(self, name: str) -> None:
        """Drop all that a follower has told, how far it had read, and its indexes."""
        with self._exclusive() as db:
            # It is told again at once: to overwrite each page first takes ten times as long.
            db.execute("PRAGMA secure_delete = FAST")
            for index in create_indexes(self.sheets[name]):
                db.execute(f"DROP INDEX IF EXISTS {index}")
            db.execute(f"DELETE FROM {self.sheets[name].name}")
            db.execute("DELETE FROM follower WHERE name = ?", (name,))

    def index(self, name: str) -> None:
        """Make the indexes of a follower's table that are missing.

        Writers wait while one is made, a second for a million events.
        """
        for statement in create_indexes(self.sheets[name]).values():
            with self._exclusive() as db:
                db.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[Query]:
        """Open one durable transaction, for rows that commit no event and guard nothing.

        Raises `StoreUnavailableError`; then nothing of it was kept.
        """
        with self._exclusive() as db:

            def query(statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
                return db.execute(statement, [_plain(value) for value in values]).fetchall()

            yield query

    def scrub(self, _table: str) -> None:
        """Let nothing of what was deleted stand in the write-ahead log."""
        try:
            (self._writer or self._connect()).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"SQLite: {error}") from error

    def settle(self) -> None:
        """Do nothing: what SQLite reads by follows from its indexes alone."""

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._queue is not None:
            self._queue.close()
            self._queue = None
        self._datastore.close()

    @contextmanager
    def snapshot(self) -> Iterator[Query]:
        with translated(), self._datastore.transaction(commit=False) as cursor:
            rows = cursor.sqlite_cursor
            rows.row_factory = None

            def query(statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
                rows.execute(statement, [_plain(value) for value in values])
                return rows.fetchall()

            yield query

    def _try(
        self,
        db: sqlite3.Connection,
        commands: Sequence[Command],
        histories: Mapping[UUID, Sequence[Entry]],
    ) -> tuple[list[Answer], set[UUID]]:
        """Return the answers, and the movements whose history must be read before them."""
        self._decided = rows = _load(db, commands)
        decided = decide(commands, rows, self.now(), histories)
        if decided.unanswered:
            return [], {commands[position].stream for position in decided.unanswered}
        if not self._insert(db, decided.entries):
            # Somebody recorded one of these movements before: the log has the answer.
            return [], {command.stream for command in commands}
        for table in GUARD_TABLES:
            if table.of(rows).changed:
                _write(db, table, rows)
        return [answer for answer in decided.answers if answer is not None], set()

    def _insert(self, db: sqlite3.Connection, entries: Sequence[Entry]) -> bool:
        encode = self.mapper.encode
        try:
            db.executemany(
                self.recorder.insert_events_statement, [encode(entry) for entry in entries]
            )
        except sqlite3.IntegrityError:
            return False
        return True

    def _history(self, db: sqlite3.Connection, stream: UUID) -> list[Entry]:
        found = db.execute(
            "SELECT topic, state, originator_version FROM stored_events"
            " WHERE originator_id = ? ORDER BY originator_version",
            (stream.hex,),
        )
        decode = self.mapper.decode
        return [Entry(stream, version, decode(topic, state)) for topic, state, version in found]

    @contextmanager
    def _exclusive(self) -> Iterator[sqlite3.Connection]:
        # SQLite's own waiting is a lottery with pauses: ten times worse at the slowest
        # percentile than this queue, which wakes the next writer at once.
        try:
            with self._turn:
                db = self._writer or self._connect()
                fcntl.flock(self._writers_queue(), fcntl.LOCK_EX)
                try:
                    db.execute("BEGIN IMMEDIATE")
                    yield db
                    if db.in_transaction:
                        db.execute("COMMIT")
                finally:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    fcntl.flock(self._writers_queue(), fcntl.LOCK_UN)
        except sqlite3.IntegrityError as error:
            raise LedgerBrokenError(str(error)) from error
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailableError(f"SQLite: {error}") from error

    def _writers_queue(self) -> IO[str]:
        if self._queue is None:
            self._queue = self.path.with_name(self.path.name + ".writer").open("w")
        return self._queue

    def _connect(self) -> sqlite3.Connection:
        self._writer = connected(self.path, BUSY_TIMEOUT_S)
        return self._writer

    def _tables(self) -> Iterator[str]:
        for table in GUARD_TABLES:
            yield f"{table.create(SQLITE_TYPES)} WITHOUT ROWID"
        for beside in (DATA_KEY, *LIABILITIES):
            yield beside.format(uuid="TEXT", bytes="BLOB")
        yield from create_sheets(self.sheets.values(), SQLITE_TYPES)


def _load(db: sqlite3.Connection, commands: Sequence[Command]) -> GuardRows:
    needs = Needs()
    for command in commands:
        command.need(needs)
    rows, known = GuardRows(), Identities()
    for table, identities in (
        (BALANCE, needs.accounts),
        (OPEN_HOLD, needs.holds),
        (API_KEY, needs.keys),
        (OPEN_MOVEMENT, needs.movements),
    ):
        keys = {identity.hex: identity for identity in identities}
        known.update(keys)
        _load_keys(db, rows, table, keys, known)
    _load_keys(db, rows, KEYSET_COUNTER, needs.keysets, known)
    _load_keys(db, rows, PROVIDER, needs.providers, known)
    _load_keys(db, rows, OPERATOR, needs.operators, known)
    _load_keys(db, rows, SETTING, needs.settings, known)
    _load_keys(db, rows, LOCKED_PROOF, needs.ys, known)
    _load_keys(db, rows, EXPOSURE, needs.exposures, known)
    for mint, unit in needs.purses:
        _load_proofs(db, rows, "mint = ? AND unit = ? AND state = ?", (mint, unit, FREE))
    for movement in needs.proofs_of:
        _load_proofs(db, rows, "movement_id = ?", (movement.hex,))
    if needs.totals:
        rows.see_totals(totals_of(db.execute(TOTALS, (FREE,))))
        rows.reconciled.rows.update(map(RECONCILED.build, db.execute(RECONCILED.select())))
    else:
        _load_keys(db, rows, RECONCILED, needs.reconciled, known)
    return rows


def _load_keys(
    db: sqlite3.Connection,
    rows: GuardRows,
    table: GuardTable,
    keys: Iterable[str],
    known: Identities,
) -> None:
    if wanted := list(keys):
        found = db.execute(READ[table.name], (msgspec.json.encode(wanted).decode(),))
        identify = known.__getitem__
        table.of(rows).rows.update([table.build(row, identify) for row in found])


def _load_proofs(
    db: sqlite3.Connection, rows: GuardRows, where: str, values: tuple[str, ...]
) -> None:
    found = db.execute(f"{PROOF.select()} WHERE {where}", values)
    rows.proofs.rows.update(PROOF.build(row) for row in found)


def _write(db: sqlite3.Connection, table: GuardTable, rows: GuardRows) -> None:
    here = table.of(rows)
    kept = [table.flatten(key, here.rows[key]) for key in here.changed if key in here.rows]
    gone = [key for key in here.changed if key not in here.rows]
    if kept:
        db.executemany(UPSERT[table.name], kept)
    if gone:
        db.executemany(DELETE[table.name], [_key(key) for key in gone])


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    return value.isoformat() if isinstance(value, datetime) else value


def _key(key: Any) -> tuple[Any, ...]:
    if isinstance(key, UUID):
        return (key.hex,)
    return tuple(key) if isinstance(key, tuple) else (key,)
