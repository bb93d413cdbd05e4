"""How commands reach the store: many at once in one transaction, or one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event as Signal

from app.store.errors import StoreBusyError, StoreError, StoreUnavailableError
from domain.batch import Answer
from domain.command import Command
from domain.errors import LedgerError

if TYPE_CHECKING:
    from domain.event import Entry

WAIT_MAX_S = 60.0

Commit = Callable[[Sequence[Command]], list[Answer]]


class OneByOne:
    """A transaction for each command, for processes that have few of them."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._turn = Lock()

    def record(self, command: Command) -> Entry:
        """Return the durable entry `command` came to, or raise its own `LedgerError`.

        Raises `StoreError` when the store failed.
        """
        with self._turn:
            return _answer(self._commit([command])[0])


class _Batch:
    """Commands that share a transaction, and the signal that it is over."""

    __slots__ = ("_timer", "answers", "commands", "done", "failure")

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.answers: list[Answer] = []
        self.failure: StoreError | None = None
        self.done = Signal()
        self._timer: Any = None

    def add(self, command: Command) -> int:
        """Return the command's position among the batch's."""
        if not self.commands:
            # One timer for all: one for each who waits costs as much as his decision.
            self._timer = gevent.get_hub().loop.timer(WAIT_MAX_S)
            # From now, not from when the hub last looked at the clock.
            self._timer.start(self.finish, StoreBusyError(), update=True)
        self.commands.append(command)
        return len(self.commands) - 1

    def finish(self, failure: StoreError | None) -> None:
        self._timer.close()
        self.failure = failure
        self.done.set()


class GroupCommit:
    """Gathers what greenlets want while a transaction runs, and commits it in the next.

    `commit` must not stall the hub: it waits cooperatively or runs in another thread. One
    greenlet at a time commits; it lives as long as there is something to do.
    """

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._open = _Batch()
        self._committing = False

    def record(self, command: Command) -> Entry:
        """Return the durable entry `command` came to, or raise its own `LedgerError`.

        Raises `StoreError` when the store failed; `StoreBusyError` leaves it unknown
        whether the command was recorded.
        """
        batch = self._open
        position = batch.add(command)
        if not self._committing:
            self._committing = True
            gevent.spawn(self._run)
        batch.done.wait()
        if batch.failure is not None:
            raise type(batch.failure)(str(batch.failure))
        return _answer(batch.answers[position])

    def _run(self) -> None:
        try:
            while self._open.commands:
                batch, self._open = self._open, _Batch()
                self._finish(batch)
                # Those just woken add their next wish before the next transaction starts.
                gevent.sleep(0)
        finally:
            # Whatever ended this greenlet, those who came meanwhile are still waiting.
            self._committing = bool(self._open.commands)
            if self._committing:
                gevent.spawn(self._run)

    def _finish(self, batch: _Batch) -> None:
        failure: StoreError | None = StoreUnavailableError()
        try:
            batch.answers = self._commit(batch.commands)
            failure = None
        except StoreError as error:
            failure = error
        finally:
            batch.finish(failure)


def _answer(answer: Answer) -> Entry:
    if isinstance(answer, LedgerError):
        raise answer
    return answer
