"""Spares a mint, and us a mint that does not answer: few at once, pauses, a breaker."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Semaphore
from typing import TYPE_CHECKING

from app.gateways.errors import (
    GatewayError,
    MintBusyError,
    MintLimitError,
    MintPausedError,
    MintUnknownError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAUSE_MAX_S = 600.0
BUSY_RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What one process does at one mint.

    `at_once_max` requests go on at a time, `waiting_max` more wait for at most `wait_s`.
    After `failures_max` requests in a row without an answer the mint is left alone for
    `pause_s`, each further time for twice as long, up to `PAUSE_MAX_S`. One that says 429
    and not for how long is left alone for `limited_pause_s`.
    """

    at_once_max: int = 8
    waiting_max: int = 32
    wait_s: float = 5.0
    failures_max: int = 5
    pause_s: float = 5.0
    limited_pause_s: float = 10.0


class Gate:
    """The way to one mint. Who is not let through has certainly sent nothing.

    A mint that says 429 is left alone for as long as it says. One that gives no answers is
    left alone, then asked by one request alone (half open): if that is answered, whatever
    the answer, the way is free again. So a mint that is slow or dead ties up no more than
    `at_once_max` requests of a process, and not each that comes.
    """

    def __init__(
        self,
        host: str,
        limits: GateLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        count: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        self._host = host
        self._count = count
        self._limits = limits or GateLimits()
        self._clock = clock
        self._slots = Semaphore(self._limits.at_once_max)
        self._lock = Lock()
        self._inside = 0
        self._failures = 0
        self._is_probing = False
        self._silent_until_s = self._limited_until_s = 0.0

    def expect_open(self) -> None:
        """Raise a `MintPausedError` if a request would not be let through just now."""
        with self._lock:
            self._expect_open()
            self._expect_room()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let one request through, and learn from how it ends.

        Raises a `MintPausedError`: then nothing was sent.
        """
        with self._lock:
            self._expect_open()
            self._expect_room()
            self._inside += 1
        try:
            if not self._slots.acquire(timeout=self._limits.wait_s):
                raise MintBusyError(self._host, BUSY_RETRY_S)
            try:
                yield from self._passing()
            finally:
                self._slots.release()
        finally:
            with self._lock:
                self._inside -= 1

    def _passing(self) -> Iterator[None]:
        with self._lock:
            # The mint may have fallen silent while this one waited.
            self._expect_open()
            is_probe = self._is_probing = self._is_tripped
        try:
            yield
        except MintLimitError as error:
            self._limited(error.retry_after_s)
            raise
        except GatewayError as error:
            self._ended(is_answer=not _is_silence(error))
            raise
        else:
            self._ended(is_answer=True)
        finally:
            if is_probe:
                self._is_probing = False

    @property
    def _is_tripped(self) -> bool:
        return self._failures >= self._limits.failures_max

    def _expect_open(self) -> None:
        now_s = self._clock()
        if now_s < self._limited_until_s:
            raise MintBusyError(self._host, self._limited_until_s - now_s)
        if self._is_tripped and (now_s < self._silent_until_s or self._is_probing):
            raise MintPausedError(self._host, max(self._silent_until_s - now_s, BUSY_RETRY_S))

    def _expect_room(self) -> None:
        if self._inside >= self._limits.at_once_max + self._limits.waiting_max:
            raise MintBusyError(self._host, BUSY_RETRY_S)

    def _limited(self, retry_after_s: float | None) -> None:
        pause_s = self._limits.limited_pause_s if retry_after_s is None else retry_after_s
        self._count("limited")
        with self._lock:
            self._failures = 0
            self._limited_until_s = self._clock() + min(pause_s, PAUSE_MAX_S)

    def _ended(self, *, is_answer: bool) -> None:
        if not is_answer:
            self._count("silent")
        with self._lock:
            self._failures = 0 if is_answer else self._failures + 1
            if self._is_tripped:
                times = self._failures - self._limits.failures_max
                pause_s = self._limits.pause_s * 2.0 ** min(times, 16)
                self._silent_until_s = self._clock() + min(pause_s, PAUSE_MAX_S)


def _is_silence(error: GatewayError) -> bool:
    """Tell whether a mint gave no answer of its own: with a code it is well, if unwilling."""
    if isinstance(error, MintUnknownError):
        return error.code is None
    return isinstance(error, UnreachableError)
