"""The back office: what is to be done once for the whole house, at its hours."""

from __future__ import annotations

import logging
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger

from app.store.errors import StoreError
from app.store.locks import LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from app.store.locks import Locks

logger = logging.getLogger(__name__)

LEASE_LOOK_S = 2.0
KEEP_EVERY_S = 5.0
RENEW_EVERY_S = 2.0
CLOCK_LOOK_S = 1.0
THREADS = 4


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every `every_s` seconds, never twice at the same time."""

    name: str
    every_s: float
    do: Callable[[], object]


class BackOffice:
    """Runs the jobs of the house while it holds the lease; a second one waits for it.

    Each run is `watched` under the name of its job. `renewed` returns the jobs that there are
    from now on, `None` while they are the same; what runs just then ends as it began.
    No job waits for longer than its own interval, though the machine's clock be set back.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        locks: Locks,
        watched: Callable[[str], AbstractContextManager[None]] = lambda _name: nullcontext(),
        renewed: Callable[[], Iterable[Job] | None] = lambda: None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._jobs = tuple(jobs)
        self._locks = locks
        self._watched = watched
        self._renewed = renewed
        self._now = now
        self._stopping = Event()
        self._scheduler = BlockingScheduler(
            executors={"default": ThreadPoolExecutor(THREADS)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )

    def run(self) -> None:
        """Wait for the lease, then work until `stop` or until the lease is lost."""
        if not self._has_lease_in_time():
            return
        logger.info("back office open with %d jobs", len(self._jobs))
        own = (
            Job("lease", KEEP_EVERY_S, self._keep),
            Job("settings", RENEW_EVERY_S, self._renew),
        )
        for job in (*self._jobs, *own):
            self._begin(job)
        self._scheduler.add_listener(_failed, EVENT_JOB_ERROR)
        Thread(target=self._look_at_the_clock, name="clock", daemon=True).start()
        self._scheduler.start()

    def stop(self) -> None:
        """Let running jobs end, and start no other; also while waiting for the lease."""
        self._stopping.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _begin(self, job: Job) -> None:
        self._scheduler.add_job(
            partial(self._do, job),
            _every(job),
            id=job.name,
            next_run_time=self._now(),
        )

    def _look_at_the_clock(self) -> None:
        """Do not let jobs wait until a clock that was set back is where it was before.

        The scheduler goes by the time of day: set back by an hour, the clock would keep all
        jobs from their work for that hour.
        """
        while not self._stopping.wait(CLOCK_LOOK_S):
            now = self._now()
            for job in self._scheduler.get_jobs():
                latest = now + job.trigger.interval
                if job.next_run_time > latest:
                    with suppress(JobLookupError):
                        self._scheduler.modify_job(job.id, next_run_time=latest)

    def _renew(self) -> None:
        found = self._renewed()
        if found is None:
            return
        jobs = tuple(found)
        before_s = {job.name: job.every_s for job in self._jobs}
        for name in before_s.keys() - {job.name for job in jobs}:
            self._scheduler.remove_job(name)
        for job in jobs:
            if job.name not in before_s:
                self._begin(job)
                continue
            # Its next time stays: what is done once a day is not done at every change.
            self._scheduler.modify_job(job.name, func=partial(self._do, job))
            if job.every_s != before_s[job.name]:
                self._scheduler.reschedule_job(job.name, trigger=_every(job))
        self._jobs = jobs

    def _do(self, job: Job) -> None:
        with self._watched(job.name):
            job.do()

    def _has_lease_in_time(self) -> bool:
        while not self._stopping.is_set():
            if self._has_lease():
                return True
            self._stopping.wait(LEASE_LOOK_S)
        return False

    def _has_lease(self) -> bool:
        try:
            return self._locks.take(LEASE)
        except StoreError as error:
            logger.warning("no lease: %s", error)
            return False

    def _keep(self) -> None:
        if not self._locks.keep():
            logger.error("the lease is lost: somebody else is the back office now")
            self.stop()


def _every(job: Job) -> IntervalTrigger:
    return IntervalTrigger(seconds=job.every_s, timezone=UTC)


def _failed(event: JobExecutionEvent) -> None:
    logger.error("job %s failed", event.job_id, exc_info=event.exception)
