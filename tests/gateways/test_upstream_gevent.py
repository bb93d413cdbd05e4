"""Upstreams as workers ask them, whose sockets are gevent's: what is true elsewhere is true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = ("test_upstream.py", "test_upstream_tls.py")


def test_under_gevent_upstreams_are_asked_as_elsewhere() -> None:
    here = Path(__file__).parent
    told = subprocess.run(
        [
            *(sys.executable, "-m", "gevent.monkey", "--module", "pytest"),
            *("-q", "-p", "no:cacheprovider"),
            *(str(here / name) for name in TESTS),
        ],
        cwd=here.parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert told.returncode == 0, told.stdout + told.stderr
