from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from domain.posting import EARNED
from projections.chart import read_chart
from projections.export import tables
from projections.export.plain import plain_name
from tests.projections.conftest import follow
from tests.projections.export.reading import expected, totals
from tests.projections.story import CLIENTS, Story, books_of, made_up, put, rates_change

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.store.places import Place

ALICE = str(CLIENTS[0])

PIPE_BYTES = 1024 * 1024


@pytest.fixture(scope="module")
def story() -> Story:
    return made_up(seed=11, steps=150)


@pytest.fixture
def url(sqlite_place: Place, story: Story) -> str:
    store = sqlite_place.open()
    put(store, story.entries[:150])
    follow(store)
    put(store, story.entries[150:])
    return f"sqlite:///{sqlite_place.where}"


@pytest.fixture
def run(url: str) -> Callable[..., Result]:
    def command(*words: str) -> Result:
        return CliRunner().invoke(main, [*words, "--database-url", url])

    return command


def test_balance_is_a_trial_balance_of_every_account(
    run: Callable[..., Result], story: Story
) -> None:
    told = json.loads(run("balance", "--format", "json").stdout)

    assert {
        row["account"]: row["credit_msat"] - row["debit_msat"] for row in told["accounts"]
    } == books_of(story.entries)


def test_balance_as_of_a_moment_is_that_of_the_events_before_it(
    run: Callable[..., Result], story: Story
) -> None:
    at = story.entries[100].event.at
    told = run("balance", "--as-of", at.isoformat(), "--format", "csv")

    rows = csv.DictReader(io.StringIO(told.stdout))
    assert {
        row["account"]: int(row["credit_msat"]) - int(row["debit_msat"]) for row in rows
    } == books_of(entry for entry in story.entries if entry.event.at < at)
    assert told.stderr == f"up to position {len(story.entries)} of the log\n"


def test_balance_of_a_client_is_what_it_has_and_what_is_held(
    run: Callable[..., Result],
) -> None:
    told = run("balance", "--account", ALICE)

    assert [line.split()[0] for line in told.stdout.splitlines()[1:-1]] == [
        f"client:{ALICE}:available",
        f"client:{ALICE}:held",
    ]


@pytest.mark.parametrize("layout", ["text", "csv", "json"])
def test_a_statement_ends_where_the_books_are(
    run: Callable[..., Result], story: Story, layout: str
) -> None:
    told = run("statement", EARNED, "--from", "2026-01-02", "--format", layout).stdout

    earned_msat = books_of(story.entries)[EARNED]
    if layout == "json":
        assert json.loads(told)["closing"]["balance_msat"] == earned_msat
    elif layout == "csv":
        assert told.splitlines()[-1].startswith(f",,closing,,,,,{earned_msat},")
    else:
        assert told.split()[-2].replace(".", "") == str(earned_msat)


def test_amounts_are_told_in_dollars_at_the_rate_of_then(sqlite_place: Place) -> None:
    put(sqlite_place.open(), rates_change().entries)
    where = ("--format", "json", "--database-url", f"sqlite:///{sqlite_place.where}")

    def told(*words: str) -> Any:
        return json.loads(CliRunner().invoke(main, [*words, *where]).stdout)

    statement = told("statement", ALICE, "--from", "2026-01-01")
    then, before = (
        told("balance", "--as-of", at) for at in ("2026-01-03", "2026-01-01T22:00:30Z")
    )

    assert [(line["amount_msat"], line.get("amount_usd")) for line in statement["lines"]] == [
        (1_000_000, None),
        (40_000, "0.02000000"),
        (-30_000, "-0.01500000"),
        (10_000, "0.00500000"),
        (70_000, "0.02800000"),
    ]
    assert statement["closing"]["available_usd"] == "0.41600000"
    assert then["btc_usd"] == "50000"
    assert {row["account"]: row["credit_usd"] for row in then["accounts"]}[
        EARNED
    ] == "0.01500000"
    assert {name for row in before["accounts"] for name in row} == set(tables.CHART)


def test_a_name_nobody_has_is_noticed(run: Callable[..., Result]) -> None:
    told = run("statement", "house:earnt")

    assert told.exit_code == 0
    assert "nothing touched 'house:earnt'" in told.stderr


@pytest.mark.parametrize("layout", ["beancount", "hledger"])
@pytest.mark.parametrize(
    "more", [(), ("--daily",), ("--from", "2026-01-03"), ("--to", "2027-01-01")]
)
def test_an_export_comes_to_what_the_books_say(
    run: Callable[..., Result], story: Story, layout: str, more: tuple[str, ...]
) -> None:
    told = run("export", "--format", layout, *more)

    assert told.exit_code == 0
    assert totals(told.stdout) == expected(story.entries)


def test_an_export_of_one_account_has_its_end_right(
    run: Callable[..., Result], story: Story
) -> None:
    words = ("--account", ALICE, "--from", "2026-01-03T10:00:00Z")
    told = totals(run("export", "--format", "beancount", *words).stdout)

    for part in ("available", "held"):
        account = f"client:{ALICE}:{part}"
        assert told.get(plain_name(account), 0) == -books_of(story.entries).get(account, 0)


def test_an_export_to_a_pipe_leaves_the_pipe_where_it_is(
    run: Callable[..., Result], story: Story, tmp_path: Path
) -> None:
    """As root, what takes the place of /dev/null takes it for the whole machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Open on both sides, and wide enough for all of it, so that nobody waits for anybody.
    end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    told = run("export", "--format", "jsonl", "-o", str(pipe))

    assert told.exit_code == 0
    assert pipe.is_fifo()
    read = os.read(end, PIPE_BYTES)
    os.close(end)
    assert len(read.splitlines()) == len(story.entries)


def test_an_export_to_a_file_is_there_when_it_is_whole(
    run: Callable[..., Result], story: Story, tmp_path: Path
) -> None:
    file = tmp_path / "log.jsonl"

    told = run("export", "--format", "jsonl", "-o", str(file))

    assert len(file.read_text().splitlines()) == len(story.entries)
    assert told.stdout == ""
    assert f"exported {len(story.entries)} of {len(story.entries)} (100 %)" in told.stderr


def test_an_exported_csv_has_a_line_for_each_arrow(run: Callable[..., Result]) -> None:
    rows = list(csv.DictReader(io.StringIO(run("export", "--format", "csv").stdout)))

    assert rows
    assert all(int(row["amount_msat"]) > 0 for row in rows)


@pytest.mark.parametrize("layout", ["text", "csv", "json"])
def test_reprice_tells_what_another_book_would_have_earned(
    run: Callable[..., Result], tmp_path: Path, layout: str
) -> None:
    file = tmp_path / "models.json"
    price = {"prompt": "0.00001", "completion": "0.00001"}
    file.write_text(json.dumps({"models": [{"id": "gpt-x", "pricing": price}]}))

    told = run("reprice", "--models", str(file), "--margin", "0.1", "--format", layout)

    assert told.exit_code == 0
    if layout == "text":
        last = told.stdout.splitlines()[-1].split()
        assert last[0] == "total"
        assert int(last[-1]) > 0
    else:
        rows = (
            json.loads(told.stdout)
            if layout == "json"
            else [*csv.DictReader(io.StringIO(told.stdout))]
        )
        (row,) = [row for row in rows if row["model"] == "gpt-x"]
        assert int(row["would_be_msat"]) - int(row["charged_msat"]) == int(
            row["difference_msat"]
        )


@pytest.mark.parametrize(
    "words",
    [
        ("balance", "--as-of", "yesterday"),
        ("statement", EARNED, "--from", "2026-01-02", "--to", "2026-01-01"),
        ("export",),
        ("export", "--format", "xml"),
        ("reprice", "--models", "/nowhere.json"),
        ("reprice", "--models", __file__),
        ("reprice", "--models", __file__, "--margin", "much"),
    ],
)
def test_what_is_wrong_is_one_clear_line(
    run: Callable[..., Result], words: tuple[str, ...]
) -> None:
    told = run(*words)

    assert told.exit_code != 0
    assert told.stdout == ""
    assert "\nError: " in f"\n{told.stderr}"
    assert "Traceback" not in told.stderr


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/none.db"

    told = CliRunner().invoke(main, ["balance", "--database-url", url])

    assert told.exit_code == 1
    assert told.stderr == f"Error: DATABASE_URL: there is no ledger at {tmp_path}/none.db\n"
    assert list(tmp_path.iterdir()) == []


def test_reading_changes_nothing(run: Callable[..., Result], sqlite_place: Place) -> None:
    before = sqlite_place.run("SELECT * FROM follower ORDER BY name")

    for words in (("balance",), ("statement", EARNED), ("export", "--format", "csv")):
        assert run(*words).exit_code == 0

    assert sqlite_place.run("SELECT * FROM follower ORDER BY name") == before


@pytest.mark.postgres
def test_postgresql_tells_the_same(
    run: Callable[..., Result], postgres_place: Place, story: Story
) -> None:
    store = postgres_place.open()
    put(store, story.entries[:150])
    follow(store)
    put(store, story.entries[150:])
    other = ("--database-url", postgres_place.where)

    for words in (
        ("balance", "--as-of", "2026-01-03T10:00:00Z"),
        ("statement", ALICE, "--from", "2026-01-02T01:00:00Z", "--to", "2026-01-04"),
        ("export", "--format", "beancount", "--from", "2026-01-03"),
        ("export", "--format", "jsonl"),
    ):
        assert CliRunner().invoke(main, [*words, *other]).stdout == run(*words).stdout
    assert read_chart(store, None)[1] == books_of(story.entries)


WEIGHED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command and prints how many KiB it took: of its own children, not of all of ours."""


@pytest.mark.integration
def test_a_long_log_is_exported_in_little_memory(sqlite_place: Place) -> None:
    place = sqlite_place.where
    store, story = sqlite_place.open(), made_up(seed=3, steps=1000)
    for _ in range(40):
        again = [entry._replace(stream=story.new()) for entry in story.entries]
        put(store, [entry._replace(version=1) for entry in again])
    words = [
        sys.executable,
        "-m",
        "app.cli",
        "export",
        "--format",
        "beancount",
        "-o",
        "/dev/null",
    ]

    ran = subprocess.run(
        [sys.executable, "-c", WEIGHED, *words, "--database-url", f"sqlite:///{place}"],
        check=True,
        capture_output=True,
        timeout=100,
    )

    # The interpreter alone takes 60 MB.
    assert int(ran.stdout.split()[-1]) < 200 * 1024
