"""The demo, as a newcomer runs it: it adds up, it stays, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

TALLYSTICK = str(Path(sys.executable).parent / "tallystick")
READY_WITHIN_S = 150.0
ENDED_WITHIN_S = 45.0
LOOK_EVERY_S = 0.2


def start(directory: Path, *, leave: bool) -> subprocess.Popen[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"UPSTREAM_BASE_URL", "UPSTREAM_API_KEY"}
    }
    return subprocess.Popen(
        [TALLYSTICK, "demo"],
        env=environment | {"DEMO_DIR": str(directory), "DEMO_EXIT": "1" if leave else "0"},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def living_in(directory: Path) -> list[str]:
    """Return the commands that run somewhere in `directory`, as all parts of a demo do."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            place = (process / "cwd").readlink()
            command = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if command and directory / "demo-files" in (place, *place.parents):
            found.append(command)
    return found


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not is_so():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(LOOK_EVERY_S)


def note(directory: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((directory / "demo.json").read_text())
    return read


def is_told_by(process: subprocess.Popen[str], directory: Path) -> bool:
    """Tell whether demo.json is this demo's, not the last one's."""
    return (directory / "demo.json").exists() and note(directory)["pid"] == process.pid


def is_open(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((str(parts.hostname), int(parts.port or 0))) == 0


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all demos of this file run, one after the other."""
    return tmp_path_factory.mktemp("demo").resolve()


@pytest.fixture
def staying(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that is killed if a test leaves it running."""
    with start(directory, leave=False) as process:
        yield process
        process.kill()


def test_the_tour_adds_up_and_leaves_no_process_behind(directory: Path) -> None:
    with start(directory, leave=True) as process:
        said = process.communicate(timeout=READY_WITHIN_S)[0]

    assert process.returncode == 0, said
    assert "✗" not in said
    assert "0 differences" in said
    assert {"base_url", "api_key", "mint_url", "upstream_url"} <= note(directory).keys()
    assert {"admin_url", "database_url", "pid"} <= note(directory).keys()
    assert stat.S_IMODE((directory / "demo.json").stat().st_mode) == 0o600
    assert living_in(directory) == []


def test_a_second_demo_stays_up_for_its_key_until_ctrl_c(
    directory: Path, staying: subprocess.Popen[str]
) -> None:
    wait_until(lambda: is_told_by(staying, directory), staying)
    told = note(directory)
    balance = requests.get(
        f"{told['base_url']}/v1/wallet/info",
        headers={"Authorization": f"Bearer {told['api_key']}"},
        timeout=20,
    ).json()["balance"]
    urls = [told[name] for name in ("base_url", "mint_url", "upstream_url")]
    assert all(map(is_open, urls))

    os.kill(told["pid"], signal.SIGINT)

    said = staying.communicate(timeout=ENDED_WITHIN_S)[0]
    assert staying.returncode == 0, said
    assert balance == 999_000
    assert not any(map(is_open, urls))
    assert living_in(directory) == []


def test_a_demo_that_is_stopped_while_it_opens_leaves_no_process_behind(
    directory: Path, staying: subprocess.Popen[str]
) -> None:
    wait_until(lambda: bool(living_in(directory)), staying)

    staying.terminate()

    staying.communicate(timeout=ENDED_WITHIN_S)
    assert staying.returncode != 0
    assert not is_told_by(staying, directory)
    assert living_in(directory) == []


def test_a_demo_that_is_killed_takes_its_processes_with_it(
    directory: Path, staying: subprocess.Popen[str]
) -> None:
    wait_until(lambda: len(living_in(directory)) >= 4, staying)

    staying.kill()
    staying.communicate(timeout=ENDED_WITHIN_S)

    deadline = time.monotonic() + ENDED_WITHIN_S
    while living_in(directory) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
    assert living_in(directory) == []
