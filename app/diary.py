"""What each job of the back office did last, in rows that may be lost: no event tells it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from app.logs import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from projections.chart import Query

MS = 1_000
ERROR_CHARACTERS_MAX = 300
COLUMNS = ("every_ms", "begun_ms", "took_ms", "runs", "failures", "failed_ms", "error")
WRITE = (
    f"INSERT INTO job_run (name, {', '.join(COLUMNS)}) VALUES (?{', ?' * len(COLUMNS)})"  # noqa: S608  (names of our own)
    f" ON CONFLICT (name) DO UPDATE SET"
    f" {', '.join(f'{name} = excluded.{name}' for name in COLUMNS)}"
)


@dataclass(slots=True)
class Run:
    """A job since the back office opened; `error` is that of its newest failure."""

    every_ms: int
    begun_ms: int = 0
    took_ms: int = 0
    runs: int = 0
    failures: int = 0
    failed_ms: int = 0
    error: str = ""


class Diary:
    """Notes the runs of jobs by their names, and writes all down in one transaction.

    Some jobs run every two seconds: to write each run down would be a transaction each.
    """

    def __init__(
        self,
        change: Callable[[Callable[[Query], Any]], Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._runs: dict[str, Run] = {}
        self._change = change
        self._clock = clock
        self._turn = Lock()

    def expect(self, every_s: Mapping[str, float]) -> None:
        """Note these jobs from now on, each with how often it is done, and no others."""
        with self._turn:
            before = self._runs
            self._runs = {name: before.get(name, Run(0)) for name in every_s}
            for name, each_s in every_s.items():
                self._runs[name].every_ms = int(each_s * MS)

    @contextmanager
    def watched(self, name: str) -> Iterator[None]:
        """Note that a job is run, how long it takes, and the error that it ends with."""
        run, begun_ms = self._runs.get(name), self._now_ms()
        if run is None:
            yield
            return
        with self._turn:
            run.begun_ms = begun_ms
            run.runs += 1
        try:
            yield
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
            with self._turn:
                run.failures += 1
                run.failed_ms = self._now_ms()
                run.error = redact(text)[:ERROR_CHARACTERS_MAX]
            raise
        finally:
            run.took_ms = self._now_ms() - begun_ms

    def write(self) -> None:
        """Write down how every job stands, and forget those there are no more."""
        with self._turn:
            rows = [
                [name, *(getattr(run, column) for column in COLUMNS)]
                for name, run in self._runs.items()
            ]

        def replace(query: Query) -> None:
            known = {row[0] for row in query("SELECT name FROM job_run")}
            for name in known - set(self._runs):
                query("DELETE FROM job_run WHERE name = ?", [name])
            for row in rows:
                query(WRITE, row)

        self._change(replace)

    def _now_ms(self) -> int:
        return int(self._clock() * MS)
