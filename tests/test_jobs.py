from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from app.jobs import BackOffice, Job
from app.store.errors import StoreUnavailableError
from app.store.locks import LEASE, FileLocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Open = Callable[..., BackOffice]

WAIT_MAX_S = 5.0
SOON_S = 0.05


def wait_for(fact: Callable[[], bool]) -> None:
    until_s = time.monotonic() + WAIT_MAX_S
    while not fact():
        assert time.monotonic() < until_s
        time.sleep(0.01)


class Locks(FileLocks):
    """The locks of one process, which may lose them, or fail for a while."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.failures = 0
        self.kept = True

    def take(self, name: str) -> bool:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError
        return super().take(name)

    def keep(self) -> bool:
        return self.kept

    def die(self) -> None:
        """Let go of everything, as the system does for a process that died."""
        for file in self._held.values():
            file.close()
        self._held.clear()


class Running:
    """A back office at work in a thread of its own."""

    def __init__(self, office: BackOffice) -> None:
        self.office = office
        self.thread = threading.Thread(target=office.run)
        self.thread.start()

    def stop(self) -> None:
        self.office.stop()
        self.thread.join(WAIT_MAX_S)
        assert not self.thread.is_alive()


@pytest.fixture
def new_locks(tmp_path: Path) -> Iterator[Callable[[], Locks]]:
    """How to have the locks of a further process."""
    made: list[Locks] = []

    def new_locks() -> Locks:
        made.append(Locks(tmp_path / "locks"))
        return made[-1]

    yield new_locks
    for locks in made:
        locks.die()


@pytest.fixture
def run() -> Iterator[Callable[[BackOffice], Running]]:
    started: list[Running] = []

    def run(office: BackOffice) -> Running:
        started.append(Running(office))
        return started[-1]

    yield run
    for running in started:
        running.stop()


def test_jobs_are_done_at_once_and_again(
    new_locks: Callable[[], Locks], run: Callable[[BackOffice], Running]
) -> None:
    done: list[float] = []
    run(BackOffice([Job("count", SOON_S, lambda: done.append(0))], new_locks()))

    wait_for(lambda: len(done) >= 3)


def test_a_job_that_fails_is_logged_and_goes_on_as_do_the_others(
    new_locks: Callable[[], Locks],
    run: Callable[[BackOffice], Running],
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("bad")
        raise LookupError("a job's own trouble")

    jobs = [Job("bad", SOON_S, fail), Job("good", SOON_S, lambda: done.append("good"))]
    with caplog.at_level(logging.ERROR, logger="app.jobs"):
        run(BackOffice(jobs, new_locks()))
        wait_for(lambda: done.count("bad") >= 2 and done.count("good") >= 2)

    record = next(each for each in caplog.records if each.name == "app.jobs")
    assert record.getMessage() == "job bad failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


def test_a_job_never_runs_twice_at_the_same_time(
    new_locks: Callable[[], Locks], run: Callable[[BackOffice], Running]
) -> None:
    at_it: list[int] = [0]
    most: list[int] = []

    def slow() -> None:
        at_it[0] += 1
        most.append(at_it[0])
        time.sleep(4 * SOON_S)
        at_it[0] -= 1

    run(BackOffice([Job("slow", SOON_S, slow)], new_locks()))
    wait_for(lambda: len(most) >= 3)

    assert set(most) == {1}


def test_jobs_are_others_when_the_settings_are(
    new_locks: Callable[[], Locks], run: Callable[[BackOffice], Running]
) -> None:
    done: list[str] = []

    def jobs(mark: str, *more: Job) -> list[Job]:
        return [Job("kept", SOON_S, lambda: done.append(mark)), *more]

    news = [jobs("new", Job("added", SOON_S, lambda: done.append("added")))]
    gone = Job("gone", SOON_S, lambda: done.append("gone"))
    run(
        BackOffice(
            jobs("old", gone),
            new_locks(),
            renewed=lambda: news.pop() if news and "old" in done and "gone" in done else None,
        )
    )

    wait_for(lambda: "new" in done and "added" in done)

    so_far = len(done)
    wait_for(lambda: done[so_far:].count("new") >= 3)
    assert set(done[so_far + 1 :]) == {"new", "added"}


def test_a_job_keeps_its_next_time_unless_it_is_done_more_often_now(
    new_locks: Callable[[], Locks], run: Callable[[BackOffice], Running]
) -> None:
    done: list[str] = []

    def jobs(soon_s: float) -> list[Job]:
        return [
            Job("daily", 86_400, lambda: done.append("daily")),
            Job("changed", soon_s, lambda: done.append("changed")),
        ]

    news = [jobs(SOON_S)]
    both = {"daily", "changed"}
    run(
        BackOffice(
            jobs(86_400),
            new_locks(),
            renewed=lambda: news.pop() if news and set(done) == both else None,
        )
    )

    wait_for(lambda: done.count("changed") >= 3)

    assert done.count("daily") == 1


def test_a_second_back_office_waits_for_the_first_ones_lease(
    new_locks: Callable[[], Locks], run: Callable[[BackOffice], Running]
) -> None:
    done: list[str] = []
    first_locks = new_locks()
    first = run(BackOffice([Job("first", SOON_S, lambda: done.append("first"))], first_locks))
    wait_for(lambda: "first" in done)
    run(BackOffice([Job("second", SOON_S, lambda: done.append("second"))], new_locks()))
    time.sleep(4 * SOON_S)
    assert "second" not in done

    first.stop()
    first_locks.die()

    wait_for(lambda: "second" in done)


def test_a_back_office_that_waits_can_be_stopped(
    new_locks: Callable[[], Locks], run: Callable[[BackOffice], Running]
) -> None:
    done: list[str] = []
    assert new_locks().take(LEASE)
    waiting = run(BackOffice([Job("never", SOON_S, lambda: done.append("x"))], new_locks()))

    waiting.stop()

    assert done == []


def test_a_back_office_waits_for_a_store_that_is_away(
    new_locks: Callable[[], Locks],
    run: Callable[[BackOffice], Running],
    caplog: pytest.LogCaptureFixture,
) -> None:
    locks, done = new_locks(), list[str]()
    locks.failures = 1

    run(BackOffice([Job("late", SOON_S, lambda: done.append("x"))], locks))

    wait_for(lambda: bool(done))
    assert "no lease" in caplog.text


def test_a_back_office_whose_lease_is_lost_closes(
    new_locks: Callable[[], Locks],
    run: Callable[[BackOffice], Running],
    caplog: pytest.LogCaptureFixture,
) -> None:
    locks = new_locks()
    locks.kept = False

    running = run(BackOffice([], locks))

    running.thread.join(WAIT_MAX_S)
    assert not running.thread.is_alive()
    assert "the lease is lost" in caplog.text


def test_a_back_office_that_stops_lets_its_jobs_end(
    new_locks: Callable[[], Locks], run: Callable[[BackOffice], Running]
) -> None:
    done: list[str] = []

    def slow() -> None:
        done.append("begun")
        time.sleep(4 * SOON_S)
        done.append("ended")

    running = run(BackOffice([Job("slow", 60.0, slow)], new_locks()))
    wait_for(lambda: bool(done))

    running.stop()

    wait_for(lambda: done == ["begun", "ended"])


def test_jobs_go_on_though_the_clock_was_set_back_by_an_hour(
    new_locks: Callable[[], Locks], run: Callable[[BackOffice], Running]
) -> None:
    done: list[str] = []
    ahead, begun = [timedelta(hours=1)], [0]

    def now() -> datetime:
        begun[0] += 1
        return datetime.now(UTC) + ahead[0]

    # It opens an hour ahead, and what it has planned is an hour away when it is set right.
    run(BackOffice([Job("steady", SOON_S, lambda: done.append("x"))], new_locks(), now=now))
    wait_for(lambda: begun[0] == len(("steady", "lease", "settings")))
    assert not done
    ahead[0] = timedelta(0)

    wait_for(lambda: len(done) > 1)
