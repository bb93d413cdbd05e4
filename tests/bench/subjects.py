"""What stands between clients and the upstream in a benchmark, and what each costs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import click

from app.store.opening import open_store
from domain.identity import account_of_key
from tests.bench.databases import fund
from tests.bench.demand import Target
from tests.gateways.conftest import free_port
from tests.integration.house import new_address
from tests.integration.service import Service, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0
KEYS = tuple(f"sk-bench-{number}" for number in range(64))
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KIB = 1024
SETTINGS = {"WORKERS": "1"}

GUNICORN = (
    sys.executable,
    *("-m", "gunicorn", "-k", "gevent", "--worker-connections", "4096"),
    *("--keep-alive", "75", "--backlog", "4096", "--no-control-socket"),
)
NGINX = """
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_temp_path {directory}; proxy_temp_path {directory};
  fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
  keepalive_requests 1000000;
  upstream behind {{ {servers} keepalive 2000; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Subject:
    """One of those that are compared; `pids` are the processes whose CPU is its cost."""

    name: str
    target: Target
    pids: Callable[[], Sequence[int]] = field(repr=False)

    def cpu_s(self) -> float:
        """Return the CPU seconds that its processes have used so far, kernel's included."""
        return sum(cpu_s_of(pid) for pid in self.pids())

    def rss_mib(self) -> float:
        """Return the most memory that one of its processes holds."""
        return max(_rss_kib(pid) for pid in self.pids()) / KIB


@dataclass(frozen=True)
class House(Subject):
    """Tallystick itself, and what its ledger says of the requests."""

    service: Service
    database_url: str

    def back_office_s(self) -> float:
        pid = self.service.back_office_pid()
        return 0.0 if pid is None else cpu_s_of(pid)

    def charged_and_open(self) -> tuple[int, int]:
        """Return how many requests were charged, and how many holds have no end."""
        return charged_and_open(self.database_url)


def charged_and_open(database_url: str) -> tuple[int, int]:
    """Return how many requests were charged, and how many holds have no end."""
    store, _ = open_store(database_url)
    with store.snapshot() as query:
        charged = query(
            "SELECT COUNT(*) FROM stored_events WHERE topic LIKE ?", ("%hold.charged",)
        )
        unended = query("SELECT COUNT(*) FROM open_hold")
    store.close()
    return int(charged[0][0]), int(unended[0][0])


def served(mock: Subject) -> int:
    """Return how many requests the upstream has served since it was started."""
    with urlopen(f"http://127.0.0.1:{mock.target.port}/served", timeout=10) as answer:
        return int(answer.read())


@contextmanager
def mock_upstream() -> Iterator[Subject]:
    port = free_port()
    with running([sys.executable, "-m", "tests.bench.mock", str(port)], port) as pids:
        yield Subject("direct", Target(port, KEYS), pids)


@contextmanager
def house(mock: Subject) -> Iterator[House]:
    """Run the service as an operator does, one worker, SQLite, accounts that have plenty."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
        url = f"sqlite:///{directory}/ledger.db"
        store, _ = open_store(url)
        fund(store, [account_of_key(key) for key in KEYS])
        store.close()
        nobody = f"http://127.0.0.1:{free_port()}"
        address = new_address(url, nobody, f"http://127.0.0.1:{mock.target.port}/v1")
        with Service(address, Path(directory) / "home", SETTINGS) as service:
            target = Target(service.port, KEYS)
            yield House("Tallystick", target, service.worker_pids, service, url)


@contextmanager
def bare_wsgi(mock: Subject) -> Iterator[Subject]:
    port = free_port()
    argv = [*GUNICORN, "-b", f"127.0.0.1:{port}", "tests.bench.bare:application"]
    with running(argv, port, MOCK_PORT=str(mock.target.port)) as pids:
        yield Subject("bare WSGI", Target(port, KEYS), pids)


def nginx(mock: Subject) -> AbstractContextManager[Subject | None]:
    """Run nginx before the upstream itself."""
    return nginx_before(mock.target.port)


@contextmanager
def nginx_before(*ports: int) -> Iterator[Subject | None]:
    """Run nginx before what listens there, if it is installed (`apt install nginx-light`)."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        click.echo("nginx is not installed: measured without it", err=True)
        yield None
        return
    port = free_port()
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        path = Path(directory) / "nginx.conf"
        servers = " ".join(f"server 127.0.0.1:{each};" for each in ports)
        path.write_text(NGINX.format(directory=directory, servers=servers, port=port))
        argv = [program, "-p", directory, "-c", str(path)]
        pids = stack.enter_context(running(argv, port))
        yield Subject("nginx", Target(port, KEYS), pids)


@contextmanager
def running(
    argv: Sequence[str], port: int, **environment: str
) -> Iterator[Callable[[], list[int]]]:
    """Run a program until the block ends; yield what lists its processes."""
    process = subprocess.Popen(
        argv,
        # Not in our own folder: gunicorn would read the house's gunicorn.conf.py there.
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(port, process)
        yield lambda: [each.pid for each in processes() if each.session == process.pid]
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise click.ClickException(f"{process.args!r} does not listen")


def cpu_s_of(pid: int, *, with_ended: bool = False) -> float:
    """Return the CPU seconds that a process has used so far, kernel's included.

    With those of its children that have ended, if wanted (proc(5)).
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if with_ended else 13])) / TICKS_PER_S


def _rss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
