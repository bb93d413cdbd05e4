"""The simulator itself: it repeats a run, finds what is planted, and finds nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.bugs import BUGS

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent
SEEDS = os.environ.get("SIMULATION_SEEDS", "200")
SEEDS_FOR_A_BUG = "60"
TIMEOUT_S = 1_200


def simulate(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        text=True,
        timeout=TIMEOUT_S,
    )


@pytest.mark.timeout(TIMEOUT_S)
def test_nothing_is_violated_whatever_dies_or_goes_astray() -> None:
    run = simulate("--seeds", SEEDS, "--jobs", "2")

    assert run.returncode == 0, run.stdout[-5_000:] + run.stderr[-2_000:]
    assert f"{SEEDS} seeds, 0 failed" in run.stdout


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.timeout(TIMEOUT_S)
def test_a_planted_bug_is_found(bug: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = simulate("--seeds", SEEDS_FOR_A_BUG, "--jobs", "1", "--bug", bug)

    found = re.search(r"VIOLATED at (seed \d+, step \d+)", run.stdout)
    assert found is not None
    assert run.returncode == 1
    with capsys.disabled():
        sys.stdout.write(f"\n{bug} is found at {found[1]}\n")


def test_a_run_is_a_function_of_its_seed() -> None:
    first = simulate("--seed", "7", "--trace", PYTHONHASHSEED="1")
    second = simulate("--seed", "7", "--trace", PYTHONHASHSEED="2")

    assert len(first.stdout.splitlines()) > 100
    assert first.stdout == second.stdout
    assert simulate("--seed", "8", "--trace").stdout != first.stdout


def test_what_failed_is_told_as_a_command_line_that_shows_it_again() -> None:
    told = simulate("--seeds", "1", "--jobs", "1", "--bug", "double-end").stdout

    command = re.search(r"again: python -m tests.simulation (.*)", told)
    assert command is not None
    again = simulate(*command[1].split())
    assert re.findall("VIOLATED.*", again.stdout) == re.findall("VIOLATED.*", told)
