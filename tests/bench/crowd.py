"""The clients of an overload: many connections in one loop, at the least that each can cost.

They share the machine with what is measured: what they took of it would look like its fault.
"""

from __future__ import annotations

import select
import socket
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic

READ_BYTES = 65_536
LOOK_EVERY_S = 0.002


@dataclass
class Seen:
    """What clients were answered in one round: how many of each status, after how long."""

    seconds: float
    statuses: Counter[int] = field(default_factory=Counter)
    served_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    without_retry_after: int = 0
    in_time: int = 0

    @property
    def goodput(self) -> float:
        return self.in_time / self.seconds


@dataclass(slots=True)
class Line:
    """A connection; `asked_at_s` is when its request came up, 0 while it is idle."""

    socket: socket.socket
    asked_at_s: float
    is_kept: bool = False
    data: bytes = b""


class Crowd:
    """Clients that ask `request` of a place, and keep their connections if they are let."""

    def __init__(self, place: tuple[str, int], request: bytes, seconds: float) -> None:
        self._place = place
        self._request = request
        self._lines: dict[int, Line] = {}
        self._idle: list[Line] = []
        self._poll = select.epoll()
        self._until_s = monotonic() + seconds
        self._asking = 0
        self.seen = Seen(seconds)

    def go_on(self, clients: int, patience_s: float) -> None:
        """Let so many ask again as soon as they are answered; wait for the last answers."""
        while (now_s := monotonic()) < self._until_s:
            while self._asking < clients:
                self._ask(now_s)
            self._look()
        self._end(self._until_s + patience_s)

    def flood(self, per_second: float, patience_s: float) -> None:
        """Ask at a rate, whatever becomes of it; then wait as well."""
        begun_s, count = monotonic(), 0
        while (now_s := monotonic()) < self._until_s:
            due = int((now_s - begun_s) * per_second)
            for _ in range(due - count):
                self._ask(now_s)
            count = due
            self._look()
        self._end(self._until_s + patience_s)

    def _end(self, until_s: float) -> None:
        while self._asking and monotonic() < until_s:
            self._look()
        self.seen.statuses[0] += self._asking
        for line in self._lines.values():
            line.socket.close()
        self._poll.close()

    def _ask(self, now_s: float) -> None:
        self._asking += 1
        while self._idle:
            line = self._idle.pop()
            line.asked_at_s = now_s
            try:
                line.socket.send(self._request)
            except OSError:
                self._forget(line)
            else:
                return
        self._dial(now_s)

    def _dial(self, now_s: float) -> None:
        line = Line(socket.socket(), now_s)
        line.socket.settimeout(0.0)
        line.socket.connect_ex(self._place)
        self._lines[line.socket.fileno()] = line
        # It can be written to once it is there.
        self._poll.register(line.socket, select.EPOLLOUT)

    def _look(self) -> None:
        for place, event in self._poll.poll(LOOK_EVERY_S):
            line = self._lines[place]
            try:
                if event & select.EPOLLOUT:
                    line.socket.send(self._request)
                    self._poll.modify(place, select.EPOLLIN)
                    continue
                piece = line.socket.recv(READ_BYTES)
            except OSError:
                piece = b""
            self._read(line, piece)

    def _read(self, line: Line, piece: bytes) -> None:
        if piece:
            line.data += piece
            head, end, body = line.data.partition(b"\r\n\r\n")
            head = b"%b\r\n" % head.lower()
            if end and len(body) >= _length(head):
                self._answered(line, head)
            return
        self._forget(line)
        if not line.asked_at_s:
            self._idle.remove(line)
        elif line.is_kept and not line.data:
            # It was ended while it was idle: clients dial anew then, and ask again.
            self._dial(line.asked_at_s)
        else:
            self._asking -= 1
            self.seen.statuses[0] += 1

    def _answered(self, line: Line, head: bytes) -> None:
        now_s, seen, status = monotonic(), self.seen, int(head.split(b" ", 2)[1])
        took_s = now_s - line.asked_at_s
        self._asking -= 1
        seen.statuses[status] += 1
        if status == 200:
            seen.served_s.append(took_s)
            seen.in_time += now_s < self._until_s
        elif status == 503:
            seen.refused_s.append(took_s)
            seen.without_retry_after += b"\r\nretry-after:" not in head
        line.asked_at_s, line.is_kept, line.data = 0.0, True, b""
        if b"\r\nconnection: close" in head:
            self._forget(line)
        else:
            self._idle.append(line)

    def _forget(self, line: Line) -> None:
        del self._lines[line.socket.fileno()]
        line.socket.close()


def _length(head: bytes) -> int:
    return int(head.partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0])
