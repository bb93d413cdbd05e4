"""Tallystick beside others that stand where it stands: `make bench-peers`.

nginx, the usual Flask proxy, LiteLLM and Portkey, in turns in one run, before one upstream.
Each runs one worker. LiteLLM and Portkey are installed from locked files into `.peers/`, for
this and nothing else; what cannot be had on a machine is left out, and the table says so.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import click

from tests.bench.demand import Seen, buy, percentile, quietly, read
from tests.bench.others import bare_flask, litellm, portkey
from tests.bench.subjects import House, Subject, house, mock_upstream, nginx, served
from tests.bench.told import rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MANY, WARM_S, MS = 16, 2.0, 1000
STREAMS, CHUNKS, PACE_MS = 10, 100, 20
HEADING = (
    "| | requests/s | CPU-s for 1,000 requests | added p50, p99, ms"
    " | first chunk added, p50, ms | CPU-s for 1,000 streams | MiB | failed | billed |"
)


@dataclass
class Figures:
    """What was measured of one subject; a list has a figure for each round."""

    rate: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    stream_cpu_s: list[float] = field(default_factory=list)
    alone: Seen = field(default_factory=Seen)
    streams: Seen = field(default_factory=Seen)
    failed: int = 0
    mib: float = 0.0
    served: int = 0


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=4.0, show_default=True, help="of each closed loop")
@click.option("--quick", is_flag=True, help="One short round, and the document stays.")
def main(*, rounds: int, seconds: float, quick: bool) -> None:
    """Measure all of them, and write the table in docs/performance.md anew."""
    with ExitStack() as stack:
        mock = stack.enter_context(mock_upstream())
        ours = stack.enter_context(house(mock))
        missing: list[str] = []
        subjects = [mock, *_others(stack, mock, missing), ours]
        figures = {each.name: Figures() for each in subjects}
        quietly()
        for each in subjects:
            asyncio.run(buy(each.target, MANY, WARM_S))
        charged = ours.charged_and_open()[0]
        for place in range(1 if quick else rounds):
            for each in subjects:
                click.echo(f"round {place + 1}: {each.name}", err=True)
                before = served(mock)
                _measure(each, figures[each.name], 1.0 if quick else seconds)
                figures[each.name].served += served(mock) - before
        lines = _table(subjects, figures, ours.charged_and_open()[0] - charged)
        lines += ["", *missing] if missing else []
    click.echo("\n".join(lines))
    if not quick:
        rewrite("make bench-peers", lines)


def _others(stack: ExitStack, mock: Subject, missing: list[str]) -> Iterator[Subject]:
    for start in (nginx, bare_flask, portkey, litellm):
        try:
            found = stack.enter_context(start(mock))
        except click.ClickException as error:
            missing.append(f"{start.__name__} could not be measured here: {error.message}")
            click.echo(missing[-1], err=True)
        else:
            if found is not None:
                yield found


def _measure(subject: Subject, figures: Figures, seconds: float) -> None:
    cpu_s = subject.cpu_s()
    seen = asyncio.run(buy(subject.target, MANY, seconds))
    count = len(seen.times_ms)
    figures.cpu_s.append((subject.cpu_s() - cpu_s) / count * 1000)
    figures.rate.append(count / seen.seconds)
    alone = asyncio.run(buy(subject.target, 1, seconds / 2))
    figures.alone += alone
    cpu_s = subject.cpu_s()
    model = f"mock-{CHUNKS}-{PACE_MS}"
    streams = asyncio.run(read(subject.target, STREAMS, model, CHUNKS * PACE_MS / MS))
    figures.stream_cpu_s.append((subject.cpu_s() - cpu_s) / STREAMS * 1000)
    figures.streams += streams
    figures.failed += seen.failed + alone.failed + streams.failed
    figures.mib = max(figures.mib, subject.rss_mib())


def _table(
    subjects: Sequence[Subject], all_figures: dict[str, Figures], charged: int
) -> list[str]:
    direct = all_figures[subjects[0].name]
    lines = [HEADING, f"|---|{'---|' * 8}"]
    for subject in subjects:
        figures = all_figures[subject.name]
        added = [
            percentile(figures.alone.times_ms, place) - percentile(direct.alone.times_ms, place)
            for place in (50, 99)
        ]
        first = percentile(figures.streams.first_ms, 50) - percentile(
            direct.streams.first_ms, 50
        )
        billed = "nothing"
        if isinstance(subject, House):
            billed = f"{charged:,} of {figures.served:,} served"
        cells = (
            subject.name,
            f"{median(figures.rate):,.0f}",
            f"{median(figures.cpu_s):.3f}",
            f"{added[0]:.2f}, {added[1]:.2f}",
            f"{first:.2f}",
            f"{median(figures.stream_cpu_s):.1f}",
            f"{figures.mib:.0f}",
            str(figures.failed),
            billed,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
