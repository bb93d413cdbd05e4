"""How the house grows with its hosts: `python -m tests.bench.wide`, or `make bench-wide`.

So many hosts, each `tallystick serve` with one worker, share one PostgreSQL of the benchmark's
own and are behind nginx. They all have to share this machine too, so that requests a second
say little of what they could do at most. So three things are looked at: what each part needs
for a request while all hosts do what they can; whether twice as many hosts serve twice as much
of what leaves the machine some room; and what PostgreSQL needs when nothing else is in its way.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.store.opening import open_store
from domain.identity import account_of_key
from tests.bench.databases import account, fund
from tests.bench.demand import Seen, Target, buy, percentile, quietly
from tests.bench.ledger import MANY, run
from tests.bench.subjects import charged_and_open, cpu_s_of, mock_upstream, nginx_before
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
"""Of each host: every one is as busy as if it were alone."""

KEYS = tuple(f"sk-wide-{number}" for number in range(CLIENTS * max(HOSTS)))
BUYERS, EVERY_S = 16, 0.1
"""Of each host, where there is to be some room: 160 requests a second."""

PROCESSES = (1, 2, 4)
SETTINGS = {"WORKERS": "1"}
MS, US = 1_000, 1e6
FULL = (
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
PACED = ("hosts", "PostgreSQL", "asked/s", "served/s", "p50, p99 ms", "failed")
PAIRS = (
    "processes",
    "PostgreSQL",
    "pairs/s",
    "pairs a commit",
    "CPU-µs a pair: ours",
    "PostgreSQL",
)


@dataclass(frozen=True)
class Site:
    """A whole installation, and what each of its parts has used so far."""

    hosts: Sequence[Service]
    front: Subject
    target: Target
    servers: Single | Pair
    url: str

    def spent_s(self) -> tuple[float, float, float, float]:
        """Return the CPU seconds of workers, back offices, PostgreSQL and nginx."""
        workers = [pid for host in self.hosts for pid in host.worker_pids()]
        offices = [host.back_office_pid() for host in self.hosts]
        return (
            sum(map(cpu_s_of, workers)),
            sum(cpu_s_of(pid) for pid in offices if pid is not None),
            _server_s(self.servers),
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
        yield Site(services, front, Target(front.target.port, KEYS), servers, servers.url)


@click.command()
@click.option("--seconds", default=6.0, show_default=True, help="of each measurement")
@click.option("--quick", is_flag=True, help="Two hosts for a second; the document stays.")
def main(*, seconds: float, quick: bool) -> None:
    """Measure what a request costs each part; write docs/scaling.md anew."""
    seconds = 1.0 if quick else seconds
    full, paced, pairs = [_heading(FULL)], [_heading(PACED)], [_heading(PAIRS)]
    with mock_upstream() as mock:
        quietly()
        for with_standby in (False, True):
            for hosts in (2,) if quick else HOSTS:
                _say(f"{hosts} hosts, standby: {with_standby}")
                with site(mock, hosts, with_standby=with_standby) as wide:
                    paced.append(_paced(wide, seconds))
                    full.append(_full(wide, seconds))
    for with_standby in (False, True):
        with servers_of(with_standby=with_standby) as servers:
            for processes in (2,) if quick else PROCESSES:
                _say(f"{processes} processes, standby: {with_standby}")
                pairs.append(_pairs(servers, processes, seconds))
    lines = [
        *("All hosts do what they can:", "", *full, ""),
        *(f"{BUYERS / EVERY_S:.0f} requests a second for each host:", "", *paced, ""),
        *("The ledger alone, 200 in each process who ask again at once:", "", *pairs),
    ]
    click.echo("\n".join(lines))
    if not quick:
        rewrite("make bench-wide", lines, DOCUMENT)


def _full(wide: Site, seconds: float) -> str:
    clients = CLIENTS * len(wide.hosts)
    asyncio.run(buy(wide.target, clients, WARM_S))
    charged_before, _ = charged_and_open(wide.url)
    spent_s = wide.spent_s()
    seen = asyncio.run(buy(wide.target, clients, seconds))
    served = len(seen.times_ms)
    spent_ms = (
        (now_s - then_s) / served * MS
        for now_s, then_s in zip(wide.spent_s(), spent_s, strict=True)
    )
    charged, unended = charged_and_open(wide.url)
    return _row(
        str(len(wide.hosts)),
        _kind(wide.servers),
        *(f"{each:.3f}" for each in spent_ms),
        f"{served / seen.seconds:,.0f}",
        _times(seen),
        f"{charged - charged_before:,} / {served:,}, {unended}, {seen.failed}",
    )


def _paced(wide: Site, seconds: float) -> str:
    buyers = BUYERS * len(wide.hosts)
    asyncio.run(buy(wide.target, buyers, WARM_S, every_s=EVERY_S))
    seen = asyncio.run(buy(wide.target, buyers, seconds, every_s=EVERY_S))
    return _row(
        str(len(wide.hosts)),
        _kind(wide.servers),
        f"{buyers / EVERY_S:,.0f}",
        # Of all buyers the last begins when the first asks again.
        f"{len(seen.times_ms) / (seen.seconds - EVERY_S):,.0f}",
        _times(seen),
        str(seen.failed),
    )


@contextmanager
def servers_of(*, with_standby: bool) -> Iterator[Single | Pair]:
    """Have one server, or two of which one follows, with money on many accounts."""
    with Pair() if with_standby else Single() as servers:
        store, _ = open_store(servers.url)
        fund(store, map(account, range(MANY)))
        store.close()
        yield servers


def _pairs(servers: Single | Pair, processes: int, seconds: float) -> str:
    _, head, _ = _written(servers.url)
    spent_s = _server_s(servers)
    rate = run("load", servers.url, MANY, processes, seconds)
    server_s = _server_s(servers) - spent_s
    # With those of its first moments, which are not in the rate.
    events, _, commits = _written(servers.url, head)
    pairs = events / 2
    return _row(
        str(processes),
        _kind(servers),
        f"{rate.pairs_per_s:,.0f}",
        f"{pairs / commits:.0f}",
        f"{rate.cpu_us:.0f}",
        f"{server_s / pairs * US:.0f}",
    )


def _written(url: str, after: int = 0) -> tuple[int, int, int]:
    """Return how many events are behind a position, the last one's, and in how many commits."""
    store, _ = open_store(url)
    with store.snapshot() as query:
        found = query(
            "SELECT COUNT(*), MAX(notification_id), COUNT(DISTINCT xmin::text)"
            " FROM stored_events WHERE notification_id > ?",
            (after,),
        )
    store.close()
    events, last, commits = found[0]
    return int(events), int(last), int(commits)


def _server_s(servers: Single | Pair) -> float:
    """Return the CPU seconds of a server's processes, those that have ended included."""
    spent_s = 0.0
    for pid in servers.pids():
        # What has ended in this very moment is a part of its parent's.
        with suppress(FileNotFoundError, ProcessLookupError):
            spent_s += cpu_s_of(pid, with_ended=True)
    return spent_s


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _heading(cells: Sequence[str]) -> str:
    return f"{_row(*cells)}\n{'|---' * len(cells)}|"


def _kind(servers: Single | Pair) -> str:
    return "and a synchronous standby" if isinstance(servers, Pair) else "alone"


def _times(seen: Seen) -> str:
    return f"{percentile(seen.times_ms, 50):.0f}, {percentile(seen.times_ms, 99):.0f}"


def _say(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    main()
