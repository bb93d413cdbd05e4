from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import gevent
import pytest

from app.store.errors import StoreBusyError, StoreError, StoreUnavailableError
from app.store.group import GroupCommit, OneByOne
from domain.errors import InsufficientFundsError, LedgerBrokenError, LedgerError
from domain.event import Entry
from domain.guards import AccountRow
from domain.hold import Hold
from tests.domain.given import ALICE, MINT, TERMS
from tests.store.work import fund, ledger_on, verified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.batch import Answer
    from domain.command import Command
    from tests.store.places import Store

WAIT_MAX_S = 60
HOLDS = 200


def hold(amount_msat: int = 100) -> Hold:
    return Hold(uuid4(), ALICE, amount_msat, "worker-1", TERMS)


class Flaky:
    """A store's commit that fails as it is told to, and counts."""

    def __init__(self, store: Store, *failures: Exception | None) -> None:
        self._store = store
        self._failures = list(failures)
        self.sizes: list[int] = []

    def commit(self, commands: Sequence[Command]) -> list[Answer]:
        self.sizes.append(len(commands))
        # Other greenlets come in while a transaction runs.
        gevent.sleep(0.01)
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            raise failure
        return self._store.commit(commands)


def outcome(group: GroupCommit, command: Command) -> Entry | Exception:
    try:
        return group.record(command)
    except (LedgerError, StoreError) as error:
        return error


def at_once(group: GroupCommit, commands: Sequence[Command]) -> list[Entry | Exception]:
    waiting = [gevent.spawn(outcome, group, command) for command in commands]
    gevent.joinall(waiting, timeout=WAIT_MAX_S, raise_error=True)
    return [greenlet.get(block=False) for greenlet in waiting]


@pytest.fixture(autouse=True)
def looked_at_the_clock() -> None:
    """The hub has slept through the tests before: its timers would go off at once."""
    gevent.get_hub().loop.update_now()


@pytest.fixture
def funded(store: Store) -> Store:
    fund(ledger_on(store), ALICE, 100)
    return store


def test_many_at_once_share_few_transactions(funded: Store) -> None:
    flaky = Flaky(funded)
    group = GroupCommit(flaky.commit)
    commands = [hold() for _ in range(HOLDS)]
    commands[77] = hold(10**9)

    answers = at_once(group, commands)

    assert isinstance(answers[77], InsufficientFundsError)
    for command, answer in zip(commands, answers, strict=True):
        if command is not commands[77]:
            assert isinstance(answer, Entry)
            assert answer.stream == command.stream
    assert len(flaky.sizes) <= 3
    assert sum(flaky.sizes) == HOLDS
    assert funded.account(ALICE) == AccountRow(80_100, 19_900, MINT, "sat")
    assert verified(funded) is None


def test_nobody_waits_for_ever_when_the_store_fails(funded: Store) -> None:
    group = GroupCommit(Flaky(funded, StoreUnavailableError("down")).commit)

    answers = at_once(group, [hold() for _ in range(HOLDS)])

    assert {type(answer) for answer in answers} == {StoreUnavailableError}
    assert {str(answer) for answer in answers} == {"down"}
    assert funded.account(ALICE) == AccountRow(100_000, 0, MINT, "sat")


def test_the_batch_after_a_failure_is_committed(funded: Store) -> None:
    group = GroupCommit(Flaky(funded, StoreUnavailableError("down")).commit)

    first = gevent.spawn(outcome, group, hold())
    gevent.sleep(0.005)
    second = gevent.spawn(outcome, group, hold())
    gevent.joinall([first, second], timeout=WAIT_MAX_S, raise_error=True)
    third = outcome(group, hold())

    assert isinstance(first.get(block=False), StoreUnavailableError)
    assert isinstance(second.get(block=False), Entry)
    assert isinstance(third, Entry)


def test_a_batch_that_breaks_a_rule_of_the_books_strands_nobody(funded: Store) -> None:
    group = GroupCommit(Flaky(funded, LedgerBrokenError("a row is below zero")).commit)

    first = gevent.spawn(outcome, group, hold())
    gevent.sleep(0.005)
    second = gevent.spawn(outcome, group, hold())
    gevent.joinall([first, second], timeout=WAIT_MAX_S, raise_error=True)

    assert isinstance(first.get(block=False), StoreError | LedgerBrokenError)
    assert isinstance(second.get(block=False), Entry)


def test_a_repetition_in_the_same_batch_is_told_so(funded: Store) -> None:
    group = GroupCommit(funded.commit)
    command = hold()

    first, second = at_once(group, [command, command])

    assert isinstance(first, Entry)
    assert isinstance(second, LedgerError)


def test_one_by_one_takes_turns(funded: Store) -> None:
    inside: list[int] = []
    busy = threading.Lock()

    def commit(commands: Sequence[Command]) -> list[Answer]:
        assert busy.acquire(blocking=False), "two commits at once"
        try:
            inside.append(len(commands))
            return funded.commit(commands)
        finally:
            busy.release()

    record = OneByOne(commit).record
    with ThreadPoolExecutor(4) as threads:
        entries = list(threads.map(record, [hold() for _ in range(20)]))

    assert len({entry.stream for entry in entries}) == 20
    assert inside == [1] * 20


def test_one_by_one_raises_what_the_command_came_to(funded: Store) -> None:
    with pytest.raises(InsufficientFundsError):
        OneByOne(funded.commit).record(hold(10**9))
    with pytest.raises(StoreBusyError):
        OneByOne(Flaky(funded, StoreBusyError()).commit).record(hold())
