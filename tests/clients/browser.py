"""A page in headless Chromium, told what to do by the server that it came from.

The page's origin is a port of its own: to it the house is a stranger, and what may be read
of its answers is what CORS allows.
"""

from __future__ import annotations

import json
import subprocess
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, Self

from tests.clients import environments
from tests.clients.program import ACT_TIMEOUT_S, STOP_TIMEOUT_S, TAIL, ProgramError, read

if TYPE_CHECKING:
    from pathlib import Path

POLL_S = 5.0
TYPES = {".html": "text/html", ".mjs": "text/javascript", ".js": "text/javascript"}
# The sandbox wants rights that root in a container has not; the only page is our own.
FLAGS = (
    "--headless=shell",
    "--no-sandbox",
    "--no-zygote",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
)


class Browser:
    """Runs `tests/clients/node/<program>.mjs` in a page while the `with` block lasts."""

    def __init__(self, program: str, home: Path) -> None:
        self._program = program
        self._home = home
        self._errors = home / "stderr"
        self._server = _PageServer()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        chromium, libraries = environments.browser()
        self._home.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        page = f"http://127.0.0.1:{self._server.server_port}/page.html?{self._program}"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [chromium, *FLAGS, f"--user-data-dir={self._home / 'profile'}", page],
                env={"HOME": str(self._home), "LD_LIBRARY_PATH": str(libraries)},
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.acts.put(None)
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        finally:
            self._process.kill()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def do(self, act: str, **given: Any) -> dict[str, Any]:
        self._server.acts.put({"act": act, "given": given})
        try:
            answer = self._server.answers.get(timeout=ACT_TIMEOUT_S)
        except Empty as error:
            told = self._errors.read_text()[-TAIL:]
            raise ProgramError(f"the page did not answer to {act!r}\n{told}") from error
        return read(act, answer, self._errors)


class _PageServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.acts: Queue[dict[str, Any] | None] = Queue()
        self.answers: Queue[bytes] = Queue()
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that was closed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _PageServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path != "/act":
            self._send_file(path)
            return
        try:
            act = self.server.acts.get(timeout=POLL_S)
        except Empty:
            self._send(HTTPStatus.NO_CONTENT, "", b"")
            return
        self._send(HTTPStatus.OK, "application/json", json.dumps(act).encode())

    def do_POST(self) -> None:
        self.server.answers.put(self.rfile.read(int(self.headers["content-length"])))
        self._send(HTTPStatus.NO_CONTENT, "", b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Say nothing."""

    def _send_file(self, path: str) -> None:
        # In a page the line to the test is another one; programs import it by the same name.
        name = "page-lines.mjs" if path == "/lines.mjs" else path.removeprefix("/")
        file = (environments.NODE_HOME / name).resolve()
        inside = file.is_relative_to(environments.NODE_HOME.resolve())
        if not inside or not file.is_file():
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"")
            return
        self._send(HTTPStatus.OK, TYPES.get(file.suffix, "text/plain"), file.read_bytes())

    def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        self.end_headers()
        self.wfile.write(body)
