"""A real Tor, with the options that compose.yml gives it; nobody beyond this machine is asked.

Its directory is one that nobody answers for: what it has to do without a network is shown.
"""

from __future__ import annotations

import shutil
import socket
import stat
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from app.environment import load_settings
from app.gateways.way_out import WayOut
from app.public import onion_url_of
from tests.gateways.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

TOR = shutil.which("tor")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(120),
    pytest.mark.skipif(TOR is None, reason="there is no tor on this machine"),
]

ROOT = Path(__file__).parent.parent.parent
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0
PATIENCE_S = 30.0
GIVES_UP_AFTER_S = 2
NOBODY = "0" * 39
# The only authority it may ask is one at a port of this machine where nobody listens.
ALONE = [
    "--UseDefaultFallbackDirs",
    "0",
    "--DirAuthority",
    f"nobody orport=9 v3ident={NOBODY}1 127.0.0.1:9 {NOBODY}2",
    "--SocksTimeout",
    str(GIVES_UP_AFTER_S),
]


@dataclass(frozen=True)
class Tor:
    """A Tor at work: where its data is, and the port of its SOCKS proxy."""

    data: Path
    port: int

    @property
    def proxy_url(self) -> str:
        return f"socks5h://127.0.0.1:{self.port}"


def service() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())["services"][
        "tor"
    ]
    return found


def options(data: Path, port: int) -> list[str]:
    """Return the options of compose.yml, for this folder and this port of loopback."""
    own = {"/var/lib/tor": str(data), "0.0.0.0:9050": f"127.0.0.1:{port}"}
    words: list[str] = service()["command"][1:]
    for name, here in own.items():
        words = [word.replace(name, here) for word in words]
    return words


@pytest.fixture(scope="module")
def tor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tor]:
    root = tmp_path_factory.mktemp("tor")
    (root / "torrc").write_text("")
    # As the image makes it, for Tor and the group of the house alone.
    (root / "data").mkdir(mode=0o750)
    tor = Tor(root / "data", free_port())
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(TOR), "-f", root / "torrc", *options(tor.data, tor.port), *ALONE],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline_s = time.monotonic() + READY_WITHIN_S
        while not listens(tor.port):
            said = (root / "log").read_text()
            assert process.poll() is None, said
            assert time.monotonic() < deadline_s, said
            time.sleep(0.1)
        yield tor
    finally:
        process.kill()
        process.wait(STOP_WITHIN_S)


def listens(port: int) -> bool:
    with closing(socket.socket()) as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_the_house_finds_its_name_in_the_file_of_the_service(
    tor: Tor, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = {
        "UPSTREAM_BASE_URL": "https://upstream.example/v1",
        "CASHU_MINTS": "https://mint.example",
        # The first test vector of BIP-39; it holds no money.
        "WALLET_SEED": "abandon " * 11 + "about",
        "ONION_HOSTNAME_FILE": f"{tor.data}/*/hostname",
    }
    for variable, value in needed.items():
        monkeypatch.setenv(variable, value)

    found = onion_url_of(load_settings(env_file=None))

    name = (tor.data / "tallystick" / "hostname").read_text().strip()
    assert found == f"http://{name}"


def test_the_group_of_the_house_may_read_the_name_and_not_the_key(tor: Tor) -> None:
    folder = tor.data / "tallystick"
    for each in (tor.data, folder):
        assert each.stat().st_mode & stat.S_IRWXG == stat.S_IRGRP | stat.S_IXGRP

    name, key = (folder / each for each in ("hostname", "hs_ed25519_secret_key"))

    assert name.stat().st_mode & stat.S_IRGRP
    assert not key.stat().st_mode & stat.S_IRWXG
    assert not name.stat().st_mode & stat.S_IRWXO


@pytest.mark.parametrize("host", ["api.example.com", "a" * 55 + "d.onion"])
def test_what_tor_cannot_reach_is_not_reached_in_another_way(tor: Tor, host: str) -> None:
    way = WayOut(tor.proxy_url)

    with pytest.raises(ConnectionError, match="the proxy makes no connection"):
        way.connect((host, 80), PATIENCE_S)
