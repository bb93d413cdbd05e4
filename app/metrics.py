"""What a monitoring system reads (Prometheus): counted by every process, told by any of them.

With PROMETHEUS_MULTIPROC_DIR set, as `tallystick serve` sets it, the processes of one host
count into files that they share there; without it each counts for itself.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from app.logs import RequestLine

SHARED = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)


class Metrics:
    """Every figure there is; labels are names of ours, never what a client sent."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests answered.", "route", "status")
        self._seconds = self._histogram("request_seconds", "From request to end of answer.")
        self._first = self._histogram("first_chunk_seconds", "From request to first chunk.")
        self._found: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._charged = self._counter("charged_msat", "Charged to clients, in msat.")
        self._failures = self._counter(
            "gateway_failures", "What mints and providers failed at.", "gateway", "name", "kind"
        )
        self._payouts = self._counter("owner_payouts", "Payouts to the owner.", "end")
        self._jobs = self._counter("job_runs", "Runs of the back office's jobs.", "job", "end")
        self._job_at = self._gauge("job_last_success_timestamp_seconds", "When it did.", "job")
        self._job_s = self._gauge("job_seconds", "How long the newest run took.", "job")
        self._open = self._gauge("open", "Holds and movements without an end.", "kind")
        self._oldest = self._gauge("oldest_seconds", "Age of the oldest of them.", "kind")
        self._money = self._gauge("money_msat", "What stands on whose account, in msat.", "of")
        self._unexplained = self._gauge(
            "unexplained_msat", "Difference between books and mint.", "mint"
        )
        self._compared_at = self._gauge(
            "reconciled_timestamp_seconds", "When books and mint were compared.", "mint"
        )
        self._rate_at = self._gauge("rate_timestamp_seconds", "When BTC/USD was observed.")
        self._position = self._gauge("log_position", "Newest position of the log.")
        self._lag = self._gauge("follower_lag", "Positions not told yet.", "follower")

    def count_request(self, line: RequestLine) -> None:
        """Count a request that has ended."""
        counter, seconds = self._of(line.route, line.status)
        counter.inc()
        seconds.observe(line.duration_ms / 1000)
        if line.first_chunk_ms is not None:
            self._first.labels(line.route).observe(line.first_chunk_ms / 1000)
        if line.charged_msat:
            self._charged.inc(line.charged_msat)

    def _of(self, route: str, status: int) -> tuple[Counter, Histogram]:
        """Return the figures of such requests: to find them takes as long as to count."""
        found = self._found.get((route, status))
        if found is None:
            found = self._found[route, status] = (
                self._requests.labels(route, str(status)),
                self._seconds.labels(route),
            )
        return found

    def count_failure(self, gateway: str, name: str, kind: str) -> None:
        """Count that a `mint` or a `provider`, as the operator names it, has failed."""
        self._failures.labels(gateway, name, kind).inc()

    def count_payout(self, end: str) -> None:
        """Count what became of a payout to the owner: its status, or why there was none."""
        self._payouts.labels(end).inc()

    @contextmanager
    def watched(self, job: str) -> Iterator[None]:
        """Count a run of a job, and note when it last went well and how long it took."""
        began_s = time.monotonic()
        end = "failed"
        try:
            yield
            end = "done"
            self._job_at.labels(job).set_to_current_time()
        finally:
            self._jobs.labels(job, end).inc()
            self._job_s.labels(job).set(time.monotonic() - began_s)

    def set_open(self, kind: str, count: int, oldest_s: float) -> None:
        self._open.labels(kind).set(count)
        self._oldest.labels(kind).set(oldest_s)

    def set_money(self, balances_msat: Mapping[str, int]) -> None:
        for of, balance_msat in balances_msat.items():
            self._money.labels(of).set(balance_msat)

    def set_reconciled(self, mint: str, unexplained_msat: int, at_s: float) -> None:
        self._unexplained.labels(mint).set(unexplained_msat)
        self._compared_at.labels(mint).set(at_s)

    def set_rate(self, at_s: float) -> None:
        self._rate_at.set(at_s)

    def set_log(self, position: int, lags: Mapping[str, int]) -> None:
        self._position.set(position)
        for follower, lag in lags.items():
            self._lag.labels(follower).set(lag)

    def told(self) -> bytes:
        """Return what all processes of this host have counted, in Prometheus' text format."""
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"tallystick_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(
            f"tallystick_{name}", text, ("route",), buckets=SECONDS, registry=self._registry
        )

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(
            f"tallystick_{name}",
            text,
            labels,
            registry=self._registry,
            # The back office sets these, and only what it said last is true.
            multiprocess_mode="mostrecent",
        )
