"""Child processes that live and die together."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
RESTART_PAUSE_S = 1.0
STOP_MIN_S = 1.0
PR_SET_PDEATHSIG = 1
"""From Linux' prctl(2): the signal to be sent when the starter of a process has ended."""


@dataclass
class Child:
    """One program: whether it is started again when it ends, and where its output goes.

    Of our own environment it gets the variables in `inherited`; all of it if that is `None`.
    With `ends_with_us` it is told to end when we are killed and can tell it nothing; then it
    must be started by the main thread.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    restart: bool = False
    log_path: Path | None = None
    directory: Path | None = None
    inherited: Sequence[str] | None = None
    ends_with_us: bool = False
    process: subprocess.Popen[bytes] | None = None
    started_at_s: float = 0.0

    def start(self) -> None:
        output = None if self.log_path is None else self.log_path.open("ab")
        self.started_at_s = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603  (our own programs, no shell)
            self.argv,
            cwd=self.directory,
            env={**self._inherited(), **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            preexec_fn=_telling_it_to_end() if self.ends_with_us else None,  # noqa: PLW1509
        )
        if output is not None:
            output.close()

    @property
    def code(self) -> int | None:
        """Return what it ended with, `None` while it runs."""
        return None if self.process is None else self.process.poll()

    def _inherited(self) -> Mapping[str, str]:
        if self.inherited is None:
            return os.environ
        return {name: os.environ[name] for name in self.inherited if name in os.environ}


class Processes:
    """Starts children and ends them all: in the reverse order, each given time to drain."""

    def __init__(self, stop_within_s: float) -> None:
        self._children: list[Child] = []
        self._stop_within_s = stop_within_s
        self._stopping = False
        self._interrupts = False
        self._starting = False

    def start(self, child: Child) -> Child:
        self._children.append(child)
        self._starting = True
        child.start()
        self._starting = False
        if self._stopping and self._interrupts:
            raise KeyboardInterrupt
        return child

    def stop_on_signals(self) -> None:
        """Let SIGTERM and SIGINT end `wait`, and so everything."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def interrupt_on_signals(self) -> None:
        """Let the first SIGTERM, SIGINT or SIGHUP raise `KeyboardInterrupt` wherever we are.

        Only while a child is being started it waits: no child must be lost from sight. The
        signals that come after it do nothing, so that `stop` runs to its end.
        """
        self._interrupts = True
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._interrupt)

    def ended(self) -> Child | None:
        """Return a child that has ended by itself, if any has."""
        return next((child for child in self._children if child.code is not None), None)

    def wait(self, until: Callable[[], bool] = lambda: False) -> int:
        """Wait for a signal, for `until`, or for a child that ends and is not started again.

        Returns that child's exit code, 0 for the others. A child with `restart` set is
        started again, after a pause if it had not run for long.
        """
        while not self._stopping and not until():
            for child in self._children:
                if child.code is None:
                    continue
                if not child.restart:
                    return child.code or 0
                logger.warning("%s ended with %s, starting it again", child.name, child.code)
                time.sleep(max(0.0, child.started_at_s + RESTART_PAUSE_S - time.monotonic()))
                child.start()
            time.sleep(LOOK_EVERY_S)
        return 0

    def stop(self) -> None:
        """End every child, newest first; kill what has not ended in time.

        One is told to end when the newer ones have ended: they may still need it to drain.
        """
        self._stopping = True
        until_s = time.monotonic() + self._stop_within_s
        for child in reversed(self._children):
            if child.process is None or child.code is not None:
                continue
            child.process.terminate()
            try:
                child.process.wait(max(STOP_MIN_S, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            return
        self._stopping = True
        if not self._starting:
            raise KeyboardInterrupt


def _telling_it_to_end() -> Callable[[], object] | None:
    """Return what a child does first, so that it is sent SIGTERM when we die; Linux only."""
    # Looked up here: between fork and exec nothing may be imported or allocated in vain.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return None if prctl is None else partial(prctl, PR_SET_PDEATHSIG, signal.SIGTERM)
