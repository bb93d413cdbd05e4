"""The guarded fetch as workers use it, whose sockets, threads and timers are gevent's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
from gevent import monkey
monkey.patch_all()
import time
import gevent
from app.gateways.errors import FetchBrokenError, UnreachableError
from app.gateways.guarded import Fetch, Guard
from tests.gateways.canned import CannedServer, answer

ticks = []

def tick():
    while True:
        ticks.append(time.monotonic())
        gevent.sleep(0.01)

gevent.spawn(tick)
with CannedServer(*[b"H"] * 200, pause_s=0.05) as server:
    fetch = Fetch(Guard([server.url.removeprefix("http://")]), total_timeout_s=0.3)
    try:
        fetch.get(server.url)
    except FetchBrokenError as error:
        print(error)
with CannedServer(answer(b"{}")) as server:
    print(Fetch(Guard([server.url.removeprefix("http://")])).get(server.url).body)

def hangs(host, port):
    gevent.sleep(60)

try:
    Fetch(Guard(resolve=hangs, connect_timeout_s=0.2)).get("https://pay.example/")
except UnreachableError as error:
    print(error)
print(len(ticks) > 20)
import os
os._exit(0)
"""


def test_a_worker_is_kept_waiting_by_nobody() -> None:
    root = Path(__file__).parents[2]

    told = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert told.stdout.splitlines() == [
        "the server's answer does not end",
        "b'{}'",
        "no connection to pay.example",
        "True",
    ], told.stderr
