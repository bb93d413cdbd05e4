"""A SOCKS5 proxy on loopback, as Tor's is: notes the names it is asked for."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import Self

DOMAIN, IPV4 = 3, 1
GRANTED, REFUSED = 0, 4


class SocksDouble:
    """Leads every connection to `port` of this machine, whatever its name; 0 refuses it.

    With a `user` it wants that name and password (RFC 1929); without, nobody's.
    """

    def __init__(self, port: int = 0, user: tuple[str, str] | None = None) -> None:
        self.port = port
        self._user = user
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._serve)]
        self._open: list[socket.socket] = []
        self.asked: list[tuple[str, int]] = []
        self.users: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    @property
    def url(self) -> str:
        user = "{}:{}@".format(*self._user) if self._user else ""
        return f"socks5h://{user}127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._greet, connection)

    def _start(self, do: object, *sockets: socket.socket) -> None:
        self._open += sockets
        thread = threading.Thread(target=do, args=sockets)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _greet(self, client: socket.socket) -> None:
        # A client may go at any byte.
        with suppress(OSError, IndexError), client.makefile("rb", buffering=0) as stream:
            methods = stream.read(stream.read(2)[1])
            if self._user is None:
                client.sendall(b"\x05\x00")
            else:
                assert b"\x02" in methods
                client.sendall(b"\x05\x02")
                stream.read(1)
                name, password = (stream.read(stream.read(1)[0]) for _ in range(2))
                self.users.append((name.decode(), password.decode()))
                client.sendall(b"\x01\x00")
            kind = stream.read(4)[3]
            if kind == DOMAIN:
                host = stream.read(stream.read(1)[0]).decode()
            else:
                host = socket.inet_ntop(socket.AF_INET, stream.read(4))
            self.asked.append((host, struct.unpack("!H", stream.read(2))[0]))
            reply = GRANTED if self.port else REFUSED
            client.sendall(bytes([5, reply, 0, IPV4]) + bytes(6))
            if self.port:
                self._lead(client, socket.create_connection(("127.0.0.1", self.port)))
                return
        client.close()

    def _lead(self, client: socket.socket, server: socket.socket) -> None:
        self._start(_copy, server, client)
        _copy(client, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
