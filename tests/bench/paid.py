"""What a paid request costs: `python -m tests.bench.paid`, or `make bench`.

Tallystick as an operator runs it, with one worker and SQLite, beside two floors: a bare WSGI
application on the same server that forwards and bills nothing, and nginx. All have the same
upstream and take turns, so that what else the machine does falls on each of them alike. CPU
per request, read from /proc, is the figure to believe; times move with the machine.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from time import sleep
from typing import TYPE_CHECKING

import click

from tests.bench.demand import Seen, buy, percentile, quietly, read
from tests.bench.subjects import House, bare_wsgi, house, mock_upstream, nginx, served
from tests.bench.told import rewrite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.subjects import Subject

MANY, ALONE = 64, 1
STREAMS, CHUNKS, PACE_MS = 100, 100, 20
CROWD, CROWD_CHUNKS, CROWD_PACE_MS, CROWD_OVER_S = 1000, 40, 200, 4.0
PACED, WARM_S = 10, 1.5
MS = 1000


@dataclass
class Figures:
    """All that was measured of one subject; a list has a figure for each round."""

    cpu_ms: list[float] = field(default_factory=list)
    office_ms: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    alone_cpu_ms: list[float] = field(default_factory=list)
    stream_cpu_ms: list[float] = field(default_factory=list)
    alone: Seen = field(default_factory=Seen)
    streams: Seen = field(default_factory=Seen)
    beside: Seen = field(default_factory=Seen)
    crowd: Seen = field(default_factory=Seen)
    rss_mib: float = 0.0
    failed: int = 0


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=4.0, show_default=True, help="of each closed loop")
@click.option("--quick", is_flag=True, help="One short round, and the document stays.")
def main(*, rounds: int, seconds: float, quick: bool) -> None:
    """Measure a paid request and a paid stream; write docs/performance.md anew."""
    with ExitStack() as stack:
        mock = stack.enter_context(mock_upstream())
        ours = stack.enter_context(house(mock))
        others = (
            stack.enter_context(bare_wsgi(mock)),
            stack.enter_context(nginx(mock)),
        )
        subjects = [mock, *(each for each in others if each is not None), ours]
        figures = {each.name: Figures() for each in subjects}
        quietly()
        for each in subjects:
            asyncio.run(buy(each.target, MANY, WARM_S))
        charged_before, served_before = ours.charged_and_open()[0], served(mock)
        bought_elsewhere = 0
        for place in range(1 if quick else rounds):
            for each in subjects:
                click.echo(f"round {place + 1}: {each.name}", err=True)
                before = served(mock)
                _measure(each, figures[each.name], 1.0 if quick else seconds)
                if each is not ours:
                    bought_elsewhere += served(mock) - before
        sleep(1.0)
        charged, unended = ours.charged_and_open()
        count = served(mock) - served_before - bought_elsewhere
        lines = _table(subjects, figures)
        lines.append(
            f"\nOf {count:,} requests that the upstream served to Tallystick"
            f" {charged - charged_before:,} were charged; {unended} holds were left open."
        )
    click.echo("\n".join(lines))
    if not quick:
        rewrite("make bench", lines)


def _measure(subject: Subject, figures: Figures, seconds: float) -> None:
    office_s = subject.back_office_s() if isinstance(subject, House) else 0.0
    cpu_s = subject.cpu_s()
    many = asyncio.run(buy(subject.target, MANY, seconds))
    count = len(many.times_ms)
    figures.cpu_ms.append((subject.cpu_s() - cpu_s) / count * MS)
    figures.rate.append(count / many.seconds)
    if isinstance(subject, House):
        sleep(WARM_S)
        figures.office_ms.append((subject.back_office_s() - office_s) / count * MS)
    cpu_s = subject.cpu_s()
    alone = asyncio.run(buy(subject.target, ALONE, seconds / 2))
    figures.alone_cpu_ms.append((subject.cpu_s() - cpu_s) / len(alone.times_ms) * MS)
    figures.alone += alone
    cpu_s = subject.cpu_s()
    model = f"mock-{CHUNKS}-{PACE_MS}"
    streams = asyncio.run(read(subject.target, STREAMS, model, CHUNKS * PACE_MS / MS))
    figures.stream_cpu_ms.append((subject.cpu_s() - cpu_s) / STREAMS * MS)
    figures.streams += streams
    beside = asyncio.run(_beside(subject))
    figures.beside += beside
    model = f"mock-{CROWD_CHUNKS}-{CROWD_PACE_MS}"
    crowd = asyncio.run(read(subject.target, CROWD, model, CROWD_OVER_S))
    figures.crowd += crowd
    figures.rss_mib = max(figures.rss_mib, subject.rss_mib())
    figures.failed += sum(each.failed for each in (many, alone, streams, beside, crowd))


async def _beside(subject: Subject) -> Seen:
    """Read a few paced streams while others buy as fast as they are served."""
    buyers = asyncio.create_task(buy(subject.target, MANY, CHUNKS * PACE_MS / MS))
    model = f"mock-{CHUNKS}-{PACE_MS}"
    seen = await read(subject.target, PACED, model, PACE_MS / MS)
    seen.failed += (await buyers).failed
    return seen


def _table(subjects: Sequence[Subject], all_figures: dict[str, Figures]) -> list[str]:
    lines = [
        f"| figure | {' | '.join(each.name for each in subjects)} | must, target |",
        f"|---|{'---|' * len(subjects)}---|",
    ]
    direct = all_figures[subjects[0].name]
    columns = [_column(all_figures[each.name], direct) for each in subjects]
    for title, goal in GOALS.items():
        cells = (column[title] for column in columns)
        lines.append(f"| {title} | {' | '.join(cells)} | {goal} |")
    return lines


GOALS = {
    "CPU-ms a request, 64 clients": "1.0, 0.40",
    "CPU-ms a request, 1 client": "",
    "CPU-ms of the back office a request": "",
    "requests/s, 64 clients": "",
    "added by 1 client's request, p50 and p99, ms": "",
    "CPU-ms a stream of 100 chunks": "8, 6",
    "added time to first chunk, 100 streams, p50 and p99, ms": "2, 1 (p50)",
    "chunk transit, 10 streams beside 64 buyers, p99 and longest, ms": "20 (longest)",
    "chunk transit, 1,000 streams, p50, p99 and longest, ms": "10 (p99), 20",
    "MiB in one worker with 1,000 streams": "150, 120",
    "requests that failed": "0",
}


def _column(figures: Figures, direct: Figures) -> dict[str, str]:
    """Return a subject's cells, each under its title."""
    alone, streams = figures.alone.times_ms, figures.streams.first_ms
    added = (
        percentile(alone, place) - percentile(direct.alone.times_ms, place)
        for place in (50, 99)
    )
    first = (
        percentile(streams, place) - percentile(direct.streams.first_ms, place)
        for place in (50, 99)
    )
    beside, crowd = figures.beside.transit_ms, figures.crowd.transit_ms
    cells = (
        f"{median(figures.cpu_ms):.3f}",
        f"{median(figures.alone_cpu_ms):.3f}",
        f"{median(figures.office_ms):.3f}" if figures.office_ms else "",
        f"{median(figures.rate):,.0f}",
        " / ".join(f"{each:.2f}" for each in added),
        f"{median(figures.stream_cpu_ms):.2f}",
        " / ".join(f"{each:.2f}" for each in first),
        f"{percentile(beside, 99):.1f} / {max(beside):.1f}",
        f"{percentile(crowd, 50):.2f} / {percentile(crowd, 99):.1f} / {max(crowd):.1f}",
        f"{figures.rss_mib:.0f}",
        str(figures.failed),
    )
    return dict(zip(GOALS, cells, strict=True))


if __name__ == "__main__":
    main()
