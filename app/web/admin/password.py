"""The password that opens the auditor's view, and how often it may be tried."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable

# What OWASP names as the least that is enough; only one verification runs at a time, so
# that this is all the memory that guessing can take.
MEMORY_KIB, PASSES = 19_456, 2
ADDRESSES_MAX = 10_000
FORGET_AFTER_S = 3600.0


class Password:
    """Keeps the argon2id hash of a password, made at the start, and not the password."""

    def __init__(self, password: str) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        self._hash = self._hasher.hash(password)

    def is_right(self, attempt: str) -> bool:
        """Tell whether `attempt` is the password; takes as long whatever it is."""
        try:
            return self._hasher.verify(self._hash, attempt)
        except VerifyMismatchError:
            return False


class Pace:
    """How long one source of wrong passwords must wait: twice as long each time.

    The first `free` attempts wait for nothing, and none waits longer than `wait_s_max`.
    """

    def __init__(self, free: int, wait_s_max: float) -> None:
        self._free = free
        self._wait_s_max = wait_s_max
        self.attempts = 0
        self.newest_s = 0.0

    def left_s(self, now_s: float) -> float:
        """Return for how many seconds no further attempt is looked at."""
        if self.attempts < self._free:
            return 0.0
        # Beyond 2**20 seconds every limit is passed anyway.
        wait_s = float(1 << min(self.attempts - self._free, 20))
        return max(0.0, self.newest_s + min(wait_s, self._wait_s_max) - now_s)

    def count(self, now_s: float) -> None:
        self.attempts += 1
        self.newest_s = now_s


class Throttle:
    """Slows down guessing, for each address and over all of them, in this process.

    Every worker counts for itself: with four of them a guesser gets four times as far. Over
    all addresses the wait is short, or strangers could keep the operator out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all = Pace(free=20, wait_s_max=8)
        self._paces: dict[str, Pace] = {}

    def wait_s(self, address: str) -> float:
        """Return how long `address` must wait; 0 counts the attempt it may make now.

        It is counted before it is looked at: a hundred at once are a hundred attempts.
        """
        now_s = self._clock()
        pace = self._paces.pop(address, None) or Pace(free=5, wait_s_max=900)
        if now_s - pace.newest_s > FORGET_AFTER_S:
            pace.attempts = 0
        if now_s - self._all.newest_s > FORGET_AFTER_S:
            self._all.attempts = 0
        self._paces[address] = pace
        if len(self._paces) > ADDRESSES_MAX:
            del self._paces[next(iter(self._paces))]
        left_s = max(pace.left_s(now_s), self._all.left_s(now_s))
        if not left_s:
            pace.count(now_s)
            self._all.count(now_s)
        return left_s

    def forgive(self, address: str) -> None:
        """Forget the attempts of `address`, which has named the password."""
        self._paces.pop(address, None)
        self._all.attempts = 0
