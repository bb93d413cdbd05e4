"""Locks that die with their process: who is alive, and who runs the back office."""

from __future__ import annotations

import fcntl
import os
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Any, Protocol

import psycopg

from app.store.conninfo import conninfo_of
from app.store.errors import StoreUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

RETAKE_MAX = 100
LEASE = "back-office"
"""The lock of the one back office that works."""
REBUILD = "rebuild"
"""The lock of who makes anew what is told from the log: nobody else follows it meanwhile."""


class Locks(Protocol):
    """Named locks held by processes; the system drops them when a process dies.

    A lock that `is_free` may have been lost for `grace_s` seconds by a process that lives
    and is about to take it again.
    """

    grace_s: float

    def take(self, name: str) -> bool:
        """Take the lock if it is free; held until this process ends. True if we have it."""

    def is_free(self, name: str) -> bool:
        """Tell whether no living process holds the lock."""

    def keep(self) -> bool:
        """Make sure that what was taken is still held; to be called every few seconds."""

    def close(self) -> None:
        """Give back all that was taken, as the end of the process does."""


class FileLocks:
    """Locks on files beside a SQLite database; the kernel drops them, at once."""

    grace_s = 0.0

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[str, IO[str]] = {}

    def take(self, name: str) -> bool:
        if name in self._held:
            return True
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / name
        for _ in range(RETAKE_MAX):
            file = path.open("a")
            if not _lock(file):
                file.close()
                return False
            if _is_still(file, path):
                self._held[name] = file
                return True
            # Whoever looked whether it was free has removed the file we had just opened.
            file.close()
        return False

    def is_free(self, name: str) -> bool:
        if name in self._held:
            return False
        path = self._directory / name
        try:
            file = path.open("a" if path.exists() else "r")
        except FileNotFoundError:
            return True
        with file:
            free = _lock(file)
            if free and _is_still(file, path):
                path.unlink()
            return free

    def keep(self) -> bool:
        return True

    def close(self) -> None:
        while self._held:
            self._held.popitem()[1].close()


class PostgresLocks:
    """Advisory locks of one session; the server drops them when the connection ends."""

    grace_s = 20.0

    def __init__(self, url: str) -> None:
        self._info = conninfo_of(url)
        self._names: set[str] = set()
        self._session: psycopg.Connection[tuple[Any, ...]] | None = None

    def take(self, name: str) -> bool:
        if name in self._names:
            return True
        taken = self._ask("SELECT pg_try_advisory_lock(%s)", name)
        if taken:
            self._names.add(name)
        return taken

    def is_free(self, name: str) -> bool:
        if name in self._names:
            return False
        # Taken within one statement's transaction and so given back at once.
        return self._ask("SELECT pg_try_advisory_xact_lock(%s)", name)

    def keep(self) -> bool:
        if not self._names:
            return True
        try:
            held = self._connection().execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                " AND pid = pg_backend_pid() AND mode = 'ExclusiveLock' AND granted"
            )
            row = held.fetchone()
        except psycopg.Error:
            self._session = None
            row = None
        if row is not None and row[0] >= len(self._names):
            return True
        return self._retake()

    def close(self) -> None:
        self._names.clear()
        if self._session is not None:
            self._session.close()

    def _retake(self) -> bool:
        try:
            got = [self._ask("SELECT pg_try_advisory_lock(%s)", name) for name in self._names]
        except StoreUnavailableError:
            return False
        return all(got)

    def _ask(self, statement: str, name: str) -> bool:
        try:
            row = self._connection().execute(statement, (_number(name),)).fetchone()
        except psycopg.Error as error:
            self._session = None
            raise StoreUnavailableError(f"PostgreSQL: {error}") from error
        return bool(row and row[0])

    def _connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._session is None or self._session.closed:
            self._session = psycopg.connect(**self._info, autocommit=True)
        return self._session


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _number(name: str) -> int:
    """Return the 63-bit number that PostgreSQL knows a named lock by."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big") >> 1
