"""nginx before the hosts of a house, with the very lines that operators are told to use."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
import requests

from tests.gateways.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.integration.service import Service

GUIDE = Path(__file__).parents[2] / "docs" / "operating" / "README.md"
TOLD = re.compile(r"^```nginx\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOST = re.compile(r"^    server 127\.0\.0\.1:8000 (.*;).*\n", re.MULTILINE)
LEFT_ALONE_S = re.compile(r"fail_timeout=(\d+)s")
TLS = "listen 443 ssl;"
# What belongs to the machine and not to the house.
AROUND = """
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {directory}; proxy_temp_path {directory};
  fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
  {told}
}}
"""
START_TIMEOUT_S, STOP_TIMEOUT_S = 30.0, 20.0


class Front:
    """nginx as docs/operating has it, but for TLS, before so many hosts."""

    def __init__(self, hosts: Sequence[Service], directory: Path) -> None:
        told = TOLD.findall(GUIDE.read_text())[0]
        parameters = HOST.findall(told)[0]
        self.left_alone_s = float(LEFT_ALONE_S.findall(parameters)[0])
        """How long a host is left out that was not there."""
        self._port = free_port()
        self.base_url = f"http://127.0.0.1:{self._port}"
        servers = "".join(f"server 127.0.0.1:{host.port} {parameters}\n" for host in hosts)
        assert TLS in told
        told = HOST.sub(servers, told).replace(TLS, f"listen 127.0.0.1:{self._port};")
        self._directory = directory
        self._config = directory / "nginx.conf"
        directory.mkdir()
        self._config.write_text(AROUND.format(directory=directory, told=told))
        self._argv = [_program(), "-p", str(directory), "-c", str(self._config)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL)
        try:
            self._wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        self._process.wait(STOP_TIMEOUT_S)

    def _wait_until_up(self) -> None:
        until_s = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                requests.get(f"{self.base_url}/metrics", timeout=5.0)
            except requests.ConnectionError:
                assert self._process.poll() is None, "nginx has ended"
                assert time.monotonic() < until_s, "nginx does not answer"
                time.sleep(0.05)
            else:
                return


def _program() -> str:
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed (apt: nginx-light)")
    return program
