"""A page in headless Chromium, driven by the browser's own protocol (DevTools).

Nothing runs in the page but what it brings itself: what a visitor does is done from outside.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

import requests
import websocket

from tests.clients import environments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START_S, ANSWER_S, LOAD_S = 20.0, 30.0, 20.0
FLAGS = (
    "--headless=shell",
    "--no-sandbox",
    "--no-zygote",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
COMPLAINTS = {"error", "warning"}


class PageError(Exception):
    """The page is not what it should be, or the browser does not answer."""


def program() -> tuple[Path | str, str]:
    """Return a Chromium that runs here, and the folder of libraries that it may need.

    Raises `EnvironmentMissingError`.
    """
    try:
        chromium, libraries = environments.browser()
    except environments.EnvironmentMissingError:
        own = next(filter(None, map(shutil.which, environments.BROWSERS)), None)
        if own is None:
            raise
        return own, ""
    return chromium, str(libraries)


class Chromium:
    """A browser with one page, while the `with` block lasts."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._count = 0
        self._events: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        """What the console holds against the pages: refused by the policy, failed, unclear."""

    def __enter__(self) -> Self:
        chromium, libraries = program()
        profile = self._home / "profile"
        profile.mkdir(parents=True)
        with (self._home / "stderr").open("wb") as errors:
            self._process = subprocess.Popen(
                [chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
                env={"HOME": str(self._home), "LD_LIBRARY_PATH": libraries},
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
        try:
            self._socket = websocket.create_connection(
                self._address(profile / "DevToolsActivePort"),
                timeout=ANSWER_S,
                suppress_origin=True,
            )
            for domain in ("Page", "Runtime", "Log"):
                self.tell(f"{domain}.enable")
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(START_S)
        finally:
            self._process.kill()
            self._process.wait()

    def tell(self, method: str, **params: Any) -> Any:
        """Ask the browser for something and return its answer."""
        self._count += 1
        number = self._count
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        until_s = time.monotonic() + ANSWER_S
        while time.monotonic() < until_s:
            message = self._next()
            if message.get("id") == number:
                if "error" in message:
                    raise PageError(message["error"]["message"])
                return message["result"]
        raise PageError(f"no answer to {method}")

    def resize(self, width: int, height: int) -> None:
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def go(self, url: str) -> None:
        self._loading(lambda: self.tell("Page.navigate", url=url))

    def run(self, script: str) -> Any:
        """Return what an expression comes to in the page."""
        found = self.tell("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            raise PageError(f"{script}: {found['exceptionDetails']['text']}")
        return found["result"].get("value")

    def click(self, selector: str) -> None:
        """Click what leads to another page, and wait for that."""
        self._loading(lambda: self.run(f"document.querySelector({selector!r}).click()"))

    def follow(self, words: str) -> None:
        """Click the link of these words."""
        script = (
            "[...document.querySelectorAll('a')]"
            f".find(link => link.textContent.trim() === {words!r}).click()"
        )
        self._loading(lambda: self.run(script))

    def fill(self, selector: str, text: str) -> None:
        self.run(f"document.querySelector({selector!r}).value = {text!r}")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def text(self, selector: str) -> str:
        return str(self.run(f"document.querySelector({selector!r}).textContent.trim()"))

    def picture(self, *, whole: bool = False) -> bytes:
        """Return the page as it is seen, as PNG; `whole` down to its end."""
        found = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    def _loading(self, act: Callable[[], object]) -> None:
        self._events.clear()
        act()
        until_s = time.monotonic() + LOAD_S
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            if time.monotonic() > until_s:
                raise PageError("no page was loaded")
            self._next()

    def _next(self) -> dict[str, Any]:
        try:
            message: dict[str, Any] = json.loads(self._socket.recv())
        except websocket.WebSocketTimeoutException as error:
            raise PageError("the browser is silent") from error
        if "method" in message:
            self._note(message["method"], message["params"])
            self._events.append(message)
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Log.entryAdded" and params["entry"]["level"] in COMPLAINTS:
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in COMPLAINTS:
            self.complaints.append(str(params["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]["text"]))
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"a dialog was opened: {params['message']}")

    def _address(self, file: Path) -> str:
        until_s = time.monotonic() + START_S
        while time.monotonic() < until_s:
            if file.is_file() and "\n" in (told := file.read_text()):
                port = told.partition("\n")[0]
                pages = requests.get(f"http://127.0.0.1:{port}/json/list", timeout=ANSWER_S)
                for page in pages.json():
                    if page["type"] == "page":
                        return str(page["webSocketDebuggerUrl"])
            time.sleep(0.05)
        raise PageError(f"Chromium did not start: {(self._home / 'stderr').read_text()[-800:]}")
