"""PostgreSQL servers of a test's own: a primary, and a standby that has all it acknowledged."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

import psycopg
import pytest

from tests.gateways.conftest import free_port
from tests.integration.disk import SmallDisk
from tests.integration.service import processes

PROGRAMS = Path("/usr/lib/postgresql")
USER = "postgres"
# Root may not run the server, and lets that user do it.
IS_ROOT = os.geteuid() == 0
WAIT_S = 60.0
CONFIG = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{directory}'
max_connections = 200
hot_standby = on
wal_level = replica
max_wal_senders = 4
min_wal_size = 32MB
max_wal_size = 64MB
synchronous_commit = on
{standby}
"""


class Server:
    """One PostgreSQL server, in a directory and on a port of its own."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"
        self._directory = directory
        self._data = directory / "data"

    def make(self) -> None:
        """Make an empty database."""
        words = ["-U", USER, "--auth=trust", "--no-sync", "-D", str(self._data)]
        _run("initdb", *words, cwd=self._directory)
        self.configure(standby="")

    def copy(self, primary: Server) -> None:
        """Become the standby of `primary`, named `standby`."""
        conninfo = f"host=127.0.0.1 port={primary.port} user={USER} application_name=standby"
        _run(
            *["pg_basebackup", "--write-recovery-conf", "--checkpoint=fast"],
            *["-d", conninfo, "-D", str(self._data)],
            cwd=self._directory,
        )
        self.configure(standby="")

    def configure(self, standby: str) -> None:
        """Write its settings; with `standby` a commit waits until that server has it too."""
        wanted = f"synchronous_standby_names = '{standby}'"
        told = CONFIG.format(port=self.port, directory=self._directory, standby=wanted)
        (self._data / "postgresql.conf").write_text(told)

    def start(self) -> None:
        log = str(self._directory / "server.log")
        _run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", log, cwd=self._directory)

    def reload(self) -> None:
        _run("pg_ctl", "reload", "-D", str(self._data), cwd=self._directory)

    def promote(self) -> None:
        """Make a standby the primary."""
        _run("pg_ctl", "promote", "-w", "-D", str(self._data), cwd=self._directory)

    def kill(self) -> None:
        """End it as a power cut would: no process of it says goodbye."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def revive(self) -> None:
        """Start it again if it has ended, and wait until it answers."""
        until_s = time.monotonic() + WAIT_S
        while True:
            try:
                self.rows("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < until_s, "PostgreSQL does not start again"
                # It may run and be mending itself, or not have let go of its memory yet.
                with suppress(subprocess.CalledProcessError):
                    self.start()
                time.sleep(0.2)
            else:
                return

    def pids(self) -> list[int]:
        """Return its processes: the first one and those that it has made for connections."""
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists():
            return []
        first = int(pid_file.read_text().split()[0])
        return [each.pid for each in processes() if first in {each.pid, each.parent}]

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        with closing(psycopg.connect(self.url, autocommit=True, connect_timeout=5)) as db:
            return db.execute(statement.encode()).fetchall()


class Single:
    """One server, made for whoever opens it and gone with them; on a small disk, if told so."""

    def __init__(self, disk_mb: int = 0) -> None:
        self._directory = _places("one")
        self._place = self._directory / "one"
        self._disk_mb = disk_mb
        self.disk = SmallDisk(self._place, disk_mb)
        self.server = Server(self._place)
        self.url = self.server.url

    def __enter__(self) -> Self:
        try:
            if self._disk_mb:
                self.disk.__enter__()
                _give_away(self._place)
            self.server.make()
            self.server.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.server.kill()
        self.disk.__exit__()
        shutil.rmtree(self._directory)

    def pids(self) -> list[int]:
        return self.server.pids()


class Pair:
    """A primary that acknowledges nothing its standby does not have, and that standby."""

    def __init__(self) -> None:
        self._directory = _places("primary", "standby")
        self.primary = Server(self._directory / "primary")
        self.standby = Server(self._directory / "standby")
        ports = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        self.url = f"postgresql://{USER}@{ports}/postgres"

    def __enter__(self) -> Self:
        try:
            self.primary.make()
            self.primary.start()
            self.standby.copy(self.primary)
            self.standby.start()
            self.primary.configure(standby="standby")
            self.primary.reload()
            self._wait_until_in_step()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.primary.kill()
        self.standby.kill()
        shutil.rmtree(self._directory)

    def pids(self) -> list[int]:
        return [*self.primary.pids(), *self.standby.pids()]

    def _wait_until_in_step(self) -> None:
        until_s = time.monotonic() + WAIT_S
        while ("sync",) not in self.primary.rows("SELECT sync_state FROM pg_stat_replication"):
            assert time.monotonic() < until_s, "the standby does not keep step"
            time.sleep(0.1)


def _places(*names: str) -> Path:
    """Make a directory for each server, which the one who runs it may write into."""
    if programs() is None:
        pytest.skip("PostgreSQL's own programs are not installed (apt: postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    for place in (directory, *(directory / name for name in names)):
        place.mkdir(exist_ok=True)
        _give_away(place)
    return directory


def _give_away(place: Path) -> None:
    if IS_ROOT:
        shutil.chown(place, USER)


def programs() -> Path | None:
    """Return where the newest server's programs are, if there are any."""
    found = sorted(PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _run(program: str, *words: str, cwd: Path) -> None:
    folder = programs()
    assert folder is not None
    subprocess.run(
        [str(folder / program), *words],
        cwd=cwd,
        user=USER if IS_ROOT else None,
        stdin=subprocess.DEVNULL,
        # pg_ctl's server would keep a pipe open.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=WAIT_S,
        check=True,
    )
