"""Telling another program of every movement of money: signed, in order, at least once."""

from __future__ import annotations

import hmac
import json
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests

from app.store.sheet_tables import FOLLOWED, FOLLOWS
from projections.telling import telling

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.store.opening import Store

logger = logging.getLogger(__name__)

FOLLOWER = "webhook"
TIMEOUT_S = 10.0
PAUSE_MAX_S = 900.0
PAUSE_FIRST_S = 5.0
ROUND_MAX = 500
"""Events told in one round, so that other jobs of the back office get their turn."""

BEGIN = "INSERT INTO follower (name, position) VALUES (?, ?) ON CONFLICT DO NOTHING"
SIGNATURE = "Tallystick-Signature"


class Webhooks:
    """Posts each event that moves money to `url`, the next one only when this one was taken.

    The body is the event as JSON. `Tallystick-Signature: t=<unix time>,v1=<hex>` is an
    HMAC-SHA256 under `secret` over `<unix time>.<body>`. Any answer of 2xx takes it; after
    anything else the same event is told again, after a pause that doubles. It is told twice
    when we die between the answer and our own note of it: `position` says so.

    Whoever is first told begins at the log's end: the past is for exports.
    """

    def __init__(
        self,
        url: str,
        secret: bytes,
        store: Store,
        session: requests.Session,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._secret = secret
        self._store = store
        self._session = session
        self._clock = clock
        self._pause_s = 0.0
        self._again_at_s = 0.0

    def tell(self) -> int:
        """Tell what is new, up to `ROUND_MAX` events; return how many were taken."""
        if self._clock() < self._again_at_s:
            return 0
        after = self._begun()
        taken = 0
        for page in self._store.log(after):
            for position, entry in page:
                told = telling(position, entry)
                if told["postings"] and not self._post(told):
                    self._wait()
                    return taken
                taken += bool(told["postings"])
                self._note(after, position)
                after = position
                if taken >= ROUND_MAX:
                    return taken
        self._pause_s = 0.0
        return taken

    def _begun(self) -> int:
        with self._store.transaction() as query:
            query(BEGIN, [FOLLOWER, self._store.head()])
        return self._store.follower_position(FOLLOWER)

    def _note(self, after: int, position: int) -> None:
        with self._store.transaction() as query:
            query(FOLLOWS, [FOLLOWER])
            query(FOLLOWED, [position, FOLLOWER, after])

    def _post(self, told: dict[str, Any]) -> bool:
        body = json.dumps(told, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            SIGNATURE: signature(self._secret, int(self._clock()), body),
        }
        try:
            answer = self._session.post(
                self._url,
                data=body,
                headers=headers,
                timeout=TIMEOUT_S,
                allow_redirects=False,
                stream=True,
            )
            status = answer.status_code
            answer.close()
        except requests.RequestException as error:
            logger.warning("webhook at %d: %s", told["position"], type(error).__name__)
            return False
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return True
        logger.warning("webhook at %d: answered %d", told["position"], status)
        return False

    def _wait(self) -> None:
        self._pause_s = min(PAUSE_MAX_S, self._pause_s * 2 or PAUSE_FIRST_S)
        self._again_at_s = self._clock() + self._pause_s


def signature(secret: bytes, at_s: int, body: bytes) -> str:
    """Return the value of the header that says a telling is ours.

    >>> signature(b"secret", 1, b"{}")[:20]
    't=1,v1=1122767b19311'
    """
    mac = hmac.digest(secret, f"{at_s}.".encode() + body, "sha256").hex()
    return f"t={at_s},v1={mac}"
