"""Listeners nobody may connect to, and a name service that says what it is told to."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

PUBLIC = "1.1.1.1"


class Trap:
    """Listens on 127.0.0.1, and on ::1 if this machine has it; counts who connects."""

    def __init__(self) -> None:
        self._listeners = [socket.create_server(("127.0.0.1", 0))]
        self.port: int = self._listeners[0].getsockname()[1]
        if socket.has_ipv6:
            try:
                v6 = socket.create_server(("::1", self.port), family=socket.AF_INET6)
            except OSError:
                return
            self._listeners.append(v6)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for listener in self._listeners:
            listener.close()

    @property
    def visitors(self) -> int:
        """How many connections wait to be accepted; each is counted once."""
        count = 0
        for listener in self._listeners:
            listener.settimeout(0.05)
            while True:
                try:
                    listener.accept()[0].close()
                except TimeoutError:
                    break
                count += 1
        return count


class NameService:
    """Answers each question with the next of its answers, and for ever with the last."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        with self._lock:
            self.asked.append((host, port))
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Wire:
    """Leads every connection to one local port, and notes where it was to go."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.gone_to: list[tuple[str, int]] = []

    def __call__(self, address: tuple[str, int], timeout_s: float) -> socket.socket:
        self.gone_to.append(address)
        if not self._port:
            raise ConnectionRefusedError
        return socket.create_connection(("127.0.0.1", self._port), timeout_s)
