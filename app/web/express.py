"""The express lane: common requests from bytes to bytes, without gunicorn's machinery.

For each request gunicorn makes a dozen objects, and asks its configuration fifty times; that
takes longer than to serve it. Here the application is the same, and so is every limit of the
line; what is not common goes back into the line, for gunicorn to begin with.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from gunicorn import SERVER
from gunicorn.http.errors import InvalidResponseHeader

from app.web.common import WHOLE, common

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import WSGIApplication

    from app.web.common import Common
    from app.web.line import Line

READ_BYTES = 64 * 1024
HEAD_END = b"\r\n\r\n"
BODILESS = ("204 ", "304 ")


class Body:
    """The body of one request as an application reads it; what follows it stays in the line."""

    def __init__(self, line: Line, data: bytes, length: int) -> None:
        self._line = line
        self._data = data[:length]
        self._left = length - len(self._data)
        line.unread(data[length:])

        self.whole = None if self._left else self._data
        """All of it, if nothing of it is still to come."""

    @property
    def is_over(self) -> bool:
        """Tell whether the line stands at the next request."""
        return not self._left

    def read(self, size: int = -1) -> bytes:
        """Return all that is to come of it, or as much as `size`; raises as the line does."""
        data = self._data
        while self._left and (size < 0 or len(data) < size):
            piece = self._line.recv(min(self._left, READ_BYTES))
            if not piece:
                break
            self._left -= len(piece)
            data += piece
        end = len(data) if size < 0 else size
        self._data = data[end:]
        return data[:end]


class Reply:
    """One answer on its way out: its head with its first piece, the rest as it comes."""

    def __init__(self, line: Line, body: Body, date: Callable[[], str]) -> None:
        self._line = line
        self._body = body
        self._date = date
        self._status = ""
        self._fields: list[tuple[str, str]] = []
        self._is_chunked = self._is_bodiless = False
        self.is_begun = False
        self.is_last = False
        """Whether the line ends with it."""

    def start(
        self, status: str, fields: list[tuple[str, str]], _failure: object = None
    ) -> Callable[[bytes], object]:
        """Take the head of the answer, as WSGI has it (PEP 3333)."""
        self._status, self._fields = status, fields
        return self.write

    def be_last(self) -> None:
        """Let the line end with this answer, and say so if it has not begun."""
        self.is_last = True

    def write(self, piece: bytes) -> None:
        """Send a piece of the answer, and its head before the first."""
        data = b"" if self.is_begun else self._head()
        if piece and not self._is_bodiless:
            data += b"%x\r\n%b\r\n" % (len(piece), piece) if self._is_chunked else piece
        if data:
            self._line.sendall(data)

    def end(self) -> None:
        if not self.is_begun:
            self.write(b"")
        if self._is_chunked:
            self._line.sendall(b"0\r\n\r\n")

    def _head(self) -> bytes:
        self.is_begun = True
        # Where the next request would begin is not known while this one is not read.
        self.is_last = self.is_last or not self._body.is_over
        self._is_bodiless = self._status.startswith(BODILESS)
        names = {name.lower() for name, _ in self._fields}
        self._is_chunked = not self._is_bodiless and "content-length" not in names
        lines = [
            f"HTTP/1.1 {self._status}",
            f"Server: {SERVER}",
            f"Date: {self._date()}",
            f"Connection: {'close' if self.is_last else 'keep-alive'}",
            *(f"{name}: {value}" for name, value in self._fields),
        ]
        if self._is_chunked:
            lines.append("Transfer-Encoding: chunked")
        text = "\r\n".join(lines)
        if text.count("\n") >= len(lines) or text.count("\r") >= len(lines):
            # Its text would be logged, and may hold a secret.
            raise InvalidResponseHeader("a line break in a header field")
        return text.encode("latin-1") + HEAD_END


class Express:
    """Serves common requests by `application`; `environ` is what all of them have in common."""

    def __init__(self, application: WSGIApplication, environ: Mapping[str, Any]) -> None:
        self._application = application
        self._environ = environ
        self._second, self._date = 0, ""

    def next(self, line: Line) -> tuple[Common, bytes] | None:
        """Return the next request of `line`, and what of its body came with its head.

        None if that is not a common one, or the line is over: gunicorn may begin there.
        """
        data = line.recv(READ_BYTES)
        end = data.find(HEAD_END)
        found = common(data[: end + 2]) if end > 0 else None
        if found is None:
            line.unread(data)
            return None
        return found, data[end + 4 :]

    def reply(self, line: Line, body: Body) -> Reply:
        return Reply(line, body, self._now)

    def serve(self, request: Common, body: Body, reply: Reply, peer: Mapping[str, str]) -> None:
        """Have the application answer a request of `peer`; raises as the line does."""
        environ = {
            **self._environ,
            **peer,
            **request.environ,
            "wsgi.input": body,
            WHOLE: body.whole,
        }
        pieces: Iterable[bytes] = self._application(environ, reply.start)
        try:
            for piece in pieces:
                reply.write(piece)
            reply.end()
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

    def _now(self) -> str:
        """Return the date as answers tell it, worked out once a second (RFC 9110, 6.6.1)."""
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True)
        return self._date


def environ_of(base: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all common requests have in common; `base` is gunicorn's own part of it."""
    return {
        **base,
        "wsgi.multithread": True,
        "wsgi.url_scheme": "http",
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }


def peer_of(client: Any, server: Any) -> dict[str, str]:
    """Return what an environment says of both ends of a connection, if they have addresses."""
    if not isinstance(client, tuple) or not isinstance(server, tuple):
        # A socket in the file system: whoever may open it is a proxy on this machine.
        return {"REMOTE_ADDR": "", "SERVER_NAME": "", "SERVER_PORT": ""}
    return {
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
    }
