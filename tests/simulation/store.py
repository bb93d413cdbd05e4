"""The store of a simulation: the real one, in a file of memory, that is killed at its edges."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from app.store.errors import StoreBusyError, StoreUnavailableError
from app.store.sqlite import SqliteStore, _plain
from domain.event import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from uuid import UUID

    from app.store.reads import Query
    from domain.batch import Answer
    from domain.command import Command
    from tests.simulation.stage import Process, Stage

FAILS = 0.02
READ_WAITS = 0.1
HISTORY = (
    "SELECT topic, state, originator_version FROM stored_events WHERE originator_id = ?"
    " ORDER BY originator_version"
)


class PlainStore(SqliteStore):
    """The real store with one plain connection to read by, for there is only one thread."""

    _reader: sqlite3.Connection | None = None

    def history(self, stream: UUID) -> list[Entry]:
        with self.snapshot() as query:
            found = query(HISTORY, (stream,))
        decode = self.mapper.decode
        return [Entry(stream, version, decode(topic, state)) for topic, state, version in found]

    @contextmanager
    def snapshot(self) -> Iterator[Query]:
        db = self._reader
        if db is None:
            db = self._reader = sqlite3.connect(self.path, isolation_level=None)

        def query(statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
            return db.execute(statement, [_plain(value) for value in values]).fetchall()

        yield query

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        super().close()


class SimStore(PlainStore):
    """What one process has of the store; it may die before or after each transaction."""

    def __init__(self, path: Path, stage: Stage, process: Process) -> None:
        super().__init__(path, now=stage.now)
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
