"""The breaker of one provider: whether it is worth asking just now."""

from __future__ import annotations

import logging
import time
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

FAILURES_MAX = 5
REST_FIRST_S, REST_MAX_S = 5.0, 60.0
RETRY_AFTER_MAX_S = 600.0
PROBE_MAX_S = 60.0
"""How long one request may find out whether a provider is well, before the next one tries."""


class Standing(Enum):
    """What a provider can be expected to do."""

    READY = auto()
    """It served the last time, or has rested and is to be tried."""
    SHAKY = auto()
    """It failed several times in a row, perhaps by what it was asked: to be asked last."""
    SHUT = auto()
    """It would serve nobody just now, whatever is asked: not to be asked at all."""


class Breaker:
    """Counts a provider's failures in a row, and lets it rest when there are too many.

    Only what no client can bring about shuts a provider: that it cannot be reached, or that
    it refuses our key. By what it is asked, anybody may make it fail, and must not thereby
    close it for everybody else. After its rest one request tries it (half-open); if that
    fails, the next rest is twice as long. A model whose quota is used up rests by itself.
    """

    def __init__(
        self,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        count: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        self._name = name
        self._count = count
        self._clock = clock
        self._failures = 0
        self._is_open = False
        self._is_tried = False
        self._shuts = False
        self._rest_s = REST_FIRST_S
        self._asked_again_at_s = 0.0
        self._models: dict[str, float] = {}

    def standing(self, model: str) -> Standing:
        if self.is_exhausted(model):
            return Standing.SHUT
        if not self._is_open or self._left_s(self._asked_again_at_s) == 0:
            return Standing.READY
        return Standing.SHUT if self._shuts else Standing.SHAKY

    def is_exhausted(self, model: str) -> bool:
        """Tell whether the provider has asked to be left alone with `model`."""
        return self._left_s(self._models.get(model, 0.0)) > 0

    def rest_s(self, model: str) -> float:
        """Return how long it is not asked for `model`, in seconds."""
        until_s = self._asked_again_at_s if self._is_open else 0.0
        return self._left_s(max(until_s, self._models.get(model, 0.0)))

    def ask(self) -> None:
        """Say that it is about to be asked: while one request tries it, others do not."""
        if self._is_open and self._left_s(self._asked_again_at_s) == 0:
            self._is_tried = True
            self._asked_again_at_s = self._clock() + PROBE_MAX_S

    def succeeded(self) -> None:
        """Say that it answered as it should, be it that a request made no sense."""
        if self._is_open:
            logger.info("provider is back", extra={"fields": {"provider": self._name}})
        self._failures, self._is_open, self._rest_s = 0, False, REST_FIRST_S

    def failed(self, *, is_away: bool) -> None:
        """Say that it did not; `is_away` if it would serve nobody just now."""
        self._count("away" if is_away else "failed")
        self._failures += 1
        if not self._is_open and self._failures < FAILURES_MAX:
            return
        if self._is_open and not self._is_tried:
            # Asked before it was left to rest: no news, and no reason for a longer rest.
            return
        self._is_open, self._is_tried, self._shuts = True, False, is_away
        self._asked_again_at_s = self._clock() + self._rest_s
        fields = {"provider": self._name, "failures": self._failures, "rest_s": self._rest_s}
        logger.warning("provider rests", extra={"fields": fields})
        self._rest_s = min(2 * self._rest_s, REST_MAX_S)

    def exhausted(self, model: str, retry_after_s: float) -> None:
        """Say that `model` is to be asked for again after so long, within reason.

        `model` is the id of a price, of which there are so many and no more.
        """
        rest_s = min(max(retry_after_s, 0.0), RETRY_AFTER_MAX_S)
        self._models[model] = self._clock() + rest_s
        self._count("exhausted")
        fields = {"provider": self._name, "model": model, "rest_s": rest_s}
        logger.info("model rests", extra={"fields": fields})

    def _left_s(self, until_s: float) -> float:
        return max(0.0, until_s - self._clock())
