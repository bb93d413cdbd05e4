"""The PostgreSQL store: the same log and guard rows, for many hosts at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.rows import dict_row, tuple_row

from app.store.append_only import POSTGRES_APPEND_ONLY
from app.store.conninfo import conninfo_of
from app.store.desk_tables import DESK_TABLES
from app.store.errors import (
    LogMovedError,
    SchemaTooNewError,
    StoreBusyError,
    StoreUnavailableError,
)
from app.store.mapper import LedgerMapper
from app.store.nostr_tables import POSTGRES_NOSTR
from app.store.postgres_rows import (
    LOG_LOCK,
    add_lines,
    change_balances,
    delete,
    insert_events,
    load,
    upsert,
)
from app.store.reads import Now, Query, Reads, translated, utc_now
from app.store.seal_tables import LIABILITIES, POSTGRES_SEALS
from app.store.shape import POSTGRES_TYPES
from app.store.sheet_tables import FOLLOWED, FOLLOWS, create_indexes, create_sheets
from app.store.tables import (
    BALANCE,
    DATA_KEY,
    GUARD_TABLES,
    INDEXES,
)
from app.store.upgrade import SCHEMA_VERSION, disposal, folded
from domain.batch import Answer, Decided, decide
from domain.errors import LedgerBrokenError
from domain.event import Entry
from projections.sheets import SHEETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from domain.command import Command
    from domain.guards import AccountRow, GuardRows
    from projections.sheet import Line, Sheet

ATTEMPTS_MAX = 5
READERS_MAX = 4
"""How many connections one store reads by at most; one more writes."""
READER_IDLE_S = 30.0
SCHEMA_LOCK = LOG_LOCK + 1
# A server may be told to acknowledge what it has not written yet: money must not be. Weaker and
# stronger ways to wait for a standby are the operator's own choice.
DURABLY = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)
INDEXES_THERE = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"


class PostgresStore(Reads):
    """The log and the guard rows in one PostgreSQL database.

    Reads may come from anywhere. `commit` is for one caller at a time, the committer.
    """

    engine = "postgresql"
    position = "notification_id"

    def __init__(self, url: str, sheets: Sequence[Sheet] = SHEETS, now: Now = utc_now) -> None:
        self.url = url
        self._info = conninfo_of(url)
        self._datastore = PostgresDatastore(
            **{
                name: self._info[name]
                for name in ("dbname", "host", "port", "user", "password")
            },
            pool_size=1,
            # Else each pooled connection that a restarted server dropped fails one reader.
            pre_ping=True,
            max_overflow=READERS_MAX - 1,
        )
        # A server takes 100 in all if nobody tells it otherwise: what a crowd has opened goes
        # with it.
        self._datastore.pool.max_idle = READER_IDLE_S
        # The rest of what the URL says, which the library has no parameters for.
        self._datastore.pool.kwargs = {**self._info, "row_factory": dict_row}
        super().__init__(
            PostgresApplicationRecorder(self._datastore), LedgerMapper(), sheets, now
        )
        self._writer: psycopg.Connection[tuple[Any, ...]] | None = None

    def create(self) -> None:
        """Make the tables that are missing; harmless when called again, by anybody.

        A database of an older version gets today's tables, filled from its log. Raises
        `SchemaTooNewError`, `UpgradeError`, `StoreUnavailableError`.
        """
        with self._translated(), self._connection().transaction():
            db = self._connection()
            db.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
            db.execute("CREATE TABLE IF NOT EXISTS schema_version (version int NOT NULL)")
            found = db.execute("SELECT version FROM schema_version").fetchone()
            if found and found[0] > SCHEMA_VERSION:
                raise SchemaTooNewError(
                    f"the database has schema {found[0]}, this program knows {SCHEMA_VERSION}"
                )
            if found and found[0] == SCHEMA_VERSION:
                self._index_all(db)
                return
            if found:
                # Writers of the older version wait here, and then find other tables.
                for statement in disposal(self.sheets):
                    db.execute(statement.encode())
                db.execute("SELECT pg_advisory_xact_lock(%s)", (LOG_LOCK,))
            self.recorder.create_table()
            for statement in (
                *(*POSTGRES_APPEND_ONLY, *self._tables(), *INDEXES),
                *(*POSTGRES_SEALS, *DESK_TABLES, *POSTGRES_NOSTR),
            ):
                db.execute(statement)
            if found:
                rows = folded(self, found[0])
                for table in GUARD_TABLES:
                    upsert(db, table, rows)
            db.execute("DELETE FROM schema_version")
            db.execute("INSERT INTO schema_version VALUES (%s)", (SCHEMA_VERSION,))

    def commit(self, commands: Sequence[Command]) -> list[Answer]:
        """Decide `commands` and record what happens, all in one durable transaction.

        Returns one answer for each. Raises `StoreUnavailableError`, then none is recorded;
        `StoreBusyError` when the server was lost and cannot be asked whether it committed.
        """
        with self._turn:
            return self._committed(commands)

    def _committed(self, commands: Sequence[Command]) -> list[Answer]:
        asked: set[UUID] = set()
        for _ in range(ATTEMPTS_MAX):
            decided = Decided()
            try:
                self._try(commands, asked, decided)
            except psycopg.errors.UniqueViolation:
                # Somebody recorded one of these movements before: the log has the answer.
                asked.update(command.stream for command in commands)
                continue
            except psycopg.IntegrityError as error:
                raise LedgerBrokenError(str(error)) from error
            except psycopg.OperationalError as error:
                self._forget_connection()
                if not self._was_recorded(decided.entries):
                    raise StoreUnavailableError(f"PostgreSQL: {error}") from error
            if not decided.unanswered:
                return [answer for answer in decided.answers if answer is not None]
            asked.update(commands[position].stream for position in decided.unanswered)
        raise LedgerBrokenError("a batch of commands could not be decided")

    def append(self, entries: Sequence[Entry], rows: GuardRows, after: int) -> int:
        """Record what was decided elsewhere behind the position `after`, where the log ends.

        The rows that it changed are written together with it. Returns where the log ends
        now. Raises `LogMovedError`, `StoreUnavailableError`.
        """
        with self._translated(), self._connection().transaction():
            db = self._connection()
            db.execute("SELECT pg_advisory_xact_lock(%s)", (LOG_LOCK,))
            if self._newest(db) != after:
                raise LogMovedError
            for table in GUARD_TABLES:
                delete(db, table, rows)
                upsert(db, table, rows)
            insert_events(db, [self.mapper.encode(entry) for entry in entries])
            return self._newest(db)

    def replace_guards(self, fold_tail: Callable[[], GuardRows]) -> None:
        """Swap all guard rows for `fold_tail()`'s, while every writer waits."""
        names = ", ".join(table.name for table in GUARD_TABLES)
        with self._translated(), self._connection().transaction():
            db = self._connection()
            db.execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
            db.execute("SELECT pg_advisory_xact_lock(%s)", (LOG_LOCK,))
            rows = fold_tail()
            for table in GUARD_TABLES:
                # TRUNCATE would wait for every reader, and show some of them no rows at all.
                db.execute(f"DELETE FROM {table.name}")
                upsert(db, table, rows)

    def tell(self, name: str, after: int, upto: int, lines: Sequence[Line]) -> bool:
        with self._translated(), self._connection().transaction():
            db = self._connection()
            db.execute(_places(FOLLOWS), (name,))
            told = db.execute(_places(FOLLOWED), (upto, name, after)).rowcount == 1
            if told and lines:
                add_lines(db, self.sheets[name], lines)
        return told

    def forget(self, name: str) -> None:
        """Drop all that a follower has told, how far it had read, and its indexes."""
        with self._translated(), self._connection().transaction():
            db = self._connection()
            # In the order in which `follow` locks them.
            db.execute("DELETE FROM follower WHERE name = %s", (name,))
            db.execute(f"TRUNCATE {self.sheets[name].name}")
            for index in create_indexes(self.sheets[name]):
                db.execute(f"DROP INDEX IF EXISTS {index}")

    def index(self, name: str) -> None:
        """Make the indexes of a follower's table that are missing; readers need not wait."""
        for statement in create_indexes(self.sheets[name]).values():
            with self._translated(), self._connection().transaction():
                # Whoever opens the store makes them too: two at once would fail.
                self._connection().execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
                self._connection().execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[Query]:
        """Open one durable transaction, for rows that commit no event and guard nothing.

        Raises `StoreUnavailableError`; then nothing of it was kept.
        """
        with self._translated(), self._connection().transaction():

            def query(statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
                found = self._connection().execute(_places(statement), values)
                return found.fetchall() if found.description else []

            yield query

    def scrub(self, table: str) -> None:
        """Let nothing of what was deleted stand in a table's file."""
        with self._translated():
            self._connection().execute(f"VACUUM {table}")

    def settle(self) -> None:
        """Have the server see how rows are spread, after many were written at once.

        Until it has looked, an index that has what is wanted in order is not thought of.
        """
        with self._translated():
            self._connection().execute("ANALYZE")

    def close(self) -> None:
        self._forget_connection()
        self._datastore.close()

    @contextmanager
    def snapshot(self) -> Iterator[Query]:
        with translated(), self._datastore.transaction(commit=False) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            rows = cursor.connection.cursor(row_factory=tuple_row)

            def query(statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
                return rows.execute(_places(statement).encode(), tuple(values)).fetchall()

            yield query

    def _try(self, commands: Sequence[Command], asked: set[UUID], decided: Decided) -> None:
        """Fill `decided`, and record its entries if every command has its answer."""
        db = self._connection()
        # One pipeline around the whole of it: BEGIN travels with the reads, COMMIT with the
        # writes, and a transaction waits for the server twice.
        with db.pipeline(), db.transaction():
            rows = load(db, commands)
            before = dict(rows.accounts.rows)
            # Read behind the locks: what ended a movement before is in its history by now.
            histories = {stream: self._history(db, stream) for stream in asked}
            found = decide(commands, rows, self.now(), histories)
            decided.answers, decided.unanswered = found.answers, found.unanswered
            if not found.unanswered and found.entries:
                decided.entries = found.entries
                self._write(db, rows, before, found.entries)
        self._remember(rows)

    def _index_all(self, db: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Make the indexes that somebody who was killed had not made again yet."""
        known = {index for (index,) in db.execute(INDEXES_THERE)}
        for sheet in self.sheets.values():
            for index, statement in create_indexes(sheet).items():
                if index not in known:
                    db.execute(statement)

    @staticmethod
    def _newest(db: psycopg.Connection[tuple[Any, ...]]) -> int:
        found = db.execute("SELECT MAX(notification_id) FROM stored_events").fetchone()
        return (found and found[0]) or 0

    def _history(self, db: psycopg.Connection[tuple[Any, ...]], stream: UUID) -> list[Entry]:
        found = db.execute(
            "SELECT originator_version, topic, state FROM stored_events"
            " WHERE originator_id = %s ORDER BY originator_version",
            (stream,),
        )
        decode = self.mapper.decode
        return [Entry(stream, version, decode(topic, state)) for version, topic, state in found]

    def _write(
        self,
        db: psycopg.Connection[tuple[Any, ...]],
        rows: GuardRows,
        before: dict[UUID, AccountRow],
        entries: Sequence[Entry],
    ) -> None:
        change_balances(db, rows, before)
        for table in GUARD_TABLES:
            if table is not BALANCE and table.of(rows).changed:
                delete(db, table, rows)
                upsert(db, table, rows)
        encoded = [self.mapper.encode(entry) for entry in entries]
        # Taken last, so that it is held for the insert and the commit alone: followers that
        # read "behind position n" must never see a later position before an earlier one.
        db.execute("SELECT pg_advisory_xact_lock(%s)", (LOG_LOCK,))
        db.execute("NOTIFY stored_events")
        insert_events(db, encoded)

    def _tables(self) -> Iterator[str]:
        for table in GUARD_TABLES:
            yield table.create(POSTGRES_TYPES)
        for beside in (DATA_KEY, *LIABILITIES):
            yield beside.format(uuid="uuid", bytes="bytea")
        yield from create_sheets(self.sheets.values(), POSTGRES_TYPES)

    def _was_recorded(self, entries: Sequence[Entry]) -> bool:
        """Tell whether a transaction whose connection broke was committed after all."""
        if not entries:
            return False
        try:
            return entries[0] in self.history(entries[0].stream)
        except StoreUnavailableError as error:
            raise StoreBusyError from error

    def _connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._writer is None or self._writer.closed:
            self._writer = psycopg.connect(**self._info, autocommit=True)
            self._writer.execute(DURABLY)
        return self._writer

    def _forget_connection(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with self._turn:
                yield
        except psycopg.Error as error:
            self._forget_connection()
            raise StoreUnavailableError(f"PostgreSQL: {error}") from error


def _places(statement: str) -> str:
    return statement.replace("?", "%s")
