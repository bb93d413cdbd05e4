"""A real browser clicks through the auditor's view, wide and narrow."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
import requests
from werkzeug.serving import make_server

from tests.store.places import SqlitePlace
from tests.web.admin.conftest import PASSWORD, fill, open_view, told_story

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
START_S, ANSWER_S = 15.0, 60
MENU = ("Overview", "Events", "Accounts", "Balances", "Unfinished", "Mints", "Prices")
FITS = "return document.documentElement.scrollWidth <= window.innerWidth"


@dataclass
class Browser:
    """Chromium behind its driver, spoken to as the WebDriver standard says."""

    session: requests.Session
    url: str

    def tell(self, method: str, path: str, **body: Any) -> Any:
        answer = self.session.request(
            method, self.url + path, json=body if method == "POST" else None, timeout=ANSWER_S
        )
        value = answer.json()["value"]
        assert answer.ok, value
        return value

    def find(self, selector: str, using: str = "css selector") -> str:
        found = self.tell("POST", "/element", using=using, value=selector)
        return str(found[ELEMENT])

    def click(self, selector: str, using: str = "css selector") -> None:
        self.tell("POST", f"/element/{self.find(selector, using)}/click")

    def write(self, selector: str, text: str) -> None:
        self.tell("POST", f"/element/{self.find(selector)}/value", text=text)

    def text(self, selector: str) -> str:
        return str(self.tell("GET", f"/element/{self.find(selector)}/text"))

    def resize(self, width: int, height: int) -> None:
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        command = "Emulation.setDeviceMetricsOverride"
        self.tell("POST", "/goog/cdp/execute", cmd=command, params=screen)

    def fits(self) -> bool:
        return bool(self.tell("POST", "/execute/sync", script=FITS, args=[]))

    def complaints(self) -> list[str]:
        """What the console holds against the pages: refused by the policy, failed, unclear."""
        lines = self.tell("POST", "/se/log", type="browser")
        return [line["message"] for line in lines if line["level"] in {"SEVERE", "WARNING"}]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[str]:
    """The auditor's view, served; returns where."""
    place = SqlitePlace(tmp_path)
    store = place.open()
    fill(store, told_story(120))
    app = open_view(store, store, time.time)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    serving = Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    serving.join(START_S)
    server.server_close()
    place.close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    driver = shutil.which("chromedriver")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if driver is None or program is None:
        pytest.skip("no Chromium with its driver here: apt install chromium chromium-driver")
    log = tmp_path / "driver.log"
    with (
        log.open("w") as written,
        subprocess.Popen([driver, "--port=0"], stdout=written, stderr=written) as process,
    ):
        session = requests.Session()
        try:
            opened = _opened(Browser(session, _driver_url(log)), program)
            yield opened
            opened.tell("DELETE", "")
        finally:
            session.close()
            process.terminate()


def _driver_url(log: Path) -> str:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        _, found, rest = log.read_text().partition("started successfully on port ")
        if found and "." in rest:
            return f"http://127.0.0.1:{rest.partition('.')[0]}"
        time.sleep(0.1)
    pytest.fail(f"the driver did not start: {log.read_text()}")


def _opened(driver: Browser, program: str) -> Browser:
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    wanted = {
        "goog:loggingPrefs": {"browser": "ALL"},
        "goog:chromeOptions": {"binary": program, "args": arguments},
        # A dialog that a script opens breaks the next command instead of being closed.
        "unhandledPromptBehavior": "ignore",
    }
    opened = driver.tell("POST", "/session", capabilities={"alwaysMatch": wanted})
    return Browser(driver.session, f"{driver.url}/session/{opened['sessionId']}")


@pytest.mark.parametrize("width", [1280, 390])
def test_an_auditor_reads_every_page(house: str, browser: Browser, width: int) -> None:
    browser.resize(width, 850)
    browser.tell("POST", "/url", url=f"{house}/admin/")
    browser.write("#password", PASSWORD)
    browser.click(".sign-in button")

    headings = []
    for name in MENU:
        browser.click(name, "link text")
        headings.append(browser.text("h1"))
        assert browser.fits(), name
    browser.click("Events", "link text")
    browser.click("[rel=next]")
    browser.click("tbody th a")
    headings.append(browser.text("h1"))
    assert browser.fits()
    browser.click(".fields a")
    headings.append(browser.text("h1"))
    assert browser.fits()
    browser.click(".top button")

    assert [heading.split()[0] for heading in headings] == [
        *("Overview", "Events", "Accounts", "Balances", "Unfinished", "Mints", "Prices"),
        *("Event", "Statement"),
    ]
    assert browser.text("h1") == "Sign in"
    assert browser.complaints() == []
