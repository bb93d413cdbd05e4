"""Opening the store that a database URL names."""

from __future__ import annotations

from pathlib import Path

from eventsourcing.persistence import PersistenceError

from app.store.errors import StoreUnavailableError
from app.store.locks import FileLocks, Locks, PostgresLocks
from app.store.postgres import PostgresStore
from app.store.sqlite import SqliteStore

SQLITE = "sqlite:///"

Store = SqliteStore | PostgresStore


def open_store(database_url: str) -> tuple[Store, Locks]:
    """Return the store and the locks at `database_url`, its tables made.

    Raises `StoreUnavailableError`, `SchemaTooNewError`.
    """
    store: Store
    locks: Locks
    if database_url.startswith(SQLITE):
        path = Path(database_url.removeprefix(SQLITE))
        store, locks = SqliteStore(path), FileLocks(path.with_name(path.name + ".locks"))
    else:
        store, locks = _postgres(database_url), PostgresLocks(database_url)
    store.create()
    return store, locks


def beside(store: Store) -> Store:
    """Return another store on the same database, with connections of its own."""
    if isinstance(store, SqliteStore):
        return SqliteStore(store.path)
    return PostgresStore(store.url)


def _postgres(database_url: str) -> PostgresStore:
    try:
        return PostgresStore(database_url)
    except PersistenceError as error:
        raise StoreUnavailableError("PostgreSQL cannot be reached") from error
