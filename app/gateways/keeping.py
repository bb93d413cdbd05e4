"""Keeps connections to one host, so that they serve again and again."""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING
from weakref import finalize

import certifi
from gevent.lock import BoundedSemaphore
from gevent.socket import socket as cooperative

from app.gateways.http1 import Connection
from app.waiting import Waits

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from app.gateways.http1 import Answer
    from app.gateways.way_out import WayOut


class NoConnectionError(Exception):
    """No connection was made, or none is free: nothing was sent."""


class Keeper:
    """Makes connections to `host` by `way`, `connections_max` at once; TLS verifies the name.

    Whoever has to wait for a free one waits for at most `connect_timeout_s`. Nothing is taken
    from the environment. `read_timeout_s` is the longest silence that is borne. Certificates
    are those that `ca_file` vouches for, by default Mozilla's list.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        is_tls: bool,
        connect_timeout_s: float,
        read_timeout_s: float,
        connections_max: int,
        way: WayOut,
        ca_file: str | None = None,
    ) -> None:
        self._address = (host, port)
        self._way = way
        self._context = _context(ca_file or certifi.where()) if is_tls else None
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._waits = Waits(read_timeout_s)
        self._room = BoundedSemaphore(connections_max)
        self._free: list[Connection] = []
        # A provider that was replaced is closed by nobody: the last request may still ask it.
        finalize(self, _close, self._free)

    def take(self) -> Connection:
        """Return a connection that somebody has given back, or a new one.

        Raises `NoConnectionError`.
        """
        if not self._room.acquire(timeout=self._connect_timeout_s):
            raise NoConnectionError("no free connection")
        try:
            # The one used last is the one least likely to have been given up over there.
            while self._free:
                connection = self._free.pop()
                if connection.is_at_rest():
                    return connection
                connection.close()
            connected = self._connected()
            return Connection(connected, self._wait_for(connected))
        except BaseException:
            self._room.release()
            raise

    def give_back(self, connection: Connection, answer: Answer | None) -> None:
        """Keep a connection if its `answer` is over, and cut it if not."""
        if answer is not None and answer.is_kept:
            self._free.append(connection)
        else:
            connection.close()
        self._room.release()

    def close(self) -> None:
        """Close every connection that is not in use."""
        _close(self._free)

    def _wait_for(self, connection: socket) -> Callable[[], object]:
        """Return what waits for `connection` to be read, without a timer of its own.

        Nearly always nothing is there yet: to ask first would be in vain. Outside gevent
        the socket waits by itself, as it does for the rest of what TLS has cut in two.
        """
        if not isinstance(connection, cooperative):
            return bool
        watcher = connection._read_event  # type: ignore[attr-defined]  # noqa: SLF001  # gevent's stubs omit it
        wait = partial(self._waits.until_ready, watcher)
        if not isinstance(connection, ssl.SSLSocket):
            return wait
        # What was deciphered already, no watcher sees.
        return lambda: connection.pending() or wait()

    def _connected(self) -> socket:
        try:
            connection = self._way.connect(self._address, self._connect_timeout_s)
        except OSError as error:
            raise NoConnectionError(type(error).__name__) from error
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(
                    connection, server_hostname=self._address[0]
                )
            connection.settimeout(self._read_timeout_s)
        except OSError as error:
            connection.close()
            raise NoConnectionError(type(error).__name__) from error
        except BaseException:
            connection.close()
            raise
        return connection


def _close(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()


def _context(ca_file: str) -> ssl.SSLContext:
    """Return what verifies a server's certificate and name; made once, for it takes long."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
