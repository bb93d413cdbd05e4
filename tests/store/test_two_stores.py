from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest

from app.store.group import OneByOne
from app.store.postgres_rows import LOG_LOCK
from domain.deposit import Credit, Credited, Receive, Received
from domain.errors import LedgerError, RequestInProgressError
from domain.event import Entry
from domain.guards import AccountRow
from domain.hold import Hold, Release, Released
from domain.purse import Purse, split
from domain.refund import Start, Started
from tests.domain.given import ALICE, BOB, KEYSET, MINT, TERMS, signed
from tests.store.work import a_day, claim_of, fund, ledger_on, tables, verified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from domain.command import Command
    from tests.store.places import Place, Store

WAIT_MAX_S = 20.0
Answer = Entry | LedgerError


def hold(stream: UUID, owner: str, amount_msat: int = 60_000) -> Hold:
    return Hold(stream, ALICE, amount_msat, owner, TERMS)


def receive(account_id: UUID, sat: int, keyset_id: str = KEYSET) -> Receive:
    return Receive(uuid4(), claim_of(account_id, sat), keyset_id, split(sat))


def start(account_id: UUID, keyset_id: str) -> Start:
    return Start(uuid4(), account_id, Purse(MINT, "sat", keyset_id, {}))


def begun(store: Store, command: Receive) -> Credit:
    """The command that ends the deposit which `command` begins."""
    entry = OneByOne(store.commit).record(command)
    assert isinstance(entry.event, Received)
    return Credit(entry.stream, entry.version, entry.event, signed(entry.event.plan))


def together(stores: Sequence[Store], commands: Sequence[Command]) -> list[Answer]:
    """Let each store commit its command in a thread of its own."""
    with ThreadPoolExecutor(len(stores)) as threads:
        futures = [
            threads.submit(store.commit, [command])
            for store, command in zip(stores, commands, strict=True)
        ]
        return [future.result(WAIT_MAX_S)[0] for future in futures]


@contextmanager
def nobody_commits(place: Place) -> Iterator[Callable[[int], None]]:
    """Hold up all commits; the function given waits until so many of them stand in line."""
    with psycopg.connect(place.where, autocommit=True) as db:
        db.execute("SELECT pg_advisory_lock(%s)", (LOG_LOCK,))

        def in_line(count: int) -> None:
            deadline = time.monotonic() + WAIT_MAX_S
            while db.execute(
                "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
            ).fetchone() != (count,):
                assert time.monotonic() < deadline, "nobody came to stand in line"
                time.sleep(0.01)

        yield in_line
        db.execute("SELECT pg_advisory_unlock(%s)", (LOG_LOCK,))


def at_once(place: Place, stores: Sequence[Store], commands: Sequence[Command]) -> list[Answer]:
    """Let every store decide before the first of them commits, where the engine allows it."""
    if place.engine == "sqlite":
        return together(stores, commands)
    with ThreadPoolExecutor(len(stores)) as threads:
        futures: list[Future[list[Answer]]] = []
        with nobody_commits(place) as in_line:
            for store, command in zip(stores, commands, strict=True):
                futures.append(threads.submit(store.commit, [command]))
                in_line(len(futures))
        return [future.result(WAIT_MAX_S)[0] for future in futures]


@pytest.fixture
def stores(place: Place) -> list[Store]:
    return [place.open(), place.open()]


def events(answers: Sequence[Answer]) -> list[Any]:
    assert all(isinstance(answer, Entry) for answer in answers), answers
    return [answer.event for answer in answers if isinstance(answer, Entry)]


def test_one_request_at_two_processes_is_held_once(place: Place, stores: list[Store]) -> None:
    fund(ledger_on(stores[0]), ALICE, 100)
    stream = uuid4()

    answers = at_once(place, stores, [hold(stream, "one", 6), hold(stream, "two", 6)])

    assert sorted(type(answer).__name__ for answer in answers) == [
        "Entry",
        "RequestInProgressError",
    ]
    assert stores[0].account(ALICE) == AccountRow(99_994, 6, MINT, "sat")
    assert verified(stores[1]) is None


def test_two_requests_for_the_same_money_are_not_both_held(
    place: Place, stores: list[Store]
) -> None:
    fund(ledger_on(stores[0]), ALICE, 100)

    answers = at_once(place, stores, [hold(uuid4(), "one"), hold(uuid4(), "two")])

    assert sorted(type(answer).__name__ for answer in answers) == [
        "Entry",
        "InsufficientFundsError",
    ]
    assert stores[0].account(ALICE) == AccountRow(40_000, 60_000, MINT, "sat")


def test_one_token_at_two_processes_is_one_deposit(place: Place, stores: list[Store]) -> None:
    token = receive(ALICE, 100)

    first, second = at_once(place, stores, [token, token])

    assert first == second
    assert verified(stores[0]) is None


def test_one_end_at_two_processes_is_recorded_once(place: Place, stores: list[Store]) -> None:
    fund(ledger_on(stores[0]), ALICE, 100)
    hold_id = uuid4()
    stores[0].commit([hold(hold_id, "one")])
    release = Release(hold_id, ALICE, "gone")

    first, second = at_once(place, stores, [release, release])

    assert first == second
    assert stores[0].account(ALICE) == AccountRow(100_000, 0, MINT, "sat")


def test_credits_of_a_new_account_add_up(place: Place, stores: list[Store]) -> None:
    commands = [begun(stores[0], receive(ALICE, sat)) for sat in (100, 23)]

    ended = events(at_once(place, stores, commands))

    assert [event.credited_msat for event in ended] == [100_000, 23_000]
    assert stores[0].account(ALICE) == AccountRow(123_000, 0, MINT, "sat")
    assert verified(stores[1]) is None


def test_one_credit_at_two_processes_is_credited_once(
    place: Place, stores: list[Store]
) -> None:
    credit = begun(stores[0], receive(ALICE, 100))

    first, second = at_once(place, stores, [credit, credit])

    assert first == second
    assert stores[0].account(ALICE) == AccountRow(100_000, 0, MINT, "sat")


@pytest.mark.parametrize("known", [False, True])
def test_no_counter_is_planned_twice(place: Place, stores: list[Store], *, known: bool) -> None:
    if known:
        fund(ledger_on(stores[0]), BOB, 7)

    planned = events(at_once(place, stores, [receive(ALICE, 7), receive(BOB, 7)]))

    assert sorted(event.plan.counter_from for event in planned) == ([3, 6] if known else [0, 3])
    assert verified(stores[0]) is None


def test_no_proof_is_set_aside_twice(place: Place, stores: list[Store]) -> None:
    ledger = ledger_on(stores[0])
    for account_id in (ALICE, BOB):
        fund(ledger, account_id, 64)

    answers = at_once(place, stores, [start(ALICE, KEYSET), start(BOB, "00ffffffffffffff")])

    drafts = [event.draft for event in events(answers) if isinstance(event, Started)]
    spent = [proof.key for draft in drafts for proof in draft.inputs]
    assert len(spent) == len(set(spent)) == 2
    assert verified(stores[0]) is None


def test_a_repeated_command_does_not_fail_its_batch(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    running, ended, token = uuid4(), uuid4(), receive(ALICE, 50)
    credit = begun(store, token)
    store.commit([credit, hold(running, "w", 1), hold(ended, "w", 1)])
    store.commit([Release(ended, ALICE, "gone")])

    answers = store.commit(
        [
            hold(uuid4(), "w", 1),
            hold(running, "w", 1),
            token,
            Release(ended, ALICE, "again"),
            credit,
            hold(uuid4(), "w", 1),
        ]
    )

    kinds = [type(getattr(answer, "event", answer)) for answer in answers]
    assert kinds[1] is RequestInProgressError
    assert kinds[2] is kinds[4] is Credited
    assert kinds[3] is Released
    assert all(isinstance(answers[n], Entry) for n in (0, 5))
    assert store.account(ALICE) == AccountRow(149_997, 3, MINT, "sat")
    assert verified(store) is None


def test_a_command_that_breaks_a_rule_leaves_its_batch_alone(store: Store) -> None:
    fund(ledger_on(store), ALICE, 100)

    answers = store.commit(
        [hold(uuid4(), "w", 1), hold(uuid4(), "w", 10**9), Release(uuid4(), ALICE, "what")]
    )

    assert [type(answer).__name__ for answer in answers] == [
        "Entry",
        "InsufficientFundsError",
        "UnknownHoldError",
    ]
    assert store.account(ALICE) == AccountRow(99_999, 1, MINT, "sat")


def test_every_store_on_a_database_tells_the_same(stores: list[Store]) -> None:
    a_day(stores[0], ALICE)

    head, rows = stores[0].kept()
    other_head, other_rows = stores[1].kept()

    assert (head, tables(rows)) == (other_head, tables(other_rows))
