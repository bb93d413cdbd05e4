"""What the books cost when they are long: `python -m tests.bench.books`.

A sample of a million events in each engine; then every page of the auditor's view, asked
again and again, and every command that reads all of the log, each in a process of its own
whose memory and CPU the system tells.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from statistics import quantiles
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import click

from app.store.opening import open_store
from projections.statement import uuid_of
from projections.usage import HOUSE
from tests.bench.databases import fresh_database
from tests.projections.story import Story
from tests.store.places import open_store as open_desk
from tests.web.admin.conftest import View, view_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


EVENTS, ROUNDS = 1_000_000, 20
PAGE_MUST_MS, MEMORY_MUST_MB, VERIFY_MUST_S = 150, 200, 30
SKIPPED = ("feed", "static", "sign")
"""A stream that never ends, files, and the way in and out."""


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
@click.option("--engine", "engines", multiple=True, default=("sqlite", "postgresql"))
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
            table(database_url, rounds)
        return
    for engine in engines:
        with fresh_database(engine) as url:
            cost = run(url, "seed-sample", "--events", str(events))
            click.echo(f"\n{engine}: seed-sample took {cost}")
            for table in tables:
                table(url, rounds)


def pages_table(url: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(open_store(url)[0]) as store:
        # Who signs in is an event: not one of the sample's.
        desk = open_desk(f"{folder}/desk.db")
        view = view_of(store, Story(), desk)
        view.sign_in()
        engine = f"{store.engine}, {store.head():,} events"
        pages = {path: timed(view, path, rounds) for path in paths(view)}
        desk.close()
    click.echo(
        f"\n| {engine}: page | p50 ms | p95 ms | CPU ms | bytes |\n|---|---|---|---|---|"
    )
    for path, (times, cpu_ms, size) in pages.items():
        p50, p95 = percentile(times, 50), percentile(times, 95)
        click.echo(f"| `{path}` | {p50:.0f} | {p95:.0f} | {cpu_ms:.0f} | {size:,} |")
    click.echo(f"\nA page must stay below {PAGE_MUST_MS} ms at p95.")


def commands_table(url: str, _rounds: int) -> None:
    store, _ = open_store(url)
    engine = f"{store.engine}, {store.head():,} events"
    store.close()
    click.echo(f"\n| {engine}: command | s | CPU s | peak MB |\n|---|---|---|---|")
    for name, words in commands().items():
        cost = run(url, *words)
        click.echo(f"| `{name}` | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {cost.peak_mb:.0f} |")
    click.echo(
        f"\nAn export must stay below {MEMORY_MUST_MB} MB, verify below {VERIFY_MUST_S} s."
    )


TABLES = {"pages": pages_table, "commands": commands_table}


def paths(view: View) -> Iterator[str]:
    """Yield the address of every page, and of those that are asked for something heavy."""
    store = view.store
    for rule in sorted(view.app.url_map.iter_rules(), key=str):
        path = str(rule)
        is_page = path.startswith("/admin/") and "GET" in (rule.methods or ())
        if is_page and not rule.arguments and not any(part in path for part in SKIPPED):
            yield path
    with store.snapshot() as query:
        found = query(
            "SELECT account_id FROM usage WHERE account_id <> ? GROUP BY account_id"
            " ORDER BY SUM(requests) DESC LIMIT 1",
            [HOUSE],
        )
    hot = uuid_of(found[0][0])
    month = datetime.now(UTC) - timedelta(days=30)
    half, day = store.head() // 2, f"{month:%Y-%m-%d}"
    yield f"/admin/events/{half}"
    yield f"/admin/events/?before={half}"
    yield f"/admin/events/?account={hot}"
    yield "/admin/events/?type=payout.paid"
    yield "/admin/events/?model=mistralai/mistral-small"
    yield f"/admin/events/?min_sat=4000&to={day}"
    yield f"/admin/statement/?account={hot}"
    yield f"/admin/statement/?account={hot}&from={day}"
    yield f"/admin/statement/?account={hot}&after={half}.0"
    yield f"/admin/statement/?account=house:earned&after={half}.0"
    yield f"/admin/balances/?as_of={day}T12:34:56Z"
    yield f"/admin/statement/?account={quote('mint:https://mint.sample.example')}"


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
    """Return what is run over the whole log, by what it is called."""
    half = datetime.now(UTC) - timedelta(days=100)
    exports = {
        f"export --format {layout}": ("export", "--format", layout, "-o", os.devnull)
        for layout in ("beancount", "hledger", "csv", "jsonl")
    }
    return {
        "verify": ("verify",),
        "balance": ("balance", "--format", "csv"),
        "balance --as-of": ("balance", "--format", "csv", "--as-of", f"{half:%FT%TZ}"),
        "statement house:earned": ("statement", "house:earned", "--format", "csv"),
        **exports,
        "export --format beancount --daily": (*exports["export --format beancount"], "--daily"),
        "rebuild": ("rebuild",),
    }


def run(url: str, *words: str) -> Cost:
    """Run a command of ours to its end, its output nowhere; raises when it fails."""
    command = [sys.executable, "-m", "app.cli", *words, "--database-url", url]
    began_s = perf_counter()
    with Path(os.devnull).open("w") as nowhere:
        actions: list[Any] = [
            (os.POSIX_SPAWN_DUP2, nowhere.fileno(), descriptor) for descriptor in (1, 2)
        ]
        process = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
        _, status, usage = os.wait4(process, 0)
    if status:
        raise click.ClickException(f"{' '.join(words)}: it failed")
    wall_s = perf_counter() - began_s
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def percentile(times: list[float], place: int) -> float:
    return quantiles(times, n=100, method="inclusive")[place - 1]


if __name__ == "__main__":
    measure()
