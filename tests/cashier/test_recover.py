from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from app.cashier.errors import DepositPendingError, RefundPendingError
from app.cashier.recover import ASK_AGAIN_AFTER, Recovery
from app.store.locks import FileLocks
from domain.guards import SWAP
from domain.hold import Charged, Released
from domain.msat import Msat
from domain.reclaim import Swept
from domain.refund import Collected
from domain.swap import SwapDone
from tests.cashier.house import ALICE, ALWAYS, OTHER_SEED, TERMS, USAGE, stream_of
from tests.doubles.mint import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from domain.guards import HoldRow
    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint

AT_ONCE = timedelta(0)
HOLD = """
import sys, time
from pathlib import Path
from app.store.locks import FileLocks
locks = FileLocks(Path(sys.argv[1]))
assert locks.take(sys.argv[2])
print("held", flush=True)
time.sleep(60)
"""


class Locksmith:
    """Locks of which a test says who lives; the grace is PostgreSQL's, in small."""

    def __init__(self, grace_s: float = 0.0) -> None:
        self.grace_s = grace_s
        self.living: set[str] = set()

    def take(self, name: str) -> bool:
        self.living.add(name)
        return True

    def is_free(self, name: str) -> bool:
        return name not in self.living

    def keep(self) -> bool:
        return True

    def close(self) -> None:
        self.living.clear()


class Office:
    """The recovery of a house, with a clock that only moves when told."""

    def __init__(self, house: House, locks: Locksmith | FileLocks) -> None:
        self.now_s = 100.0
        self.recovery = Recovery(
            house.ledger, house.store, locks, house.deposits, house.refunds, lambda: self.now_s
        )


@pytest.fixture
def locks() -> Locksmith:
    return Locksmith()


@pytest.fixture
def recovery(funded: House, locks: Locksmith) -> Recovery:
    return Office(funded, locks).recovery


@pytest.fixture
def process_with_lock(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Start a process that lives, and holds a lock for as long as it does."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", HOLD, str(tmp_path / "locks"), name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def hold(house: House, amount_msat: int = 40_000) -> UUID:
    hold_id = uuid4()
    house.ledger.hold(hold_id, ALICE, Msat(amount_msat), TERMS)
    return hold_id


def test_the_holds_of_a_dead_process_are_released(funded: House, recovery: Recovery) -> None:
    """M13."""
    holds = [hold(funded), hold(funded)]

    assert recovery.release_orphans() == 2

    assert (funded.available_msat(), funded.held_msat()) == (100_000, 0)
    for hold_id in holds:
        end = funded.events(hold_id)[-1]
        assert isinstance(end, Released)
        assert end.reason == "the serving process died"


def test_the_holds_of_a_living_process_are_left_alone(
    build: Build, funded: House, mint: MoodyMint, locks: Locksmith, recovery: Recovery
) -> None:
    """M14: what starts or looks frees nothing of what others serve."""
    living = build(mint, owner="worker-2")
    locks.take("worker-2")
    hold(funded, 30_000)
    served = hold(living, 20_000)

    assert recovery.release_orphans() == 1

    assert funded.held_msat() == 20_000
    living.ledger.charge(served, ALICE, Msat(15_000), TERMS, USAGE)
    assert funded.available_msat() == 85_000


def test_a_stream_of_many_hours_is_not_released_under_its_reader(
    funded: House, locks: Locksmith
) -> None:
    """M15: it is charged when it ends, however late."""
    served = hold(funded)
    locks.take("worker-1")
    office = Office(funded, locks)
    books = AgedBooks(funded, timedelta(hours=9))
    recovery = Recovery(
        funded.ledger, books, locks, funded.deposits, funded.refunds, lambda: office.now_s
    )

    for _ in range(9):
        office.now_s += 3_600
        assert recovery.release_orphans() == 0

    funded.ledger.charge(served, ALICE, Msat(30_000), TERMS, USAGE)
    assert isinstance(funded.events(served)[-1], Charged)
    assert funded.available_msat() == 70_000


class AgedBooks:
    """The books of a house as they would look if its holds were older."""

    def __init__(self, house: House, age: timedelta) -> None:
        self._store = house.store
        self._age = age
        self.hold_owners = house.store.hold_owners
        self.open_movements = house.store.open_movements
        self.history = house.store.history
        self.now = house.store.now

    def open_holds(self, owner: str) -> list[tuple[UUID, HoldRow]]:
        return [
            (hold_id, row._replace(at=row.at - self._age))
            for hold_id, row in self._store.open_holds(owner)
        ]


def test_a_lock_that_is_lost_for_a_moment_kills_nobody(funded: House) -> None:
    """M14: PostgreSQL drops locks with the connection, which comes back."""
    locks = Locksmith(grace_s=20.0)
    office = Office(funded, locks)
    hold(funded)

    for lost_for_s in (0.0, 10.0, 9.9):
        office.now_s += lost_for_s
        assert office.recovery.release_orphans() == 0
    locks.take("worker-1")
    assert office.recovery.release_orphans() == 0
    locks.living.clear()
    office.now_s += 19.0
    assert office.recovery.release_orphans() == 0

    office.now_s += 20.0
    assert office.recovery.release_orphans() == 1
    assert funded.held_msat() == 0


def test_who_has_no_holds_any_more_begins_its_grace_anew(funded: House) -> None:
    office = Office(funded, Locksmith(grace_s=20.0))
    first = hold(funded)
    office.recovery.release_orphans()
    funded.ledger.release(first, ALICE, "not served")
    office.recovery.release_orphans()
    hold(funded)

    office.now_s += 25.0

    assert office.recovery.release_orphans() == 0


def test_the_kernel_says_who_lives(
    build: Build,
    funded: House,
    mint: MoodyMint,
    tmp_path: Path,
    process_with_lock: Callable[[str], subprocess.Popen[bytes]],
) -> None:
    """M14, M15: from the moment it is killed, and not before."""
    worker = process_with_lock("worker-2")
    hold(build(mint, owner="worker-2"))
    recovery = Office(funded, FileLocks(tmp_path / "locks")).recovery
    assert recovery.release_orphans() == 0

    worker.kill()
    worker.wait()

    assert recovery.release_orphans() == 1
    assert funded.held_msat() == 0


def test_unfinished_deposits_and_refunds_are_finished(
    funded: House, mint: MoodyMint, recovery: Recovery
) -> None:
    """M4, M32."""
    token = mint.fund(13)
    mint.fault("swap", Fault.DROP_RESPONSE, times=2)
    with pytest.raises(RefundPendingError):
        funded.refunds.refund(ALICE)
    with pytest.raises(DepositPendingError):
        funded.deposit(token)

    assert recovery.finish_movements(AT_ONCE) == 2

    assert funded.available_msat() == 12_000
    assert funded.topics(stream_of(token))[-1] == "deposit.credited"
    assert [row.kind for _, row in funded.store.open_movements()] == ["issued"]


def test_recovering_twice_changes_nothing(
    funded: House, mint: MoodyMint, recovery: Recovery
) -> None:
    mint.fault("swap", Fault.DROP_RESPONSE)
    with pytest.raises(DepositPendingError):
        funded.deposit(mint.fund(13))
    hold(funded)
    assert (recovery.release_orphans(), recovery.finish_movements(AT_ONCE)) == (1, 1)
    head = funded.store.head()

    for _ in range(2):
        assert recovery.release_orphans() == 0
        assert recovery.finish_movements(AT_ONCE) == 0
        assert recovery.watch_tokens(AT_ONCE) == 0

    assert funded.store.head() == head
    assert funded.available_msat() == 112_000


def test_a_movement_just_begun_is_left_to_who_began_it(
    funded: House, mint: MoodyMint, recovery: Recovery
) -> None:
    mint.fault("swap", Fault.DROP_RESPONSE)
    with pytest.raises(DepositPendingError):
        funded.deposit(mint.fund(13))

    assert timedelta(seconds=10) == ASK_AGAIN_AFTER
    assert recovery.finish_movements() == 0
    assert funded.available_msat() == 100_000


def test_a_movement_that_cannot_go_on_does_not_stop_the_others(
    funded: House, mint: MoodyMint, recovery: Recovery
) -> None:
    stuck, spent, lost = mint.fund(13), mint.fund(13), mint.fund(13)
    mint.fault("swap", Fault.SERVER_ERROR, times=3)
    for token in (stuck, spent, lost):
        with pytest.raises(DepositPendingError):
            funded.deposit(token)
    mint.refuse("swap", 0)
    mint.refuse("swap", 11001)

    assert recovery.finish_movements(AT_ONCE) == 1

    ends = [funded.topics(stream_of(token))[-1] for token in (stuck, spent, lost)]
    assert ends == ["deposit.received", "deposit.refused", "deposit.credited"]


def test_proofs_that_another_seed_has_sealed_do_not_stop_the_others(
    build: Build, funded: House, mint: MoodyMint, locks: Locksmith
) -> None:
    other, ours = mint.fund(13), mint.fund(13)
    mint.fault("swap", Fault.SERVER_ERROR, times=2)
    with pytest.raises(DepositPendingError):
        build(mint, seed=OTHER_SEED).deposit(other)
    with pytest.raises(DepositPendingError):
        funded.deposit(ours)

    assert Office(funded, locks).recovery.finish_movements(AT_ONCE) == 1

    assert funded.available_msat() == 112_000
    assert funded.topics(stream_of(other)) == ["deposit.received"]


def test_a_mint_that_is_away_is_asked_again_later(
    funded: House, mint: MoodyMint, recovery: Recovery
) -> None:
    mint.refuse("swap", 0, times=ALWAYS)
    with pytest.raises(DepositPendingError):
        funded.deposit(mint.fund(13))
    assert recovery.finish_movements(AT_ONCE) == 0
    mint.go_away()
    assert recovery.finish_movements(AT_ONCE) == 0
    mint.relent()
    mint.come_back()

    assert recovery.finish_movements(AT_ONCE) == 1
    assert funded.available_msat() == 112_000


def test_tokens_are_watched_until_they_are_collected(
    build: Build, funded: House, mint: MoodyMint, recovery: Recovery
) -> None:
    refund = funded.refunds.refund(ALICE)
    assert recovery.watch_tokens(AT_ONCE) == 0
    build(mint, anew=True, seed=OTHER_SEED).deposit(refund.token)

    assert recovery.watch_tokens() == 0
    assert recovery.watch_tokens(AT_ONCE) == 1
    assert recovery.watch_tokens(AT_ONCE) == 0
    assert isinstance(funded.events(refund.refund_id)[-1], Collected)


def test_tokens_are_not_taken_for_collected_while_their_mint_is_away(
    funded: House, mint: MoodyMint, recovery: Recovery
) -> None:
    funded.refunds.refund(ALICE)
    mint.go_away()

    assert recovery.watch_tokens(AT_ONCE) == 0


def test_only_tokens_that_are_old_enough_are_taken_back(
    funded: House, recovery: Recovery
) -> None:
    refund = funded.refunds.refund(ALICE)

    assert recovery.sweep_tokens(timedelta(days=1)) == 0
    assert recovery.sweep_tokens(AT_ONCE) == 1

    assert funded.topics(refund.refund_id)[-1] == Swept.TOPIC
    assert recovery.sweep_tokens(AT_ONCE) == 0


def test_a_token_that_cannot_be_taken_back_just_now_is_left_for_later(
    funded: House, mint: MoodyMint, recovery: Recovery
) -> None:
    refund = funded.refunds.refund(ALICE)
    mint.fault("swap", Fault.DROP_RESPONSE)

    assert recovery.sweep_tokens(AT_ONCE) == 0
    assert recovery.finish_movements(AT_ONCE) == 1

    assert funded.topics(refund.refund_id)[-1] == Swept.TOPIC


def test_a_swap_that_was_interrupted_is_finished(
    house: House, mint: MoodyMint, locks: Locksmith
) -> None:
    for _ in range(6):
        house.deposit(mint.fund(3))
    mint.fault("swap", Fault.DROP_RESPONSE)
    assert house.swaps.tidy() == 0
    recovery = Recovery(
        house.ledger,
        house.store,
        locks,
        house.deposits,
        house.refunds,
        others={SWAP: house.swaps.resume},
    )

    assert recovery.finish_movements(AT_ONCE) == 1

    assert isinstance(house.log()[-1], SwapDone)
