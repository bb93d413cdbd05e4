"""How long to wait before the same thing is asked again: longer each time, for each alone."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from uuid import UUID

TRIES_AT_ONCE = 3
"""How often something is asked at every occasion, before it has to wait."""


class Patience:
    """Remembers, in memory, how often each movement was asked about in vain.

    A movement that has gone on since, to another version, is asked about at once. Whoever
    forgets all of it, as a restart does, asks once too often and no more.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        first_s: float = 20.0,
        longest_s: float = 900.0,
    ) -> None:
        self._clock = clock
        self._first_s = first_s
        self._longest_s = longest_s
        self._lock = Lock()
        self._tried: dict[UUID, tuple[int, int, float]] = {}

    def is_due(self, stream: UUID, version: int) -> bool:
        """Tell whether it is time to ask about a movement (again)."""
        with self._lock:
            of_version, _, due_s = self._tried.get(stream, (version, 0, 0.0))
        return of_version != version or self._clock() >= due_s

    def failed(self, stream: UUID, version: int) -> None:
        """Remember that asking brought no end."""
        with self._lock:
            of_version, tries, _ = self._tried.get(stream, (version, 0, 0.0))
            tries = tries + 1 if of_version == version else 1
            late = tries - TRIES_AT_ONCE
            wait_s = min(self._first_s * 2.0 ** min(late, 32), self._longest_s)
            due_s = self._clock() + wait_s if late >= 0 else 0.0
            self._tried[stream] = (version, tries, due_s)

    def forget_all_but(self, streams: Collection[UUID]) -> None:
        """Let go of what has ended."""
        with self._lock:
            kept = self._tried.keys() & set(streams)
            self._tried = {stream: self._tried[stream] for stream in kept}
