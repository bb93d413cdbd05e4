"""How far behind a worker is: how long what could go on waits for its turn."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import gevent
from gevent.lock import Semaphore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACE = "tallystick.pace"
"""Where the application finds the pace of its worker, in the environment of a request."""

LOOK_EVERY_S = 0.02
TELL_EVERY_S = 1.0
HOLDS_MAX = 32
REQUESTS_MIN = 32
"""So few are let in whatever the delay: it may be another program that is in their way."""


class Pace:
    """Tells whether more is asked of a worker than it can do.

    A greenlet that could go on waits while all others that can take their turns: one that
    only sleeps is woken the later the more there is to do. And a request waits for its hold
    to be durable the longer, the more are to be written. While either takes longer than
    `late_s`, the worker is behind: a further request would make all of them later still. It
    takes nothing on then, and finishes what it has at its full speed. How long clients, mints
    and upstreams take is not in it. With 0 it never is behind.
    """

    def __init__(self, late_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._late_s = late_s
        self._clock = clock
        self._due_s = clock()
        self._delay_s = 0.0
        self._slots = Semaphore(HOLDS_MAX)
        # Of those whose holds are being written, in the order of their age.
        self._since_s: dict[object, float] = {}
        self._refused, self._told_at_s = 0, float("-inf")

    def run(self) -> None:
        """Take one turn after the other, for as long as the worker lives."""
        while True:
            self.sleep()
            gevent.sleep(LOOK_EVERY_S)
            self.wake()

    def sleep(self) -> None:
        self._due_s = self._clock() + LOOK_EVERY_S

    def wake(self) -> None:
        self._delay_s = self._clock() - self._due_s

    def is_behind(self, requests: int) -> bool:
        """Tell whether a worker with so many requests in progress is to take on no more.

        The turn that is due just now counts as well, or all would be let in that come while
        a long one lasts.
        """
        if not self._late_s or requests < REQUESTS_MIN:
            return False
        now_s = self._clock()
        oldest_s = next(iter(self._since_s.values()), now_s)
        return max(self._delay_s, now_s - self._due_s, now_s - oldest_s) > self._late_s

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let a request's hold be written when its turn comes; how long it waits is noted.

        A few at a time, in the order they came: of hundreds at once each would be as late
        as the last, and what is in progress already would wait for all of them.
        """
        request = object()
        self._since_s[request] = self._clock()
        try:
            if not self._late_s:
                yield
                return
            with self._slots:
                yield
        finally:
            del self._since_s[request]

    def turned_away(self) -> int | None:
        """Count a request that was refused; return how many were, at most once a second."""
        self._refused += 1
        now_s = self._clock()
        if now_s - self._told_at_s < TELL_EVERY_S:
            return None
        refused, self._refused, self._told_at_s = self._refused, 0, now_s
        return refused
