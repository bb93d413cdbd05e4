"""M48: who looks after a house of several workers, from the first password on."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from tests.gateways.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

TALLYSTICK = str(Path(sys.executable).parent / "tallystick")
READY_S, ENDED_S, LOOK_S = 60.0, 40.0, 0.2
WORKERS = 3
SHOWN = re.compile(r"with the password\s+(\S{24})\s")
TOKEN = re.compile(r'name="form_token" value="([0-9a-f]*)"')
TRIES = 8


class House:
    """`tallystick serve` as somebody starts it by hand, at a terminal that is read here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.environ = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder),
            "UPSTREAM_BASE_URL": "http://127.0.0.1:9/v1",
            "CASHU_MINTS": "http://127.0.0.1:9",
            # The first test vector of BIP-39; it holds no money.
            "WALLET_SEED": "abandon " * 11 + "about",
            "DATABASE_URL": f"sqlite:///{folder}/ledger.db",
            "BTC_USD": "100000",
            "PORT": str(port),
            "WORKERS": str(WORKERS),
        }
        self.log = folder / "log"
        self._ours, self._theirs = pty.openpty()
        self._shown = b""

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [TALLYSTICK, "serve"],
                env=self.environ,
                cwd=self.folder,
                stdout=log,
                stderr=self._theirs,
            )
        until_s = time.monotonic() + READY_S
        while time.monotonic() < until_s:
            self._read()
            try:
                if requests.get(f"{self.url}/admin/sign-in/", timeout=10).ok:
                    return
            except requests.RequestException:
                time.sleep(LOOK_S)
        self.stop()
        pytest.fail(f"the house did not open: {self.shown()}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(ENDED_S)
        finally:
            self.process.kill()

    def shown(self) -> str:
        """What was written to the terminal by now."""
        self._read()
        return self._shown.decode(errors="replace")

    def _read(self) -> None:
        while select.select([self._ours], [], [], 0)[0]:
            self._shown += os.read(self._ours, 65_536)

    def admin(self, *words: str, given: str = "") -> str:
        done = subprocess.run(
            [TALLYSTICK, "admin", *words],
            env=self.environ,
            cwd=self.folder,
            input=given,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    house.start()
    try:
        yield house
    finally:
        house.stop()


def attempt(house: House, name: str, password: str) -> tuple[int, requests.Session]:
    """Try to sign in from a browser of its own; each request may meet another worker."""
    browser = requests.Session()
    token = TOKEN.search(browser.get(f"{house.url}/admin/sign-in/", timeout=20).text)
    assert token
    form = {"name": name, "password": password, "form_token": token[1]}
    answer = browser.post(
        f"{house.url}/admin/sign-in/", data=form, allow_redirects=False, timeout=20
    )
    return answer.status_code, browser


def is_in(house: House, browser: requests.Session) -> bool:
    """Whether a browser is let in, by whichever worker answers."""
    found = {
        browser.get(f"{house.url}/admin/", allow_redirects=False, timeout=20).status_code
        for _ in range(TRIES)
    }
    assert len(found) == 1
    return found == {200}


def test_the_first_password_is_shown_once_on_the_terminal_and_stands_in_no_log(
    house: House,
) -> None:
    shown = SHOWN.findall(house.shown())
    assert len(shown) == 1

    status, browser = attempt(house, "admin", shown[0])

    assert (status, is_in(house, browser)) == (303, True)
    assert shown[0] not in house.log.read_text()
    house.stop()
    house.start()
    assert len(SHOWN.findall(house.shown())) == 1


def test_signing_out_everywhere_reaches_every_worker(house: House) -> None:
    password = "a password of ann's"
    house.admin("add", "ann", "--scope", "audit", given=password + "\n")
    first, second = (attempt(house, "ann", password)[1] for _ in range(2))
    assert is_in(house, first)
    assert is_in(house, second)

    house.admin("sign-out", "ann")

    assert not is_in(house, first)
    assert not is_in(house, second)


def test_all_workers_count_wrong_passwords_together(house: House) -> None:
    statuses = [attempt(house, "admin", "wrong")[0] for _ in range(TRIES)]

    assert statuses[:5] == [403] * 5
    assert 429 in statuses[5:]
