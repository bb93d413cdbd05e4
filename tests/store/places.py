"""Databases made for one test, which is the only one ever to see them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from app.store.errors import StoreError
from app.store.postgres import PostgresStore
from app.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

Store: TypeAlias = SqliteStore | PostgresStore
URL_DEFAULT = "postgresql://postgres@127.0.0.1:5432/test"
CONNECT_TIMEOUT_S = 3
END_OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class Place(Protocol):
    """One database, and as many stores on it as a test opens."""

    engine: str
    where: str

    def open(self) -> Store:
        """Return a further store on the database, as another process would have it."""

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run raw SQL behind the store's back; return the rows of the last statement."""

    def close(self) -> None: ...


class SqlitePlace:
    engine = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.where = str(folder / f"{uuid4().hex}.db")
        self._opened: list[SqliteStore] = []

    def open(self) -> SqliteStore:
        store = open_store(self.where)
        assert isinstance(store, SqliteStore)
        self._opened.append(store)
        return store

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        db = sqlite3.connect(self.where, isolation_level=None)
        try:
            return [db.execute(statement).fetchall() for statement in statements][-1]
        finally:
            db.close()

    def close(self) -> None:
        for store in self._opened:
            store.close()


class PostgresPlace:
    """The one database of a session, empty: to make and drop one for each test is slow."""

    engine = "postgresql"

    def __init__(self, where: str) -> None:
        self.where = where
        self._opened: list[PostgresStore] = []
        self.run(END_OTHERS, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")

    def open(self) -> PostgresStore:
        store = open_store(self.where)
        assert isinstance(store, PostgresStore)
        self._opened.append(store)
        return store

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.where, autocommit=True) as db:
            for statement in statements:
                cursor = db.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        for store in self._opened:
            store.close()


@contextmanager
def own_database(server: str) -> Iterator[str]:
    """Make a database at a server, and drop it in the end; yield its URL."""
    name = Identifier(f"tallystick_test_{uuid4().hex[:12]}")
    with psycopg.connect(server, autocommit=True) as db:
        db.execute(SQL("CREATE DATABASE {}").format(name))
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name.as_string()[1:-1]}"))
        finally:
            db.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def open_store(where: str) -> Store:
    """Open the store at a database URL or a file's path, its tables made."""
    postgres = where.startswith("postgresql://")
    store: Store = PostgresStore(where) if postgres else SqliteStore(Path(where))
    try:
        store.create()
    except StoreError:
        store.close()
        raise
    return store


def postgres_server() -> str:
    """Return the URL of a PostgreSQL that answers; without one the test is skipped."""
    url = os.environ.get("TEST_DATABASE_URL") or URL_DEFAULT
    try:
        psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S).close()
    except psycopg.OperationalError as error:
        reason = f"no PostgreSQL for tests: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return url


def drop_guards_of_the_log(place: Place) -> None:
    """Take away what keeps the log as it is, as only a vandal with all rights can."""
    if place.engine == "sqlite":
        names = place.run("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        place.run(*(f"DROP TRIGGER {name}" for (name,) in names))
    else:
        place.run("ALTER TABLE stored_events DISABLE TRIGGER ALL")


def uuid_text(identity: UUID) -> str:
    """Return an identity as both engines read it in a statement."""
    return f"'{identity.hex}'"
