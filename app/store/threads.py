"""In which thread the store is asked, so that nobody else waits for it."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from gevent.lock import Semaphore
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


def changing_beside_the_hub(store: Store) -> Callable[[Callable[[Query], Any]], Any]:
    """Return what runs small transactions on `store`, one by one, without stalling requests.

    Of rows that no event tells. Nobody else may write through this very store.
    """

    def change(act: Callable[[Query], Any]) -> Any:
        with store.transaction() as query:
            return act(query)

    if store.engine != "sqlite":
        turn = Semaphore()

        def in_turn(act: Callable[[Query], Any]) -> Any:
            with turn:
                return change(act)

        return in_turn
    thread = ThreadPool(1)
    return lambda act: thread.apply(change, (act,))


def changing_one_by_one(store: Store) -> Callable[[Callable[[Query], Any]], Any]:
    """Return the same for processes without a hub."""
    turn = Lock()

    def change(act: Callable[[Query], Any]) -> Any:
        with turn, store.transaction() as query:
            return act(query)

    return change


def one_by_one(store: Store) -> Record:
    """Plain transactions, for processes with few commands."""
    return OneByOne(store.commit).record
