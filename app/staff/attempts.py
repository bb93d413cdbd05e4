"""How often passwords may be tried, counted in the store: all workers count together."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.store.reads import Query

    Change = Callable[[Callable[[Query], Any]], Any]
    """Runs what changes rows in one transaction, one after the other."""

ADDRESSES_MAX = 10_000
FORGET_AFTER_MS = 3_600_000
MS = 1_000
ALL, TOLD = "all", "told"
READ = "SELECT attempts, newest_ms FROM sign_in_attempt WHERE source = ?"
WRITE = (
    "INSERT INTO sign_in_attempt (source, attempts, newest_ms) VALUES (?, ?, ?)"
    " ON CONFLICT (source) DO UPDATE"
    " SET attempts = excluded.attempts, newest_ms = excluded.newest_ms"
)
DROP = "DELETE FROM sign_in_attempt WHERE source = ?"
DROP_OLDEST = (
    "DELETE FROM sign_in_attempt WHERE source IN"
    " (SELECT source FROM sign_in_attempt ORDER BY newest_ms LIMIT ?)"
)


class Pace(NamedTuple):
    """How long a source of attempts must wait: twice as long each time.

    The first `free` attempts wait for nothing, and none waits longer than `wait_s_max`.
    """

    free: int
    wait_s_max: int

    def left_ms(self, attempts: int, newest_ms: int, now_ms: int) -> int:
        """Return for how long no further attempt is looked at."""
        if attempts < self.free:
            return 0
        # Beyond 2**20 seconds every limit is passed anyway.
        wait_s = min(1 << min(attempts - self.free, 20), self.wait_s_max)
        return max(0, newest_ms + wait_s * MS - now_ms)


ONE, TOGETHER = Pace(free=5, wait_s_max=900), Pace(free=20, wait_s_max=8)
"""Over all addresses the wait is short, or strangers could keep the operator out."""


class Allowed(NamedTuple):
    """Whether an attempt may be made: it must wait `wait_s`, or is counted if that is 0.

    `is_news` is set once an hour, when somebody has begun to wait.
    """

    wait_s: float
    is_news: bool


class Attempts:
    """Slows down guessing, for each address and over all of them."""

    def __init__(self, change: Change, clock: Callable[[], float] = time.time) -> None:
        self._change = change
        self._clock = clock

    def count(self, address: str) -> Allowed:
        """Count an attempt from `address`, unless it must wait.

        It is counted before it is looked at: a hundred at once are a hundred attempts.
        """
        source, now_ms = _source(address), int(self._clock() * MS)
        found: Allowed = self._change(lambda query: _counted(query, source, now_ms))
        return found

    def forgive(self, address: str) -> None:
        """Forget the attempts of `address`, from which a password was named."""

        def forget(query: Query) -> None:
            for source in (_source(address), ALL):
                query(DROP, [source])

        self._change(forget)


def _counted(query: Query, source: str, now_ms: int) -> Allowed:
    own, together = _read(query, source, now_ms), _read(query, ALL, now_ms)
    left_ms = max(ONE.left_ms(*own, now_ms), TOGETHER.left_ms(*together, now_ms))
    if left_ms:
        is_news = not _read(query, TOLD, now_ms)[0]
        if is_news:
            query(WRITE, [TOLD, 1, now_ms])
        return Allowed(left_ms / MS, is_news)
    query(WRITE, [source, own[0] + 1, now_ms])
    query(WRITE, [ALL, together[0] + 1, now_ms])
    count = query("SELECT COUNT(*) FROM sign_in_attempt")[0][0]
    if count > ADDRESSES_MAX:
        query(DROP_OLDEST, [count - ADDRESSES_MAX])
    return Allowed(0, is_news=False)


def _read(query: Query, source: str, now_ms: int) -> tuple[int, int]:
    found = query(READ, [source])
    # What is in the future was written by a clock that was wrong.
    if not found or not 0 <= now_ms - found[0][1] <= FORGET_AFTER_MS:
        return 0, 0
    return found[0]


def _source(address: str) -> str:
    # Who tried is nobody's business after the hour; equal addresses are counted together.
    return hashlib.sha256(f"sign in from {address}".encode()).hexdigest()[:32]
