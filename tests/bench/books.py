"""What the books cost when they are long: `python -m tests.bench.books`.

A sample of a million events in each engine; then every page of the auditor's view, asked
again and again, and every command that reads much of the log, each in a process of its own
whose memory and CPU the system tells. What the whole of it says is written into
docs/performance.md; of a shorter sample, or of a part, it is only shown.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from statistics import quantiles
from time import perf_counter, process_time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import click

from app.store.opening import open_store
from projections.statement import uuid_of
from projections.usage import HOUSE
from tests.bench.databases import fresh_database
from tests.bench.told import rewrite
from tests.projections.story import Story
from tests.store.places import open_store as open_desk
from tests.web.admin.conftest import View, view_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


EVENTS, ROUNDS = 1_000_000, 20
ENGINES = ("sqlite", "postgresql")
PAGE_MUST_MS, MEMORY_MUST_MB, VERIFY_MUST_S = 150, 200, 30
SKIPPED = ("feed", "static", "sign", "/proofs", "/statement/")
"""A stream that never ends, files, the way in and out; and what is asked for by name below."""

MINT = "https://mint.sample.example"
WEIGHED = """
import json, os, resource, subprocess, sys
with open(os.devnull, "w") as nowhere:
    done = subprocess.run(sys.argv[1:], stdout=nowhere, stderr=nowhere)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""
"""Runs a command and tells what it took; a child's peak begins with that of its parent."""


class Cost(NamedTuple):
    """What a command took: seconds, CPU seconds of its own, and its memory at the most."""

    wall_s: float
    cpu_s: float
    peak_mb: float

    def __str__(self) -> str:
        return f"{self.wall_s:.1f} s, {self.cpu_s:.1f} s of CPU and {self.peak_mb:.0f} MB"


@click.command()
@click.option("--events", default=EVENTS, show_default=True)
@click.option("--rounds", default=ROUNDS, show_default=True, help="how often each page")
@click.option("--engine", "engines", multiple=True, default=ENGINES)
@click.option("--database-url", help="a ledger that holds a sample already, in place of both")
@click.option("--only", type=click.Choice(["pages", "commands"]), help="one of the tables")
def measure(
    events: int,
    rounds: int,
    engines: Sequence[str],
    database_url: str | None,
    only: str | None,
) -> None:
    """Print a table of pages and a table of commands for each engine."""
    tables = [table for name, table in TABLES.items() if only in {None, name}]
    if database_url is not None:
        for table in tables:
            click.echo("\n".join(table(database_url, rounds)))
        return
    lines: list[str] = []
    for engine in engines:
        with fresh_database(engine) as url:
            lines.append(f"{engine}: `seed-sample --events {events}` took")
            lines[-1] += f" {run(url, 'seed-sample', '--events', str(events))}.\n"
            click.echo(lines[-1], err=True)
            for table in tables:
                told = table(url, rounds)
                lines += [*told, ""]
                click.echo("\n".join(told), err=True)
    click.echo("\n".join(lines))
    if (events, tuple(engines), only) == (EVENTS, ENGINES, None):
        rewrite("make bench-books", lines)


def pages_table(url: str, rounds: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder, closing(open_store(url)[0]) as store:
        # Who signs in is an event: not one of the sample's.
        desk = open_desk(f"{folder}/desk.db")
        view = view_of(store, Story(), desk)
        view.sign_in()
        engine = f"{store.engine}, {store.head():,} events"
        pages = {name: timed(view, path, rounds) for name, path in paths(view)}
        desk.close()
    lines = [f"| {engine}: page | p50 ms | p95 ms | CPU ms | bytes |", "|---|---|---|---|---|"]
    slow = []
    for name, (times, cpu_ms, size) in pages.items():
        p50, p95 = percentile(times, 50), percentile(times, 95)
        lines.append(f"| `{name}` | {p50:.0f} | {p95:.0f} | {cpu_ms:.0f} | {size:,} |")
        slow += [f"`{name}`"] if p95 >= PAGE_MUST_MS else []
    verdict = f"Above it: {', '.join(slow)}." if slow else f"All {len(pages)} do."
    return [*lines, f"\nA page must stay below {PAGE_MUST_MS} ms at p95. {verdict}"]


def commands_table(url: str, _rounds: int) -> list[str]:
    store, _ = open_store(url)
    engine, head = store.engine, store.head()
    store.close()
    lines = [
        f"| {engine}, {head:,} events: command | s | CPU s | events/s | peak MB |",
        "|---|---|---|---|---|",
    ]
    for name, words in commands().items():
        wall_s, cpu_s, peak_mb = run(url, *words)
        rate = f"{head / wall_s:,.0f}" if name in WHOLE else ""
        lines.append(f"| `{name}` | {wall_s:.1f} | {cpu_s:.1f} | {rate} | {peak_mb:.0f} |")
    must = f"An export must stay below {MEMORY_MUST_MB} MB, verify below {VERIFY_MUST_S} s."
    return [*lines, f"\n{must}"]


TABLES = {"pages": pages_table, "commands": commands_table}
WHOLE = ("verify", "rebuild")


def paths(view: View) -> Iterator[tuple[str, str]]:
    """Yield every page, and those that are asked for something heavy, each with a name."""
    store = view.store
    for rule in sorted(view.app.url_map.iter_rules(), key=str):
        path = str(rule)
        is_page = path.startswith("/admin/") and "GET" in (rule.methods or ())
        if is_page and not rule.arguments and not any(part in path for part in SKIPPED):
            yield path, path
    with store.snapshot() as query:
        found = query(
            "SELECT account_id FROM usage WHERE account_id <> ? GROUP BY account_id"
            " ORDER BY SUM(requests) DESC LIMIT 1",
            [HOUSE],
        )
    month = datetime.now(UTC) - timedelta(days=30)
    given = {
        "BUSIEST": str(uuid_of(found[0][0])),
        "HALF": str(store.head() // 2),
        "DAY": f"{month:%Y-%m-%d}",
        "MINT": quote(MINT, safe=""),
    }
    for name in HEAVY:
        path = name
        for word, value in given.items():
            path = path.replace(word, value)
        yield name, path


HEAVY = (
    "/admin/events/HALF",
    "/admin/events/?before=HALF",
    "/admin/events/?account=BUSIEST",
    "/admin/events/?type=payout.paid",
    "/admin/events/?model=mistralai/mistral-small",
    "/admin/events/?min_sat=4000&to=DAY",
    "/admin/statement/?account=BUSIEST",
    "/admin/statement/?account=BUSIEST&from=DAY",
    "/admin/statement/?account=BUSIEST&after=HALF.0",
    "/admin/statement/?account=house:earned&after=HALF.0",
    "/admin/statement/?account=mint:MINT",
    "/admin/balances/?as_of=DAYT12:34:56Z",
    "/admin/reconciliation/proofs?mint=MINT&name=uncollected",
)


def timed(view: View, path: str, rounds: int) -> tuple[list[float], float, int]:
    """Return how long a page took each time, in ms, its CPU in ms and its size."""
    times, used = [], []
    for _ in range(rounds):
        began_s, cpu_s = perf_counter(), process_time()
        answer = view.get(path)
        times.append((perf_counter() - began_s) * 1000)
        used.append((process_time() - cpu_s) * 1000)
    if answer.status_code != HTTPStatus.OK:
        click.echo(f"{path}: {answer.status}", err=True)
    return times, percentile(used, 50), len(answer.data)


def commands() -> dict[str, tuple[str, ...]]:
    """Return what is run over much of the log, by what it is called."""
    now = datetime.now(UTC)
    half, begin, end = (f"{now - timedelta(days=days):%FT%TZ}" for days in (100, 60, 30))
    exports = {
        f"export --format {layout}": ("export", "--format", layout, "-o", os.devnull)
        for layout in ("beancount", "hledger", "csv", "jsonl")
    }
    month = ("--from", begin, "--to", end)
    beancount = exports["export --format beancount"]
    return {
        "verify": ("verify",),
        "balance": ("balance", "--format", "csv"),
        "balance --as-of": ("balance", "--format", "csv", "--as-of", half),
        "statement house:earned": ("statement", "house:earned", "--format", "csv"),
        "statement house:earned of a month": (
            *("statement", "house:earned", "--format", "csv"),
            *month,
        ),
        **exports,
        "export --format beancount --daily": (*beancount, "--daily"),
        "export --format beancount of a month": (*beancount, *month),
        "rebuild": ("rebuild",),
    }


def run(url: str, *words: str) -> Cost:
    """Run a command of ours to its end, its output nowhere; raises when it fails."""
    command = [sys.executable, "-m", "app.cli", *words, "--database-url", url]
    began_s = perf_counter()
    weighed = subprocess.run(
        [sys.executable, "-c", WEIGHED, *command], stdout=subprocess.PIPE, check=True
    )
    wall_s = perf_counter() - began_s
    status, cpu_s, peak_mb = json.loads(weighed.stdout)
    if status:
        raise click.ClickException(f"{' '.join(words)}: it failed")
    return Cost(wall_s, cpu_s, peak_mb)


def percentile(times: list[float], place: int) -> float:
    return quantiles(times, n=100, method="inclusive")[place - 1]


if __name__ == "__main__":
    measure()
