"""HTTP/1.1 as a client speaks it: one request written, its answer read strictly (RFC 9112).

urllib3 and http.client do far more, at several times the cost, for the one request that is
made thousands of times a second. What is not clean is refused here and never guessed at:
where one answer ends the next one begins, and it is somebody else's.
"""

from __future__ import annotations

import re
import socket as plain
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

READ_BYTES = 64 * 1024
HEAD_BYTES_MAX = 64 * 1024
TRAILER_BYTES_MAX = 16 * 1024
SIZE_LINE_BYTES_MAX = 1024
INTERIM_MAX = 8
"""How many answers may only say that the answer is still to come (RFC 9110, 15.2)."""

END = b"\r\n"
STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n\0]*+)?\r\n")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):([^\r\n\0]*+)\r\n")
FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\r\n\0]*+\r\n)*+")
LENGTH = re.compile(r"[0-9]{1,15}")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*+(?:;[^\r\n\0]*+)?\r\n")
FINAL, NO_CONTENT, NOT_MODIFIED = 200, 204, 304


class NotHttpError(Exception):
    """What the other side sends is no answer as HTTP/1.1 has them, or not all of it."""


class Head(NamedTuple):
    """The head of an answer; names of fields are in small letters, repeated ones joined."""

    status: int
    fields: dict[str, str]
    is_older: bool = False
    """Whether the server speaks HTTP/1.0, and ends the connection unless it says otherwise."""

    @property
    def is_kept(self) -> bool:
        """Tell whether the connection can serve again when the answer is over."""
        words = self.fields.get("connection", "").lower()
        return "keep-alive" in words if self.is_older else "close" not in words


class Body(Protocol):
    """What finds the end of a body: `over` once it was seen, with the bytes behind it."""

    over: bool
    is_last: bool
    """Whether the connection ends with it."""
    surplus: bytes

    def take(self, data: bytes) -> bytes:
        """Take what has arrived; return what of it is body. Raises `NotHttpError`."""

    def end(self) -> None:
        """Take it that nothing more arrives; raises `NotHttpError` if more was due."""


class OfLength:
    """A body of so many bytes."""

    is_last = False

    def __init__(self, length: int) -> None:
        self._left = length
        self.over = not length
        self.surplus = b""

    def take(self, data: bytes) -> bytes:
        if len(data) > self._left:
            data, self.surplus = data[: self._left], data[self._left :]
        self._left -= len(data)
        self.over = not self._left
        return data

    def end(self) -> None:
        raise NotHttpError("cut short")


class ToTheEnd:
    """A body that ends with its connection."""

    over = False
    is_last = True
    surplus = b""

    def take(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        self.over = True


class InChunks:
    """A body in chunks, of which extensions and trailers are read over (RFC 9112, 7.1)."""

    is_last = False

    def __init__(self) -> None:
        self.over = False
        self.surplus = b""
        self._held = b""
        self._left = 0
        self._ends_chunk = self._ends_body = False

    def take(self, data: bytes) -> bytes:
        data = self._held + data
        pieces: list[bytes] = []
        at = 0
        while not self.over:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
            following = self._after(data, at)
            if following == at:
                break
            at = following
        if self.over:
            self.surplus = data[at:]
        self._held = data[at:]
        return b"".join(pieces)

    def end(self) -> None:
        raise NotHttpError("cut short")

    def _after(self, data: bytes, at: int) -> int:
        """Return where the framing that begins `at` ends; `at` if it is not all there."""
        if self._ends_chunk:
            if not END.startswith(data[at : at + 2]):
                raise NotHttpError("a chunk longer than its size")
            self._ends_chunk = len(data) < at + 2
            return at if self._ends_chunk else at + 2
        if self._ends_body:
            return self._after_trailers(data, at)
        found = CHUNK_SIZE.match(data, at)
        if found is None:
            if b"\n" in data[at:] or len(data) - at > SIZE_LINE_BYTES_MAX:
                raise NotHttpError("a chunk without a size")
            return at
        self._left = int(found[1], 16)
        self._ends_chunk, self._ends_body = self._left > 0, not self._left
        return found.end()

    def _after_trailers(self, data: bytes, at: int) -> int:
        empty = data.startswith(END, at)
        end = at if empty else data.find(END + END, at)
        if end < 0:
            if len(data) - at > TRAILER_BYTES_MAX:
                raise NotHttpError("trailers without an end")
            return at
        self.over = True
        return end + (2 if empty else 4)


class Connection:
    """One connection to a server, which is asked one thing after the other.

    Its socket has a timeout; what it raises, an `OSError`, comes through. So does what
    `wait` raises, which may wait for something to read before the socket is asked for it.
    """

    def __init__(self, connection: socket, wait: Callable[[], object] = bool) -> None:
        self._socket = connection
        self._wait = wait

    def ask(self, request: bytes) -> Answer:
        """Send `request`; return the answer as soon as its head has arrived.

        Raises `NotHttpError`.
        """
        sent = self._socket.send(request)
        if sent < len(request):
            self._socket.sendall(memoryview(request)[sent:])
        return self._answer()

    def _answer(self) -> Answer:
        data = b""
        for _ in range(INTERIM_MAX):
            head, data = self._head(data)
            if head.status >= FINAL:
                return Answer(self, head, data)
        raise NotHttpError("only interim answers")

    def read(self) -> bytes:
        """Return what has arrived, waiting if nothing has; b"" is the connection's end."""
        self._wait()
        return self._socket.recv(READ_BYTES)

    def arrived(self) -> bytes:
        """Return what has arrived, and do not wait."""
        timeout_s = self._socket.gettimeout()
        self._socket.settimeout(0.0)
        try:
            return self._socket.recv(READ_BYTES)
        except OSError:
            return b""
        finally:
            self._socket.settimeout(timeout_s)

    def is_at_rest(self) -> bool:
        """Tell whether nothing has come, not even an end, since the last answer was over."""
        timeout_s = self._socket.gettimeout()
        self._socket.settimeout(0.0)
        try:
            # Below TLS: what has come there is not for us to decipher.
            plain.socket.recv(self._socket, 1, plain.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self._socket.settimeout(timeout_s)
        return False

    def close(self) -> None:
        self._socket.close()

    def _head(self, data: bytes) -> tuple[Head, bytes]:
        """Return a head, and what came behind it."""
        seen = 0
        while (end := data.find(END + END, max(0, seen - 3))) < 0:
            seen = len(data)
            if seen > HEAD_BYTES_MAX:
                raise NotHttpError("a head without an end")
            more = self.read()
            if not more:
                raise NotHttpError("no answer" if not data else "cut short")
            data += more
        return head_of(data[: end + 2]), data[end + 4 :]


class Answer:
    """An answer that is being read; `is_over` once all of it is there."""

    def __init__(self, connection: Connection, head: Head, data: bytes) -> None:
        self.connection = connection
        self.head = head
        self._body = body_of(head)
        self._data = data

    @property
    def is_over(self) -> bool:
        return self._body.over

    @property
    def is_kept(self) -> bool:
        """Tell whether the connection can be asked again."""
        body = self._body
        if not body.over or body.is_last or not self.head.is_kept:
            return False
        # What nobody has asked for would be taken for the next answer.
        return not (body.surplus or self._data)

    def read(self) -> bytes:
        """Return what has arrived of the body, waiting if nothing has; b"" is its end.

        Raises `NotHttpError`.
        """
        body = self._body
        while not body.over:
            data, self._data = self._data or self.connection.read(), b""
            if not data:
                body.end()
            elif out := body.take(data):
                return out
        return b""

    def skip(self) -> None:
        """Read over what has arrived, if that is the rest; what is not there is not waited for.

        The end of a stream often comes a moment after its last event.
        """
        if not self._body.over:
            data, self._data = self._data or self.connection.arrived(), b""
            self._body.take(data)


def head_of(data: bytes) -> Head:
    r"""Return the head that `data` is, its empty line left out, or raise `NotHttpError`.

    >>> head_of(b"HTTP/1.1 200 OK\r\nA: b\r\na:c \r\n")
    Head(status=200, fields={'a': 'b, c'}, is_older=False)
    """
    status = STATUS.match(data)
    if status is None or FIELDS.fullmatch(data, status.end()) is None:
        raise NotHttpError("not a head")
    fields: dict[str, str] = {}
    for raw_name, raw_value in FIELD.findall(data, status.end()):
        name, value = raw_name.decode().lower(), raw_value.strip(b" \t").decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Head(int(status[2]), fields, status[1] == b"0")


def body_of(head: Head) -> Body:
    """Return what finds the end of the body behind `head` (RFC 9112, 6.3).

    Raises `NotHttpError` if that is not told, or told twice.
    """
    length, coding = (head.fields.get(n) for n in ("content-length", "transfer-encoding"))
    if head.status in {NO_CONTENT, NOT_MODIFIED}:
        return OfLength(0)
    if coding is not None:
        if coding.lower() != "chunked" or length is not None or head.is_older:
            raise NotHttpError("a body whose end is not certain")
        return InChunks()
    if length is None:
        return ToTheEnd()
    if LENGTH.fullmatch(length) is None:
        raise NotHttpError("a length that is none")
    return OfLength(int(length))
