"""The back office: what is to be done once for the whole house, at its hours."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger

from app.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from app.store.locks import Locks

logger = logging.getLogger(__name__)

LEASE = "back-office"
LEASE_LOOK_S = 2.0
KEEP_EVERY_S = 5.0
THREADS = 4


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every `every_s` seconds, never twice at the same time."""

    name: str
    every_s: float
    do: Callable[[], object]


class BackOffice:
    """Runs the jobs of the house while it holds the lease; a second one waits for it.

    Each run is `watched` under the name of its job.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        locks: Locks,
        watched: Callable[[str], AbstractContextManager[None]] = lambda _name: nullcontext(),
    ) -> None:
        self._jobs = tuple(jobs)
        self._locks = locks
        self._watched = watched
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
        for job in (*self._jobs, Job("lease", KEEP_EVERY_S, self._keep)):
            self._scheduler.add_job(
                partial(self._do, job),
                IntervalTrigger(seconds=job.every_s, timezone=UTC),
                id=job.name,
                next_run_time=datetime.now(UTC),
            )
        self._scheduler.add_listener(_failed, EVENT_JOB_ERROR)
        self._scheduler.start()

    def stop(self) -> None:
        """Let running jobs end, and start no other; also while waiting for the lease."""
        self._stopping.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

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


def _failed(event: JobExecutionEvent) -> None:
    logger.error("job %s failed", event.job_id, exc_info=event.exception)
