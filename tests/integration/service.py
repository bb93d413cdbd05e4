"""The whole service as an operator runs it: `tallystick serve`, in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import requests

from tests.gateways.conftest import free_port
from tests.integration.house import PRICES_SETTINGS, Address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
LOOK_EVERY_S = 0.05
WORKERS = 2


class ServiceError(Exception):
    """The service did not do in time what it was told."""


@dataclass(frozen=True)
class Process:
    """A process as the system lists it."""

    pid: int
    parent: int
    session: int
    command: str


class Service:
    """gunicorn's workers and the back office, up while the `with` block lasts.

    Prices are those of `tests.integration.house`; `settings` are further variables of the
    environment, of which nothing else of ours goes in. Its working directory is its own, for
    a `.env` there would be read.
    """

    def __init__(self, address: Address, directory: Path, settings: Mapping[str, str]) -> None:
        self.address = address
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._log_path = directory / "service.log"
        self._environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(directory),
            "UPSTREAM_BASE_URL": address.upstream_url,
            "CASHU_MINTS": address.mint_url,
            "WALLET_SEED": address.seed_phrase,
            "DATABASE_URL": address.database_url,
            "BTC_USD": "100000",
            "PORT": str(self.port),
            "WORKERS": str(WORKERS),
            "SWEEP_INTERVAL_S": "1",
            "REFUND_CHECK_INTERVAL_S": "2",
            "MISSING_USAGE": "max",
            # What is tested here does not depend on how fast the machine is.
            "LATE_MAX_MS": "0",
            **PRICES_SETTINGS,
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        ended = self._process is not None and self._process.poll() is not None
        self.stop()
        if ended:
            raise ServiceError(f"ended by itself\n{self.log[-4_000:]}")

    @property
    def log(self) -> str:
        """All that its processes have written so far."""
        return self._log_path.read_text()

    def start(self) -> None:
        """Start everything; return when all workers are there and answer."""
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve"],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Wait until all workers and the back office run, and requests are answered."""
        self._wait_for("answers, and all its processes", self._is_whole, READY_TIMEOUT_S)

    def terminate(self) -> None:
        """Send SIGTERM, and do not wait."""
        if self._process is not None:
            self._process.terminate()

    def wait_until_ended(self) -> int:
        """Wait for the end that `terminate` asked for; return the exit code."""
        assert self._process is not None
        code = self._process.wait(STOP_TIMEOUT_S)
        self._wait_for("an end of all processes", lambda: not self._processes(), 5.0)
        self._process = None
        return code

    def stop(self) -> None:
        """End everything: with SIGTERM, and what has not ended in time with SIGKILL."""
        if self._process is None:
            return
        self.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        finally:
            for left in self._processes():
                _kill(left.pid)
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def kill(self) -> None:
        """SIGKILL all of its processes, as a power cut of their host does."""
        for each in self._processes():
            _kill(each.pid)
        if self._process is not None:
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def command(self, *words: str, given: str = "") -> str:
        """Run a verb of `tallystick` with the service's settings; return what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *words],
            cwd=self._directory,
            env=self._environment,
            input=given.encode(),
            capture_output=True,
            timeout=READY_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return (done.stdout + done.stderr).decode()

    def worker_pids(self) -> list[int]:
        processes = self._processes()
        masters = {each.pid for each in processes if each.parent == self._pid}
        return [each.pid for each in processes if each.parent in masters]

    def back_office_pid(self) -> int | None:
        found = (each.pid for each in self._processes() if "back-office" in each.command)
        return next(found, None)

    def kill_worker(self, place: int = 0) -> None:
        """SIGKILL one worker; gunicorn starts another."""
        pids = self.worker_pids()
        if pids:
            _kill(pids[place % len(pids)])

    def kill_back_office(self) -> None:
        """SIGKILL the back office; `serve` starts another."""
        pid = self.back_office_pid()
        if pid is not None:
            _kill(pid)

    @property
    def _pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    def _processes(self) -> list[Process]:
        return [each for each in processes() if each.session == self._pid]

    def _is_whole(self) -> bool:
        return (
            len(self.worker_pids()) == int(self._environment["WORKERS"])
            and self.back_office_pid() is not None
            and self._answers()
        )

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.base_url}/v1/info", timeout=5.0).ok
        except requests.RequestException:
            return False

    def _wait_for(self, what: str, comes: Callable[[], bool], timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not comes():
            ended = self._process is not None and self._process.poll() is not None
            if time.monotonic() > deadline_s or (ended and comes == self._is_whole):
                raise ServiceError(f"waited in vain for {what}\n{self.log[-4_000:]}")
            time.sleep(LOOK_EVERY_S)


def processes() -> list[Process]:
    """Return all living processes of this machine (proc(5))."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, parent, _group, session = stat.rpartition(")")[2].split()[:4]
        if state not in "ZX":
            found.append(Process(int(folder.name), int(parent), int(session), command))
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
