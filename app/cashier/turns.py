"""Taking turns at the same thing, while different things go on beside each other."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

STEPS_MAX = 6
"""Steps of one movement that are taken for one caller before it is told to ask again."""

PAUSE_S = 0.3
"""How long a mint is left alone before it is asked for other outputs."""


class Turns:
    """A lock for each key somebody is at; under gevent it is greenlets that wait."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._waiting: dict[Hashable, tuple[Lock, int]] = {}

    @contextmanager
    def at(self, key: Hashable) -> Iterator[None]:
        """Hold the turn at `key`; it is forgotten when nobody waits for it."""
        with self._guard:
            lock, count = self._waiting.get(key, (Lock(), 0))
            self._waiting[key] = (lock, count + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, count = self._waiting[key]
                if count == 1:
                    del self._waiting[key]
                else:
                    self._waiting[key] = (lock, count - 1)
