"""The keys of accounts, each wrapped: kept outside the log, so that they can be destroyed."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from app.store.opening import beside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from app.store.opening import Store
    from app.store.reads import Query

PAGE = 1_000
IS_ERASED = "SELECT 1 FROM api_key WHERE key_id = ? AND erased = 1"
FIND = "SELECT wrapped FROM data_key WHERE account_id = ?"
KEEP = "INSERT INTO data_key (account_id, wrapped) VALUES (?, ?) ON CONFLICT DO NOTHING"
REPLACE = "UPDATE data_key SET wrapped = ? WHERE account_id = ? AND wrapped = ?"
ALL = (
    "SELECT account_id, wrapped FROM data_key WHERE account_id > ?"
    f" ORDER BY account_id LIMIT {PAGE}"
)
ERASED = (
    f"SELECT key_id FROM api_key WHERE erased = 1 AND key_id > ? ORDER BY key_id LIMIT {PAGE}"
)
DOOMED = "account_id IN (SELECT key_id FROM api_key WHERE erased = 1)"
NOBODY = UUID(int=0)


class KeptKey(NamedTuple):
    """The key of an account as it is kept: sealed by one that follows from the seed."""

    account_id: UUID
    wrapped: bytes


class DataKeys:
    """Keeps a key for each account that has a name to seal; what is read is never cached.

    It writes on connections of its own, for the store's writer belongs to the committer.
    That is rare: once for each account that ever gives an address.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, account_id: UUID) -> bytes | None:
        """Return the wrapped key of an account, `None` if there is none."""
        with self._store.snapshot() as query:
            return _wrapped(query(FIND, [account_id]))

    def is_erased(self, account_id: UUID) -> bool:
        with self._store.snapshot() as query:
            return bool(query(IS_ERASED, [account_id]))

    def keep(
        self, account_id: UUID, wrapped: bytes, instead_of: bytes | None = None
    ) -> bytes | None:
        """Keep a key and return the one that is kept, which may be another's who was first.

        It takes the place of the key `instead_of`, if that is still kept. An account that
        was erased is given none: then `None` is returned.
        """
        with self._writing() as (_, query):
            if query(IS_ERASED, [account_id]):
                return None
            if instead_of is None:
                query(KEEP + " RETURNING account_id", [account_id, wrapped])
            else:
                query(REPLACE + " RETURNING account_id", [wrapped, account_id, instead_of])
            return _wrapped(query(FIND, [account_id]))

    def restore(self, keys: Iterable[KeptKey]) -> int:
        """Keep the keys of a copy, but for those of erased accounts; return how many.

        In one transaction; what is kept already stays.
        """
        erased = set(self.erased())
        kept = [key for key in keys if key.account_id not in erased]
        with self._writing() as (_, query):
            for key in kept:
                query(KEEP + " RETURNING account_id", [key.account_id, key.wrapped])
        return len(kept)

    def shred(self) -> int:
        """Destroy the keys of all erased accounts; return how many there still were.

        Doing it again changes nothing. What the database's files have of it is overwritten
        as far as the engine can: copies and archives of the files are not.
        """
        with self._writing() as (store, query):
            if store.engine == "sqlite":
                query("PRAGMA secure_delete = ON")
            gone = query(f"DELETE FROM data_key WHERE {DOOMED} RETURNING account_id")
        if gone:
            with closing(beside(self._store)) as store:
                store.scrub("data_key")
        return len(gone)

    def all(self) -> Iterator[KeptKey]:
        """Yield every key that is kept, in the order of the accounts."""
        for account_id, wrapped in self._pages(ALL):
            yield KeptKey(_uuid(account_id), bytes(wrapped))

    def erased(self) -> Iterator[UUID]:
        """Yield every account that was erased."""
        for (account_id,) in self._pages(ERASED):
            yield _uuid(account_id)

    def _pages(self, select: str) -> Iterator[tuple[Any, ...]]:
        after: Any = NOBODY
        while True:
            with self._store.snapshot() as query:
                rows = query(select, [after])
            if not rows:
                return
            yield from rows
            after = rows[-1][0]

    @contextmanager
    def _writing(self) -> Iterator[tuple[Store, Query]]:
        with closing(beside(self._store)) as store, store.transaction() as query:
            yield store, query


def _wrapped(found: list[tuple[Any, ...]]) -> bytes | None:
    return bytes(found[0][0]) if found else None


def _uuid(value: str | UUID) -> UUID:
    return value if isinstance(value, UUID) else UUID(hex=value)
