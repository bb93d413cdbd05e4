"""The parts of the API that a provider has, as its own answers tell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.cashier.attempt import Refusal
from app.cashier.documents import parsed
from app.gateways.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.gateways.upstream import Upstream

KNOWN_S = 3600.0
"""How long it is not asked again for what it had not."""

LOOKING_S = 60.0
NOTHING = b"{}"
JSON = {"content-type": "application/json"}


class Parts:
    """Remembers which addresses one provider has served, and which it knows nothing of.

    What was not there may come, so that is forgotten after a while. What has served before
    is there: then "not found" was about the request.
    """

    def __init__(self, upstream: Upstream, clock: Callable[[], float] = time.monotonic) -> None:
        self._upstream = upstream
        self._clock = clock
        self._known: dict[str, tuple[bool, float]] = {}

    def has(self, path: str) -> bool | None:
        """Tell whether `path` is there; None if nobody has found out."""
        is_there, until_s = self._known.get(path, (False, float("-inf")))
        return is_there if self._clock() < until_s else None

    def found(self, path: str) -> None:
        """Say that `path` has served."""
        self._known[path] = (True, self._clock() + KNOWN_S)

    def missed(self, path: str) -> bool:
        """Say that there was no such address as `path`; tell whether that is believed."""
        if self.has(path):
            return False
        self._known[path] = (False, self._clock() + KNOWN_S)
        return True

    def look(self, path: str) -> bool | None:
        """Find out whether `path` is there, by asking it for nothing; return what `has` does.

        An honest provider answers what is wrong with the request. Anybody may have us look,
        so each path is looked for once a minute; meanwhile it counts as there.
        """
        self._known[path] = (True, self._clock() + LOOKING_S)
        try:
            answer = self._upstream.post(path, NOTHING, JSON)
            refusal = Refusal.read(answer)
        except GatewayError:
            return None
        hidden = Refusal.hidden_in(parsed(refusal.body), refusal.headers, refusal.body)
        if (hidden or refusal).is_of_the_address:
            del self._known[path]
            self.missed(path)
        return self.has(path)
