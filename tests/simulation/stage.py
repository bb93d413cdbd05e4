"""The stage: a virtual clock, and a scheduler that lets one task at a time take one step.

Tasks are greenlets running the house's own code. They stop at the seams (a mint, an
upstream, a read, a commit, a sleep), and of those whose time has come the chance of a seed
picks who goes on. So a run is a function of its seed and of nothing else.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import gevent
from gevent.event import Event as Signal

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
STEP_S_MAX = 0.02
ROUNDS_MAX = 200


class Died(gevent.GreenletExit):
    """The process of this task was killed: nothing it does from now on reaches anybody."""


class ViolationError(AssertionError):
    """Something was seen that must never be."""


@dataclass(eq=False)
class Process:
    """What is killed as a whole; what is written down outlives it."""

    name: str
    is_alive: bool = True


@dataclass(eq=False, slots=True)
class _Parked:
    process: Process
    what: str
    due_s: float
    wake: Callable[[], object]


@dataclass
class Told:
    """How often something happened, by name; it shows whether a run has seen much."""

    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1


class Stage:
    """Everything that a run shares; `is_wild` tells whether anything may fail just now."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311  # it is meant to be repeated
        self.now_s = 0.0
        self._off_s = 0.0
        self.steps = 0
        self.is_wild = True
        self.trace: list[str] = []
        self.told = Told()
        self.troubles: list[BaseException] = []
        self._parked: list[_Parked] = []
        self._nature = Process("world")

    def now(self) -> datetime:
        """Tell what the machines' clocks show, which is not always what it is."""
        return START + timedelta(seconds=self.now_s + self._off_s)

    def set_clocks(self, off_s: float) -> None:
        """Let the machines' clocks jump to be off by so much; time itself goes on."""
        self.note("world", f"the clocks are off by {off_s:.0f} s")
        self.told.count("clock jumps")
        self._off_s = off_s

    def clock(self) -> float:
        return self.now_s

    def new_id(self) -> UUID:
        return UUID(int=self.chance.getrandbits(128), version=4)

    def happens(self, probability: float) -> bool:
        """Tell whether something that may go wrong does."""
        return self.is_wild and self.chance.random() < probability

    def note(self, who: str, what: str) -> None:
        self.trace.append(f"{self.now_s:10.3f} {who}: {what}")

    def cross(self, process: Process, what: str) -> None:
        """Stop here until it is this task's turn; raises `Died` when its process was killed."""
        self.sleep(process, 0.0, what)

    def sleep(self, process: Process, seconds: float, what: str = "sleep") -> None:
        if not process.is_alive:
            raise Died
        signal = Signal()
        due_s = self.now_s + seconds
        self._parked.append(_Parked(process, what, due_s, signal.set))
        signal.wait()
        if not process.is_alive:
            raise Died

    def later(self, seconds: float, what: str, act: Callable[[], object]) -> None:
        """Let something happen by itself in a while, whoever is dead by then."""
        self._parked.append(_Parked(self._nature, what, self.now_s + seconds, act))

    def begin(self, run: Callable[[], object]) -> None:
        """Start a task; it takes its first step when its turn comes at the first seam."""

        def guarded() -> None:
            try:
                run()
            except Died:
                return
            except AssertionError as trouble:
                self.troubles.append(trouble)

        gevent.spawn(guarded)
        self.settle()

    def kill(self, process: Process) -> None:
        """Kill a process wherever its tasks are: each unwinds without touching the world."""
        process.is_alive = False
        self.note(process.name, "KILLED")
        self.told.count("kills")
        while dying := [each for each in self._parked if each.process is process]:
            for each in dying:
                self._parked.remove(each)
                each.wake()
            self.settle()

    def end(self) -> None:
        """End every task there is, so that the next run begins on an empty stage."""
        self._parked = [each for each in self._parked if each.process is not self._nature]
        while self._parked:
            self.kill(self._parked[0].process)

    def step(self) -> bool:
        """Let one task go on to its next seam; False if there is none that could."""
        if not self._parked:
            return False
        ready = [each for each in self._parked if each.due_s <= self.now_s]
        if not ready:
            self.now_s = min(each.due_s for each in self._parked)
            ready = [each for each in self._parked if each.due_s <= self.now_s]
        chosen = ready[self.chance.randrange(len(ready))]
        self._parked.remove(chosen)
        self.steps += 1
        self.now_s += self.chance.random() * STEP_S_MAX
        self.note(chosen.process.name, chosen.what)
        chosen.wake()
        self.settle()
        if self.troubles:
            raise self.troubles[0]
        return True

    def settle(self) -> None:
        """Let all run on that can, until each task waits at a seam or for another one."""
        loop: Any = gevent.get_hub().loop
        for _ in range(ROUNDS_MAX):
            if self._parked:
                gevent.sleep(0)
            else:
                # A task that is about to start another thread waits for a timer.
                gevent.idle()
            if not loop._callbacks:  # whoever could run on would be among them
                return
        raise ViolationError("a task runs on and on, and comes to no seam")
