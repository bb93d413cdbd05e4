"""Waiting for connections under gevent: a limit for each wait, and one timer for all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gevent import get_hub, getcurrent

if TYPE_CHECKING:
    from greenlet import greenlet


class Waits:
    """Lets greenlets wait for their connections, each for at most `longest_s` seconds.

    gevent makes a timer for every wait, starts it and ends it, which takes as long as the
    reading. Here all may wait equally long: who began first is late first, and one timer
    that looks at the first is enough for everybody.
    """

    __slots__ = ("_longest_s", "_since_s", "_timer")

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        # In the order in which they began.
        self._since_s: dict[greenlet, float] = {}
        self._timer: Any = None

    def until_ready(self, watcher: Any) -> None:
        """Wait for what `watcher` watches; raises `TimeoutError`."""
        waiting = getcurrent()
        self._since_s[waiting] = time.monotonic()
        if self._timer is None:
            self._look_in(self._longest_s)
        try:
            get_hub().wait(watcher)
        finally:
            self._since_s.pop(waiting, None)

    def _look_in(self, seconds: float) -> None:
        self._timer = get_hub().loop.timer(seconds, ref=False)
        self._timer.start(self._look, update=True)

    def _look(self) -> None:
        """Let go of those who are late, and look again when the next one is."""
        self._timer.close()
        self._timer = None
        latest_s = time.monotonic() - self._longest_s
        late: list[tuple[greenlet, float]] = []
        for waiting, since_s in self._since_s.items():
            if since_s > latest_s:
                self._look_in(since_s - latest_s)
                break
            late.append((waiting, since_s))
        for waiting, since_s in late:
            # Who is thrown into may make others go on: they are not to be thrown out of what
            # they do then, which may be a commit.
            if self._since_s.get(waiting) == since_s:
                del self._since_s[waiting]
                waiting.throw(TimeoutError("timed out"))
