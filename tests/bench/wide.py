"""How the house grows with its hosts: `python -m tests.bench.wide`, or `make bench-wide`.

So many hosts, each `tallystick serve` with one worker, share one PostgreSQL of the benchmark's
own and are behind nginx. They all have to share this machine too, so that requests a second
say little here. What says how far it goes is the CPU of each part per request: ours must stay
the same however many hosts there are, and what PostgreSQL needs is what they have in common.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.store.opening import open_store
from domain.identity import account_of_key
from tests.bench.databases import fund
from tests.bench.demand import Seen, buy, percentile, quietly
from tests.bench.subjects import KEYS, charged_and_open, cpu_s_of, mock_upstream, nginx_before
from tests.bench.told import rewrite
from tests.gateways.conftest import free_port
from tests.integration.cluster import Pair, Single
from tests.integration.house import new_address
from tests.integration.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.subjects import Subject

DOCUMENT = Path(__file__).parents[2] / "docs" / "scaling.md"
HOSTS = (1, 2, 4)
CLIENTS, WARM_S = 64, 2.0
SETTINGS = {"WORKERS": "1"}
MS = 1000
COLUMNS = (
    "hosts",
    "PostgreSQL",
    "CPU-ms a request: workers",
    "back offices",
    "PostgreSQL",
    "nginx",
    "requests/s",
    "p50, p99 ms",
    "charged / served, holds left, failed",
)


@dataclass(frozen=True)
class Site:
    """A whole installation, and what each of its parts has used so far."""

    hosts: Sequence[Service]
    front: Subject
    servers: Single | Pair
    url: str

    def spent_s(self) -> tuple[float, float, float, float]:
        """Return the CPU seconds of workers, back offices, PostgreSQL and nginx."""
        workers = [pid for host in self.hosts for pid in host.worker_pids()]
        offices = [host.back_office_pid() for host in self.hosts]
        return (
            sum(map(cpu_s_of, workers)),
            sum(cpu_s_of(pid) for pid in offices if pid is not None),
            sum(map(cpu_s_of, self.servers.pids())),
            self.front.cpu_s(),
        )


@contextmanager
def site(mock: Subject, hosts: int, *, with_standby: bool) -> Iterator[Site]:
    with ExitStack() as stack:
        servers: Single | Pair = Pair() if with_standby else Single()
        stack.enter_context(servers)
        store, _ = open_store(servers.url)
        fund(store, [account_of_key(key) for key in KEYS])
        store.close()
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wide-")))
        nobody = f"http://127.0.0.1:{free_port()}"
        upstream = f"http://127.0.0.1:{mock.target.port}/v1"
        address = new_address(servers.url, nobody, upstream)
        services = [
            stack.enter_context(Service(address, directory / f"host-{number}", SETTINGS))
            for number in range(hosts)
        ]
        front = stack.enter_context(nginx_before(*(service.port for service in services)))
        if front is None:
            raise click.ClickException("this needs nginx: apt-get install nginx-light")
        yield Site(services, front, servers, servers.url)


@click.command()
@click.option("--seconds", default=6.0, show_default=True, help="of each measurement")
@click.option("--quick", is_flag=True, help="Two hosts for a second; the document stays.")
def main(*, seconds: float, quick: bool) -> None:
    """Measure what a request costs each part; write docs/scaling.md anew."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    with mock_upstream() as mock:
        quietly()
        for with_standby in (False, True):
            for hosts in (2,) if quick else HOSTS:
                click.echo(f"{hosts} hosts, standby: {with_standby}", err=True)
                with site(mock, hosts, with_standby=with_standby) as wide:
                    lines.append(_row(wide, 1.0 if quick else seconds))
    click.echo("\n".join(lines))
    if not quick:
        rewrite("make bench-wide", lines, DOCUMENT)


def _row(wide: Site, seconds: float) -> str:
    asyncio.run(buy(wide.front.target, CLIENTS, WARM_S))
    charged_before, _ = charged_and_open(wide.url)
    spent_s = wide.spent_s()
    seen = asyncio.run(buy(wide.front.target, CLIENTS, seconds))
    spent_ms = [
        (now_s - then_s) / len(seen.times_ms) * MS
        for now_s, then_s in zip(wide.spent_s(), spent_s, strict=True)
    ]
    charged, unended = charged_and_open(wide.url)
    return _told(wide, seen, spent_ms, charged - charged_before, unended)


def _told(wide: Site, seen: Seen, spent_ms: Sequence[float], charged: int, unended: int) -> str:
    workers, offices, server, front = (f"{each:.3f}" for each in spent_ms)
    server_kind = "and a synchronous standby" if isinstance(wide.servers, Pair) else "alone"
    served = len(seen.times_ms)
    times = f"{percentile(seen.times_ms, 50):.0f}, {percentile(seen.times_ms, 99):.0f}"
    return (
        f"| {len(wide.hosts)} | {server_kind} | {workers} | {offices} | {server} | {front}"
        f" | {served / seen.seconds:,.0f} | {times}"
        f" | {charged:,} / {served:,}, {unended}, {seen.failed} |"
    )


if __name__ == "__main__":
    main()
