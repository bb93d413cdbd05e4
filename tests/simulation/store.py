"""The store of a simulation: the real one, in a file of memory, that is killed at its edges."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from app.store.data_keys import DataKeys
from app.store.errors import StoreBusyError, StoreUnavailableError
from app.store.sqlite import SqliteStore, _plain
from domain.event import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from uuid import UUID

    from app.store.opening import Store
    from app.store.reads import Now, Query
    from domain.batch import Answer
    from domain.command import Command
    from tests.simulation.stage import Process, Stage

FAILS = 0.02
READ_WAITS = 0.1
HEAD = "SELECT IFNULL(MAX(rowid), 0) FROM stored_events"
HISTORY = (
    "SELECT topic, state, originator_version FROM stored_events WHERE originator_id = ?"
    " ORDER BY originator_version"
)


class Disk:
    """What survives every process: a database in memory, over the one connection it has.

    There is only one thread, and nobody dies or waits inside a transaction. So that all
    share a connection changes nothing but the time it takes.
    """

    def __init__(self, path: Path, image: bytes = b"") -> None:
        self.path = path
        self.db = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
        self.db.execute("PRAGMA recursive_triggers = ON")
        if image:
            self.db.deserialize(image)


class PlainStore(SqliteStore):
    """The real store on a disk of memory."""

    def __init__(self, disk: Disk, now: Now) -> None:
        super().__init__(disk.path, now=now)
        self._db = disk.db

    def history(self, stream: UUID) -> list[Entry]:
        with self.snapshot() as query:
            found = query(HISTORY, (stream,))
        decode = self.mapper.decode
        return [Entry(stream, version, decode(topic, state)) for topic, state, version in found]

    def head(self) -> int:
        with self.snapshot() as query:
            return int(query(HEAD)[0][0])

    @contextmanager
    def snapshot(self) -> Iterator[Query]:
        db = self._db

        def query(statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
            return db.execute(statement, [_plain(value) for value in values]).fetchall()

        yield query

    def close(self) -> None:
        self._writer = None  # it is everybody's
        super().close()

    def _connect(self) -> sqlite3.Connection:
        self._writer = self._db
        return self._db


class SimStore(PlainStore):
    """What one process has of the store; it may die before or after each transaction."""

    def __init__(self, disk: Disk, stage: Stage, process: Process) -> None:
        super().__init__(disk, stage.now)
        self._stage = stage
        self._process = process

    def commit(self, commands: Sequence[Command]) -> list[Answer]:
        stage, names = self._stage, " ".join(type(each).__name__ for each in commands)
        stage.cross(self._process, f"commits {names}")
        if stage.happens(FAILS):
            stage.told.count("store away")
            raise StoreUnavailableError
        answers = self.record(commands)
        stage.cross(self._process, f"has committed {names}")
        if stage.happens(FAILS):
            stage.told.count("store busy")
            raise StoreBusyError
        return answers

    def record(self, commands: Sequence[Command]) -> list[Answer]:
        """Commit for good."""
        answers = super().commit(commands)
        self._stage.told.count("transactions")
        return answers

    def history(self, stream: UUID) -> list[Entry]:
        self._wait_sometimes()
        return super().history(stream)

    @contextmanager
    def snapshot(self) -> Iterator[Query]:
        self._wait_sometimes()
        with super().snapshot() as query:
            yield query

    def _wait_sometimes(self) -> None:
        if self._stage.chance.random() < READ_WAITS:
            self._stage.cross(self._process, "reads")


class SimKeys(DataKeys):
    """The keys of accounts, written where all else is."""

    @contextmanager
    def _writing(self) -> Iterator[tuple[Store, Query]]:
        with self._store.transaction() as query:
            yield self._store, query


class SimLocks:
    """Locks that fall with their process, as the system's do."""

    grace_s = 0.0

    def __init__(self, holders: dict[str, Process], process: Process) -> None:
        self._holders = holders
        self._process = process

    def take(self, name: str) -> bool:
        if not self.is_free(name):
            return self._holders[name] is self._process
        self._holders[name] = self._process
        return True

    def is_free(self, name: str) -> bool:
        holder = self._holders.get(name)
        return holder is None or not holder.is_alive

    def keep(self) -> bool:
        return True

    def close(self) -> None:
        for name in [name for name, holder in self._holders.items() if holder is self._process]:
            del self._holders[name]
