"""What the back office does by the clock: when last, when next, and what went wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from app.web.admin.room import Room, now, page

if TYPE_CHECKING:
    from projections.chart import Query

READ = (
    "SELECT name, every_ms, begun_ms, took_ms, runs, failures, failed_ms, error FROM job_run"
    " ORDER BY name"
)
SILENT_AFTER = timedelta(seconds=90)
"""The quickest jobs are noted every ten seconds: later nobody is at work."""


class JobShown(NamedTuple):
    """A job, with its runs since the back office was opened."""

    name: str
    every: timedelta
    begun: datetime | None
    took_ms: int
    runs: int
    failures: int
    failed: datetime | None
    error: str

    @property
    def next(self) -> datetime | None:
        return self.begun + self.every if self.begun else None

    @property
    def failed_last(self) -> bool:
        """Tell whether its newest run is the one that failed."""
        return bool(self.failed and self.begun and self.failed >= self.begun)


class Jobs(Room):
    """All jobs of the back office."""

    @page("/")
    def index(self) -> Any:
        jobs: list[JobShown] = self.auditor.look(_read)
        newest = max((job.begun for job in jobs if job.begun), default=None)
        return self.render(
            "auditor/jobs.html",
            jobs=jobs,
            newest=newest,
            is_silent=newest is None or now() - newest > SILENT_AFTER,
        )


def _read(query: Query) -> list[JobShown]:
    return [
        JobShown(
            name,
            timedelta(milliseconds=every_ms),
            _at(begun_ms),
            took_ms,
            runs,
            failures,
            _at(failed_ms),
            error,
        )
        for name, every_ms, begun_ms, took_ms, runs, failures, failed_ms, error in query(READ)
    ]


def _at(ms: int) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, UTC) if ms else None
