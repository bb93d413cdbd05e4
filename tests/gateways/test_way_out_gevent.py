"""The way through a proxy as workers go it, whose sockets are gevent's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
from gevent import monkey
monkey.patch_all()
import os
import socket
import time
import gevent
from app.gateways.upstream import Upstream, UpstreamUnreachableError
from app.gateways.way_out import WayOut
from tests.doubles.socks import SocksDouble
from tests.gateways.canned import CannedServer, answer

ONION = "x" * 55 + "d.onion"
ticks = []

def tick():
    while True:
        ticks.append(time.monotonic())
        gevent.sleep(0.01)

def upstream(proxy_url):
    return Upstream(
        f"http://{ONION}/v1", "", connect_timeout_s=0.5, read_timeout_s=2, connections_max=1,
        way=WayOut(proxy_url),
    )

gevent.spawn(tick)
with CannedServer(answer(b"{}")) as server:
    proxy = SocksDouble(int(server.url.rpartition(":")[2]))
    proxy.__enter__()
    print(upstream(proxy.url).get("/models").read_all(100), proxy.asked == [(ONION, 80)])
silent = socket.create_server(("127.0.0.1", 0))
before = len(ticks)
try:
    upstream(f"socks5h://127.0.0.1:{silent.getsockname()[1]}").get("/models")
except UpstreamUnreachableError:
    print("unreachable")
print(len(ticks) - before > 20, flush=True)
os._exit(0)
"""


def test_a_proxy_that_says_nothing_holds_up_nobody_else() -> None:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert told.stdout.splitlines() == ["b'{}' True", "unreachable", "True"], told.stderr
