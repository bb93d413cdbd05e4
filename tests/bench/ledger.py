"""The ledger engine timed: pairs of a hold and its charge, beside the floor of raw inserts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from time import monotonic
from typing import IO, cast

import click

from app.store.opening import open_store
from tests.bench.databases import account, fresh_database, fund
from tests.bench.replay import Replay, measure
from tests.bench.told import rewrite

ENGINES = ("sqlite", "postgresql")
MANY = 10_000
START_TIMEOUT_S = 60.0
TARGETS = {"sqlite": (5_000, 10_000), "postgresql": (3_000, 6_000)}
"""Pairs a second with two processes: what must be, and the target."""
HEADING = (
    "| engine | processes | 10,000 accounts: pairs/s (µs CPU) | one hot account"
    " | floor | 10,000 / floor | hot / floor | must, target |"
)
REPLAY_TARGETS = (70_000, 250_000)


@dataclass(frozen=True)
class Plan:
    """How long, on which engines, with how many processes, up to how many events."""

    engines: tuple[str, ...]
    seconds: float
    processes: tuple[int, ...]
    events: int


@dataclass(frozen=True)
class Rate:
    """Pairs a second of all processes together, and CPU microseconds of ours for each."""

    pairs_per_s: float
    cpu_us: float


@dataclass(frozen=True)
class Row:
    """One line of the table: the two distributions of accounts, and the floor beside."""

    engine: str
    processes: int
    many: Rate
    hot: Rate
    floor: Rate


@click.command()
@click.option("--seconds", default=2.0, show_default=True, help="Length of each measurement.")
@click.option("--quick", is_flag=True, help="A look in half a minute: 1 and 2 processes, 1 s.")
@click.option(
    "--engine",
    type=click.Choice([*ENGINES, "both"]),
    default="both",
    show_default=True,
    help="PostgreSQL is that of TEST_DATABASE_URL, else 127.0.0.1:5432.",
)
@click.option(
    "--events",
    type=click.IntRange(2_000),
    help="Length of the long log: 200,000, quick 50,000.",
)
@click.option("--replay-only", is_flag=True, help="Only what a long log costs.")
def main(
    *, seconds: float, quick: bool, engine: str, events: int | None, replay_only: bool
) -> None:
    """Time the ledger engine: pairs of a hold and its charge, both durable.

    200 greenlets in each of 1, 2 and 4 processes, on 10,000 accounts and on one; beside it,
    in turns, the floor: the same bytes inserted raw, as many in a transaction, as durable.
    Then: what a long log costs, and how fast it is verified and rebuilt. A whole run, with no
    options, writes docs/performance.md anew.
    """
    plan = Plan(
        engines=ENGINES if engine == "both" else (engine,),
        seconds=1.0 if quick else seconds,
        processes=(1, 2) if quick else (1, 2, 4),
        events=events or (50_000 if quick else 200_000),
    )
    started = monotonic()
    lines: list[str] = []
    if not replay_only:
        rows = [row for engine in plan.engines for row in _rates(engine, plan)]
        lines = [*_rates_table(rows), ""]
        # Shown at once: whoever has seen enough may stop here.
        click.echo("\n".join(lines))
    replays = {engine: measure(engine, plan.events, _say) for engine in plan.engines}
    table = _replay_table(replays)
    click.echo("\n".join(table))
    if lines and not quick and not events and plan.engines == ENGINES:
        rewrite("make bench-ledger", [*lines, *table])
    _say(f"done in {monotonic() - started:.0f} s")


def _rates(engine: str, plan: Plan) -> list[Row]:
    rows: list[Row] = []
    with fresh_database(engine) as url, fresh_database(engine) as floor_url:
        _say(f"{engine}: crediting {MANY:,} accounts")
        store, _ = open_store(url)
        fund(store, map(account, range(MANY)))
        store.close()
        open_store(floor_url)[0].close()
        for processes in plan.processes:
            measured: dict[str, Rate] = {}
            for name, module, where, accounts in (
                ("floor", "floor", floor_url, 0),
                ("many", "load", url, MANY),
                ("hot", "load", url, 1),
            ):
                rate = run(module, where, accounts, processes, plan.seconds)
                _say(f"{engine}: {name}, {processes} processes: {rate.pairs_per_s:,.0f}/s")
                measured[name] = rate
            rows.append(Row(engine, processes, **measured))
    return rows


def run(module: str, url: str, accounts: int, processes: int, seconds: float) -> Rate:
    """Let so many processes begin at one moment; add up what they did."""
    command = [sys.executable, "-m", f"tests.bench.{module}"]
    if module == "load":
        # As gunicorn's worker does, before anything else is imported.
        command[1:2] = ["-m", "gevent.monkey", "--module"]
    command += [url, str(accounts), str(seconds)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    try:
        for process in running:
            if cast("IO[str]", process.stdout).readline() != "ready\n":
                raise click.ClickException(f"a process of {module} did not start")
        for process in running:
            cast("IO[str]", process.stdin).write("go\n")
            cast("IO[str]", process.stdin).flush()
        told = [
            json.loads(process.communicate(timeout=seconds + START_TIMEOUT_S)[0])
            for process in running
        ]
    finally:
        for process in running:
            process.kill()
    return Rate(
        pairs_per_s=sum(each["pairs"] / each["wall_s"] for each in told),
        cpu_us=sum(each["cpu_s"] for each in told) / sum(each["pairs"] for each in told) * 1e6,
    )


def _rates_table(rows: list[Row]) -> list[str]:
    lines = [
        HEADING,
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        must, target = TARGETS[row.engine]
        goal = f"{must:,}, {target:,}" if row.processes == 2 else ""
        many, hot = (rate.pairs_per_s / row.floor.pairs_per_s for rate in (row.many, row.hot))
        cells = (row.engine, str(row.processes), *map(_rate, (row.many, row.hot, row.floor)))
        lines.append(f"| {' | '.join(cells)} | {many:.2f} | {hot:.2f} | {goal} |")
    return [
        *lines,
        "",
        "CPU is that of our processes alone: PostgreSQL's own is not in it, SQLite's is.",
    ]


def _replay_table(replays: dict[str, Replay]) -> list[str]:
    must, target = REPLAY_TARGETS
    goal = f"{must:,}, {target:,}"
    figures = (
        ("µs CPU a pair, 1,000 events in the log", "small_us", ""),
        ("µs CPU a pair, a full log", "big_us", "the same"),
        ("events in the full log", "events", ""),
        ("s until `serve` answers, an empty log and the full one", "start_s", "< 2"),
        ("bytes an event: its state", "state_bytes", ""),
        ("bytes an event: the whole database", "disk_bytes", ""),
        ("verify, events/s (µs CPU an event)", "verify", goal),
        ("rebuild of the guard rows, the same", "guards", goal),
        ("writing the journal, the same", "journal", ""),
    )
    lines = [
        f"| figure | {' | '.join(replays)} | must, target |",
        f"|---|{'---|' * len(replays)}---|",
    ]
    for title, name, wanted in figures:
        cells = [str(getattr(replay, name)) for replay in replays.values()]
        lines.append(f"| {title} | {' | '.join(cells)} | {wanted} |")
    return lines


def _rate(rate: Rate) -> str:
    return f"{rate.pairs_per_s:,.0f} ({rate.cpu_us:.0f})"


def _say(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    main()
