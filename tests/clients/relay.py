"""A real Nostr relay, `nostr-relay` from the registry, on localhost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from tests.clients.environments import python

if TYPE_CHECKING:
    from pathlib import Path

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
LOOK_EVERY_S = 0.1
CONFIG = """\
relay_name: a relay for tests
storage:
  sqlalchemy.url: sqlite+aiosqlite:///{directory}/relay.sqlite3
  num_concurrent_reqs: 4
  num_concurrent_adds: 1
  validators: [nostr_relay.validators.is_signed]
verification: {{nip05_verification: disabled}}
authentication: {{enabled: false}}
gunicorn: {{bind: "127.0.0.1:{port}", workers: 1, loglevel: info}}
message_timeout: 60
subscription_limit: 32
max_limit: 1000
"""


class RelayNotReadyError(Exception):
    """The relay did not do in time what it was started for."""


class RealRelay:
    """A relay on `port`, with its events in `directory`, while the `with` block lasts."""

    def __init__(self, port: int, directory: Path) -> None:
        self._port = port
        self._directory = directory
        self._log_path = directory / "relay.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        config = self._directory / "relay.yaml"
        config.write_text(CONFIG.format(directory=self._directory, port=self._port))
        program = python("relay").with_name("nostr-relay")
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "--config", config, "serve"],
                cwd=self._directory,
                env={"PATH": os.environ["PATH"], "HOME": str(self._directory)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait(self._process)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is None:
            return
        # It has workers of its own.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_TIMEOUT_S)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline_s and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            time.sleep(LOOK_EVERY_S)
        raise RelayNotReadyError(self._log_path.read_text()[-2_000:])
