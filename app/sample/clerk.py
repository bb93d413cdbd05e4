"""Decides the commands of a sample as a store does, at the sample's own time and in memory."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from domain.batch import decide
from domain.errors import LedgerBrokenError, LedgerError
from domain.guards import GuardRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from domain.command import Command
    from domain.event import Entry


class Clerk:
    """Keeps all guard rows, and the entries that nobody has taken over yet.

    Every entry is decided by the very rules of the house; `now` is when.
    """

    def __init__(self, begin: datetime) -> None:
        self.rows = GuardRows()
        self.now = begin
        self.count = 0
        self._entries: list[Entry] = []

    def record(self, command: Command) -> Entry:
        """Return what `command` comes to, or raise its own `LedgerError`."""
        answer = decide([command], self.rows, self.now, {}).answers[0]
        if isinstance(answer, LedgerError):
            raise answer
        if answer is None:
            raise LedgerBrokenError("a sample repeats no command")
        self._entries.append(answer)
        self.count += 1
        return answer

    def hand_over(self) -> list[Entry]:
        """Return what was recorded since this was asked before."""
        entries, self._entries = self._entries, []
        return entries


class Agenda:
    """What is still to happen, in the order of its time."""

    def __init__(self, clerk: Clerk) -> None:
        self._clerk = clerk
        self._acts: list[tuple[datetime, int, Callable[[], object]]] = []
        self._noted = 0

    def note(self, after: timedelta, act: Callable[[], object]) -> None:
        """Let `act` happen some time after now."""
        self._noted += 1
        heappush(self._acts, (self._clerk.now + after, self._noted, act))

    def run(self, until: datetime) -> None:
        """Do all that is due before `until`, which is now from then on."""
        while self._acts and self._acts[0][0] < until:
            at, _, act = heappop(self._acts)
            self._clerk.now = at
            act()
        self._clerk.now = until
