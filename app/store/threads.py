"""In which thread the store is asked, so that nobody else waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gevent.threadpool import ThreadPool

from app.store.group import GroupCommit, OneByOne

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.store.opening import Store
    from domain.foreign_ledger import Record
    from projections.chart import Query


def in_groups(store: Store) -> Record:
    """Group commit for a gevent worker.

    SQLite blocks, so that it has a thread of its own; PostgreSQL's waiting is cooperative.
    """
    if store.engine != "sqlite":
        return GroupCommit(store.commit).record
    thread = ThreadPool(1)
    return GroupCommit(lambda commands: thread.apply(store.commit, (commands,))).record


def beside_the_hub(store: Store) -> Callable[[Callable[[Query], Any]], Any]:
    """Return what runs a long reading on one view of `store` without stalling requests."""

    def look(read: Callable[[Query], Any]) -> Any:
        with store.snapshot() as query:
            return read(query)

    if store.engine != "sqlite":
        return look
    thread = ThreadPool(1)
    return lambda read: thread.apply(look, (read,))


def one_by_one(store: Store) -> Record:
    """Plain transactions, for processes with few commands."""
    return OneByOne(store.commit).record
