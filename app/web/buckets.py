"""Buckets: how much of something each name may have a minute, filled evenly all the time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

MINUTE_S = 60.0
NAMES_MAX = 50_000


class Buckets:
    """One bucket for each name, of which the last `names_max` are remembered.

    A full one holds `per_minute` and fills at that rate, so that nobody has to wait for a
    minute to begin. What was taken can be corrected once it is known, which no library's
    window can do: it may fall below nothing then, and is waited for. A bucket that is
    forgotten is full, as it would be after a minute's rest. In this process only.
    """

    def __init__(
        self,
        per_minute: int,
        clock: Callable[[], float] = time.monotonic,
        names_max: int = NAMES_MAX,
    ) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._names_max = names_max
        # What each held, and when; the one used last is at the end.
        self._held: dict[Hashable, tuple[float, float]] = {}

    def take(self, name: Hashable, amount: int) -> float:
        """Take `amount` and return 0, or take nothing and return the seconds to wait.

        More than a full bucket is infinitely long to wait for.
        """
        held = self._of(name)
        if amount <= held:
            self._put(name, held - amount)
            return 0.0
        if amount > self.per_minute:
            return float("inf")
        return (amount - held) * MINUTE_S / self.per_minute

    def correct(self, name: Hashable, amount: int) -> None:
        """Give `amount` back, or take that much more if it is negative."""
        self._put(name, min(self._of(name) + amount, self.per_minute))

    def left(self, name: Hashable) -> int:
        """Return how much could be taken at once."""
        return max(0, int(self._of(name)))

    def full_in_s(self, name: Hashable) -> float:
        """Return the seconds until the bucket is full."""
        return (self.per_minute - self._of(name)) * MINUTE_S / self.per_minute

    def hold(self, per_minute: int) -> None:
        """Let each hold so much from now on; what was taken of it stays taken."""
        if per_minute == self.per_minute:
            return
        more = per_minute - self.per_minute
        now_s = self._clock()
        self._held = {name: (self._of(name) + more, now_s) for name in self._held}
        self.per_minute = per_minute

    def _of(self, name: Hashable) -> float:
        found = self._held.get(name)
        if found is None:
            return self.per_minute
        held, at_s = found
        gained = (self._clock() - at_s) * self.per_minute / MINUTE_S
        return min(held + gained, self.per_minute)

    def _put(self, name: Hashable, held: float) -> None:
        self._held.pop(name, None)
        self._held[name] = (held, self._clock())
        if len(self._held) > self._names_max:
            del self._held[next(iter(self._held))]
