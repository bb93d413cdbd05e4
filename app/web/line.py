"""A line to one client: a socket with a deadline for everything it may keep us waiting for."""

from __future__ import annotations

import errno
import socket as plain
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

import gevent
from gevent.socket import socket

from app.waiting import Waits
from app.web.refusals import BodyLateError, CrowdedError, HeadLateError, HeadTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

# Bounds the kernel's memory for those who do not read; streams need no more.
SEND_BUFFER_BYTES = 256 * 1024
# Two tokens of 65,000 bytes, in X-Cashu and in Authorization, and all the rest.
HEAD_BYTES_MAX = 192 * 1024
# A client on a fast network is read without a pause, so that the others get their turn.
TURN_BYTES = 256 * 1024
LINGER_S, LINGER_READ_BYTES = 5.0, 64 * 1024
HURRY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long clients are waited for, in seconds, and how slow they may be.

    `idle_s`: for the next request of a connection, `crowded_idle_s` when there are many.
    `head_s`: for the whole head of a request, from its first byte. `body_s`: for its whole
    body, of which from `grace_s` onwards `bytes_per_s_min` must have come on average.
    `send_s`: until a client takes some of its answer; in all, at the same lowest rate.
    """

    idle_s: float
    crowded_idle_s: float
    head_s: float
    body_s: float
    grace_s: float
    bytes_per_s_min: int
    send_s: float


@dataclass(slots=True)
class Load:
    """What a worker has taken on: idle lines in the order of their age, bytes of bodies."""

    bodies_bytes_max: int
    connections: int = 0
    requests: int = 0
    bodies_bytes: int = 0
    idle: dict[Line, None] = field(default_factory=dict)
    waits: dict[float, Waits] = field(default_factory=dict)

    def waits_of(self, longest_s: float) -> Waits:
        """Return what all lines share that wait so long; lengths there are only a few."""
        waits = self.waits.get(longest_s)
        if waits is None:
            waits = self.waits[longest_s] = Waits(longest_s)
        return waits


class Phase(Enum):
    """What a line waits for."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    OVER = auto()


class Line(socket):
    """The connection of one client, taken over from `client`.

    A request's head that is late raises `HeadLateError` if it is the first of its line; a
    later one ends the line without a word, as does a line that stays idle, for nobody waits
    there for an answer to what was never asked. A late body raises `BodyLateError` in whoever
    reads it. A client that takes none of its answer is told as one that has hung up:
    `ConnectionResetError`.
    """

    def __init__(self, client: socket, patience: Patience, load: Load) -> None:
        super().__init__(client.family, client.type, fileno=client.detach())
        self.setsockopt(plain.SOL_SOCKET, plain.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._patience = patience
        self._load = load
        self._received = self._counted = self._since_turn = self._sent = 0
        self._blocked_s = 0.0
        self._is_first = True
        self._is_gone = False
        self._unread = b""
        self._linger_s = LINGER_S
        self._say_close: Callable[[], object] = bool
        self._phase = Phase.HEAD
        # Nobody is idle before it has asked once: it has the time of a head.
        self._enter(Phase.HEAD, patience.head_s)

    def await_body(self, say_close: Callable[[], object], size: int = 0) -> None:
        """Take it that a head is complete, and that an answer to it begins.

        `say_close` makes the answer tell that the line ends with it: where the next request
        would begin is not known once a body was given up. `size` is how much of the body has
        come with the head; raises `CrowdedError` if that is too much.
        """
        self._say_close = say_close
        self._sent, self._blocked_s = 0, 0.0
        if self._phase is not Phase.OVER:
            self._enter(Phase.BODY, self._patience.body_s)
            self._received = size
            self._count(size)

    def await_request(self, idle_s: float) -> None:
        """Take it that a request is answered, and wait for the next."""
        self._is_first = False
        self._load.bodies_bytes -= self._counted
        self._counted = 0
        if self._phase is not Phase.OVER:
            self._enter(Phase.IDLE, idle_s)
            self._load.idle[self] = None

    def end_idle(self) -> None:
        """End a line whose client has asked nothing; it reads an end as if from there."""
        self._load.idle.pop(self, None)
        self._shut(plain.SHUT_RD)

    def unread(self, data: bytes) -> None:
        """Take back what was received, so that it is received again."""
        self._unread = data + self._unread

    def hurry(self) -> None:
        """Do not stay for long once it is closed: there are others who want to be told."""
        self._linger_s = HURRY_S

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return what has come, waiting in all as long as the phase allows."""
        if self._phase is Phase.OVER:
            return b""
        if self._unread:
            return self._again(size)
        left_s = self._allowed_s() - self._waited_s
        if left_s <= 0:
            return self._late()
        began_s = time.monotonic()
        try:
            if self._phase is not Phase.BODY and not self._received:
                # Of a head that is only to come nothing is there: to ask would be in vain.
                watcher = self._read_event  # type: ignore[attr-defined]  # gevent's stubs omit it
                self._load.waits_of(self._within_s).until_ready(watcher)
            self.settimeout(left_s)
            data: bytes = super().recv(size, flags)
        except TimeoutError:
            return self._late()
        self._waited_s += time.monotonic() - began_s
        if not data:
            self._is_gone = True
            self._phase = Phase.OVER
            return b""
        self._note(len(data))
        return data

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        """Send all of `data`, as long as the client takes some of it now and then."""
        left = memoryview(data)
        with suppress(BlockingIOError):
            # Nearly always there is room for all of it, and nothing to be waited for.
            sent = self._sock.send(left, flags)  # type: ignore[attr-defined]  # gevent's stubs omit it
            self._sent += sent
            left = left[sent:]
        while left:
            began_s = time.monotonic()
            patience = self._patience
            allowed_s = patience.send_s + self._sent / patience.bytes_per_s_min
            self.settimeout(max(0.0, min(patience.send_s, allowed_s - self._blocked_s)))
            try:
                sent = super().send(left, flags)
            except (TimeoutError, BlockingIOError) as error:
                self._hang_up()
                reason = "The client takes nothing."
                raise ConnectionResetError(errno.ECONNRESET, reason) from error
            self._blocked_s += time.monotonic() - began_s
            self._sent += sent
            left = left[sent:]

    def close(self) -> None:
        """Close; what the client is still sending is thrown away, so that it can read.

        To close with bytes unread is a reset (RFC 9112, 9.6), and a client that is reset
        while it sends does not see why it was refused.
        """
        self._load.idle.pop(self, None)
        self._load.bodies_bytes -= self._counted
        self._counted = 0
        if not self._is_gone:
            self._is_gone = True
            self._linger()
        super().close()

    def _again(self, size: int) -> bytes:
        data, self._unread = self._unread[:size], self._unread[size:]
        if self._phase is Phase.IDLE:
            # A request that came together with the one before it.
            self._load.idle.pop(self, None)
            self._enter(Phase.HEAD, self._patience.head_s)
        return data

    def _enter(self, phase: Phase, within_s: float) -> None:
        self._phase = phase
        self._received = 0
        self._within_s = within_s
        # Only while we wait: a client is not late because we look at its body late.
        self._waited_s = 0.0

    def _allowed_s(self) -> float:
        if self._phase is not Phase.BODY:
            return self._within_s
        earned_s = self._received / self._patience.bytes_per_s_min
        return min(self._within_s, max(self._patience.grace_s, earned_s))

    def _late(self) -> bytes:
        phase, self._phase = self._phase, Phase.OVER
        if phase is Phase.BODY:
            self._say_close()
            raise BodyLateError
        if self._is_first and self._received:
            raise HeadLateError
        self._is_gone = phase is Phase.IDLE or not self._received
        return b""

    def _note(self, size: int) -> None:
        if self._phase is Phase.IDLE:
            self._load.idle.pop(self, None)
            self._enter(Phase.HEAD, self._patience.head_s)
        self._received += size
        if self._phase is Phase.BODY:
            self._count(size)
        elif self._received > HEAD_BYTES_MAX:
            self._phase = Phase.OVER
            if self._is_first:
                raise HeadTooLargeError
        self._since_turn += size
        if self._since_turn > TURN_BYTES:
            self._since_turn = 0
            gevent.sleep(0)

    def _count(self, size: int) -> None:
        """Count what has come of a body, together with all others that are here."""
        self._counted += size
        self._load.bodies_bytes += size
        if self._load.bodies_bytes > self._load.bodies_bytes_max:
            self._phase = Phase.OVER
            self._say_close()
            raise CrowdedError

    def _hang_up(self) -> None:
        self._is_gone = True
        self._phase = Phase.OVER
        self._shut(plain.SHUT_RDWR)

    def _linger(self) -> None:
        until_s = time.monotonic() + self._linger_s
        self._shut(plain.SHUT_WR)
        try:
            while (left_s := until_s - time.monotonic()) > 0:
                self.settimeout(left_s)
                if not super().recv(LINGER_READ_BYTES):
                    return
                gevent.sleep(0)
        except OSError:
            return  # gone, or too slow

    def _shut(self, how: int) -> None:
        """Shut the socket itself: gevent's own way fails whoever waits for it to speak."""
        try:
            self._sock.shutdown(how)  # type: ignore[attr-defined]  # gevent's stubs omit it
        except OSError:
            return  # the client was quicker
