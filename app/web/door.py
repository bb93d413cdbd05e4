"""The door: connections come in, and while there is no room are told so where they stand."""

from __future__ import annotations

import socket as plain
from typing import TYPE_CHECKING, Any

from gevent.server import StreamServer

from app.web.common import common
from app.web.express import HEAD_END, READ_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent.pool import Pool
    from gevent.socket import socket

MANY, SOME = 100, 16


class Door(StreamServer):
    """Accepts `at_a_time` connections a turn: 1 leaves other workers their part of them.

    While the worker `is_full`, all are told `refusal`. Turns are long then, and who has to
    wait for one of his own is not told at once: so more are accepted a turn, though not all,
    for those in progress are to be finished. One whose whole request has come is told without
    a greenlet or a line of his own, which would cost as much again.
    """

    def __init__(
        self,
        listener: socket,
        handle: Callable[..., None],
        spawn: Pool,
        at_a_time: int,
        is_full: Callable[[], bool],
        refusal: Callable[[], bytes],
    ) -> None:
        self._at_a_time = at_a_time
        self._is_full = is_full
        self._refusal = refusal
        super().__init__(listener, handle, spawn=spawn)
        self.max_accept = at_a_time

    def do_handle(self, client: socket, *address: Any) -> None:
        """Refuse a connection, or have it served by a greenlet of its own."""
        is_full = self._is_full()
        self.max_accept = max(SOME, self._at_a_time) if is_full else self._at_a_time
        if not is_full or not _refused(client, self._refusal):
            super().do_handle(client, *address)


def _refused(client: socket, refusal: Callable[[], bytes]) -> bool:
    """Answer and close, if a whole request is there; else leave all of it as it is."""
    line: plain.socket = client._sock  # type: ignore[attr-defined]  # noqa: SLF001  # gevent's stubs omit it, and its own methods wait
    try:
        size = _whole(line.recv(READ_BYTES, plain.MSG_PEEK))
        if not size:
            return False
        # To close with bytes unread is a reset, by which the answer may be lost.
        line.recv(size)
        line.send(refusal())
    except BlockingIOError:
        return False
    except OSError:
        pass  # nobody is there to be told
    client.close()
    return True


def _whole(data: bytes) -> int:
    """Return how long `data` is if that is one whole common request, else 0."""
    end = data.find(HEAD_END)
    found = common(data[: end + 2]) if end > 0 else None
    if found is None or len(data) != end + len(HEAD_END) + found.length:
        return 0
    return len(data)
