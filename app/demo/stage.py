"""Sets the stage of the tour: mint, upstream and house, each a process of this machine."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mnemonic import Mnemonic

from app.demo.nutshell import HOST, Nutshell, answers
from app.processes import Child, Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[2]
MODELS_PATH = ROOT / "models.example.json"
GUNICORN_CONF = ROOT / "gunicorn.conf.py"
FILES = "demo-files"
NOTE = "demo.json"
LOCK = "demo.lock"

READY_WITHIN_S = 90.0
LOOK_EVERY_S = 0.1
DRAIN_S = 5
LOG_LINES_MAX = 10
LOG_COLUMNS_MAX = 200
SEED_BITS = 128
PASSWORD_BYTES = 12
WORKERS = 2
WORD_PAUSE_MS = 40
REFUND_CHECK_INTERVAL_S = 1
# Nothing else of the shell's environment reaches the house: the demo is the same everywhere.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
EXCHANGE_FEE, UPSTREAM_PROVIDER_FEE = "1.005", "1.05"
# Fixed, so that nobody outside is asked, and every sum can be done again by hand.
BTC_USD = "100000"


class StageError(Exception):
    """The stage could not be set; the message says what to look at."""


@dataclass(frozen=True)
class Service:
    """A process that has an address, and how to see that it is ready."""

    child: Child
    url: str
    is_ready: Callable[[], bool]


@dataclass(frozen=True)
class Stage:
    """Where everything is. The seed phrase and the password are made for one run only."""

    directory: Path
    base_url: str
    mint_url: str
    upstream_url: str
    is_sample_upstream: bool
    ports: tuple[int, ...]
    seed_phrase: str = field(repr=False)
    admin_password: str = field(repr=False)

    @property
    def files(self) -> Path:
        return self.directory / FILES

    @property
    def admin_url(self) -> str:
        return f"{self.base_url}/admin/"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.files / 'ledger.db'}"


def plan(directory: Path, upstream_base_url: str | None) -> Stage:
    """Choose ports that are free, a seed phrase and a password; start nothing."""
    mint_port, upstream_port, house_port = ports = free_ports(3)
    sample_url = f"http://{HOST}:{upstream_port}/v1"
    return Stage(
        directory=directory.resolve(),
        base_url=f"http://{HOST}:{house_port}",
        mint_url=f"http://{HOST}:{mint_port}",
        upstream_url=(upstream_base_url or sample_url).rstrip("/"),
        is_sample_upstream=not upstream_base_url,
        ports=ports,
        seed_phrase=Mnemonic("english").generate(SEED_BITS),
        admin_password=secrets.token_urlsafe(PASSWORD_BYTES),
    )


def clear(directory: Path) -> IO[str]:
    """Make `directory` ready for a new demo, and return the lock on it, to be kept open.

    Removed is only what an earlier demo has made there. Raises `StageError` when another
    demo is running in it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        message = f"A demo is running in {directory} already. Stop it, or set DEMO_DIR."
        raise StageError(message) from None
    (directory / NOTE).unlink(missing_ok=True)
    if (directory / FILES).is_dir():
        shutil.rmtree(directory / FILES)
    (directory / FILES).mkdir(mode=0o700)
    return lock


def start(stage: Stage, processes: Processes, ready: Callable[[Service, float], None]) -> None:
    """Start everything at once; call `ready` for each service when it answers.

    Raises `StageError` when one ends or does not answer in time.
    """
    began_s = time.monotonic()
    environment = house_environment(stage)
    waiting = [_mint(stage)]
    if stage.is_sample_upstream:
        waiting.append(_sample_upstream(stage))
    waiting.append(_house(stage, environment))
    (stage.files / "mint").mkdir()
    for service in waiting:
        processes.start(service.child)
    processes.start(_child(stage, "back office", ("-m", "app.cli", "back-office"), environment))
    while waiting:
        _must_live(processes)
        for service in [each for each in waiting if each.is_ready()]:
            waiting.remove(service)
            ready(service, time.monotonic() - began_s)
        if time.monotonic() - began_s > READY_WITHIN_S:
            names = ", ".join(service.child.name for service in waiting)
            raise StageError(f"Not ready after {READY_WITHIN_S:.0f} s: {names}.")
        time.sleep(LOOK_EVERY_S)


def write_note(stage: Stage, api_key: str) -> Path:
    """Write what scripts need to know, whole or not at all, for the owner's eyes only."""
    path = stage.directory / NOTE
    document = {
        "base_url": stage.base_url,
        "api_key": api_key,
        "mint_url": stage.mint_url,
        "upstream_url": stage.upstream_url,
        "admin_url": stage.admin_url,
        "admin_password": stage.admin_password,
        "database_url": stage.database_url,
        "pid": os.getpid(),
    }
    unfinished = stage.files / NOTE
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(document, indent=2) + "\n")
    unfinished.replace(path)
    return path


def house_environment(stage: Stage) -> dict[str, str]:
    """Return the settings of the house, all that the tour's own sums depend on among them."""
    upstream_key = "" if stage.is_sample_upstream else os.environ.get("UPSTREAM_API_KEY", "")
    return {
        "UPSTREAM_BASE_URL": stage.upstream_url,
        "UPSTREAM_API_KEY": upstream_key,
        "CASHU_MINTS": stage.mint_url,
        "WALLET_SEED": stage.seed_phrase,
        "DATABASE_URL": stage.database_url,
        "MODELS_PATH": str(MODELS_PATH),
        "EXCHANGE_FEE": EXCHANGE_FEE,
        "UPSTREAM_PROVIDER_FEE": UPSTREAM_PROVIDER_FEE,
        "BTC_USD": BTC_USD,
        "REFUND_CHECK_INTERVAL_S": str(REFUND_CHECK_INTERVAL_S),
        "HTTP_URL": stage.base_url,
        "HOST": HOST,
        "PORT": stage.base_url.rpartition(":")[2],
        "WORKERS": str(WORKERS),
        "ADMIN_PASSWORD": stage.admin_password,
        "PYTHONUNBUFFERED": "1",
    }


def died(child: Child) -> str:
    """Say that a process has ended, with the last lines of its log."""
    lines = [f"{child.name} ended with {child.code}."]
    if child.log_path is not None and child.log_path.is_file():
        lines.append(f"The end of {child.log_path}:")
        text = child.log_path.read_text(errors="replace")
        lines += [f"  {line[:LOG_COLUMNS_MAX]}" for line in text.splitlines()[-LOG_LINES_MAX:]]
    return "\n".join(lines)


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports on which nobody listens, no two the same."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return tuple(probe.getsockname()[1] for probe in probes)


def _mint(stage: Stage) -> Service:
    port = int(stage.mint_url.rpartition(":")[2])
    nutshell = Nutshell(port, stage.files / "mint", private_key=secrets.token_hex(16))
    nutshell.child.ends_with_us = True
    return Service(nutshell.child, nutshell.url, nutshell.answers)


def _sample_upstream(stage: Stage) -> Service:
    port = stage.upstream_url.removesuffix("/v1").rpartition(":")[2]
    words = ("--port", port, "--chunk-delay-ms", str(WORD_PAUSE_MS))
    child = _child(stage, "sample upstream", ("-m", "app.demo.sample_upstream", *words), {})
    url = stage.upstream_url
    return Service(child, url, lambda: answers(f"{url}/models"))


def _house(stage: Stage, environment: Mapping[str, str]) -> Service:
    # Streams are let end, but nobody who presses Ctrl-C waits for idle connections.
    drain = ("--graceful-timeout", str(DRAIN_S))
    words = ("-m", "gunicorn", "-c", str(GUNICORN_CONF), *drain)
    child = _child(stage, "tallystick", words, environment)
    url = stage.base_url
    return Service(child, url, lambda: answers(f"{url}/v1/info"))


def _child(
    stage: Stage, name: str, words: tuple[str, ...], environment: Mapping[str, str]
) -> Child:
    return Child(
        name=name,
        argv=[sys.executable, *words],
        environment=environment,
        log_path=stage.files / f"{name.replace(' ', '-')}.log",
        # Not where the demo was started: a .env there is the operator's.
        directory=stage.files,
        inherited=INHERITED,
        ends_with_us=True,
    )


def _must_live(processes: Processes) -> None:
    child = processes.ended()
    if child is not None:
        raise StageError(f"{child.name} did not start.")
