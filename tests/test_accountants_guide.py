"""What docs/accountants.md tells accountants to type does what it says there."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.projections.export.reading import totals

if TYPE_CHECKING:
    from subprocess import CompletedProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "accountants.md").read_text()
ASKS_MINTS = "tallystick reconcile --format json"
SEED = "tallystick seed-sample --until 2026-02-01T12:00:00Z --events 900"
EVENTS_BEFORE = re.compile(r"The archive holds: (\d+) events")


def typed(heading: str) -> str:
    """The commands under a heading of the guide, up to the first text behind them."""
    section = GUIDE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    block = re.search(r"^    .*?(?=^\S)", section, re.MULTILINE | re.DOTALL)
    assert block
    return "\n".join(line[4:] for line in block[0].splitlines())


def bash(script: str, folder: Path) -> CompletedProcess[str]:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "DATABASE_URL": f"sqlite:///{folder}/sample.db",
        "UPSTREAM_BASE_URL": "https://upstream.example/v1",
        "CASHU_MINTS": "https://mint.sample.example",
        "WALLET_SEED": "abandon " * 11 + "about",
        "HTTP_URL": "https://house.example",
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder after a month was closed as the guide says, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("closing")
    (folder / "tools").symlink_to(ROOT / "tools")
    lines = [line for line in typed("Closing a month").splitlines() if ASKS_MINTS not in line]

    done = bash("\n".join([SEED, *lines]), folder)

    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_all_of_it_holds(closed: tuple[Path, str]) -> None:
    _, said = closed

    assert "0 differences" in said
    assert "\nOK: " in said
    assert EVENTS_BEFORE.search(said)


def test_the_entries_of_the_month_lead_from_opening_to_closing(
    closed: tuple[Path, str],
) -> None:
    folder, _ = closed
    closing = {
        row["name"]: int(row["debit_msat"]) - int(row["credit_msat"])
        for row in csv.DictReader((folder / "closing.csv").read_text().splitlines())
    }

    for name in ("2026-01.beancount", "2026-01.journal"):
        assert totals((folder / name).read_text()) == closing


def test_an_archive_is_a_ledger_again(closed: tuple[Path, str]) -> None:
    folder, _ = closed

    done = bash(typed("Keeping it, for ten years"), folder)

    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().splitlines()[-1].startswith("total")
