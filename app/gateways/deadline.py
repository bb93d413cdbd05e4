"""A time after which connections are shut, whatever still comes in by them."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class Deadline:
    """Shuts the connections it watches when the time is over, whoever waits on them."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self.is_over = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._timer.cancel()
        with self._lock:
            for watched in self._watched:
                watched.close()
            self._watched.clear()

    def watch(self, connection: socket.socket) -> None:
        """Shut this one too. One that comes when the time is over is shut at once."""
        # TLS takes the socket's handle away from it; a copy still ends the same connection.
        with self._lock:
            self._watched.append(connection.dup())
            if self.is_over:
                self._shut()

    def _end(self) -> None:
        with self._lock:
            self.is_over = True
            self._shut()

    def _shut(self) -> None:
        for watched in self._watched:
            with suppress(OSError):
                watched.shutdown(socket.SHUT_RDWR)
