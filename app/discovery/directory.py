"""The directory of providers: what relays tell of them, and whether they answer."""

from __future__ import annotations

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from app.discovery.announcement import ANNOUNCEMENT, KINDS, RECOMMENDATION, announcements
from app.gateways.errors import (
    AddressBarredError,
    FetchBrokenError,
    RelayError,
    UnreachableError,
)
from app.store.nostr_rows import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.discovery.announcement import Announcement
    from app.gateways.guarded import Fetch
    from app.gateways.nostr.event import NostrEvent
    from app.gateways.nostr.relay import Relay
    from app.store.nostr_rows import NostrRows

logger = logging.getLogger(__name__)

PROVIDERS_MAX = 100
EVENTS_MAX = 500
AT_ONCE_MAX = 8
ADDRESSES_MAX = 2
PATIENCE_S = 300.0
JSON_CHARS_MAX = 32 * 1024
ASKED: Final = (("info", "/v1/info"), ("models", "/v1/models"))
FILTERS: Final = (
    {"kinds": list(KINDS), "limit": EVENTS_MAX},
    {"kinds": [RECOMMENDATION], "#k": [str(ANNOUNCEMENT)], "limit": EVENTS_MAX},
)


class Directory:
    """Asks the relays for providers, and each provider whether it answers.

    Anybody can announce as much as he likes under as many keys. So of more than
    `providers_max` those stay that answered the last time, then those are taken that are
    newest: a flood can keep newcomers out, and nobody who is there. Nor does one that lets us
    wait: in a round all are asked for `patience_s` seconds, in that order.
    """

    def __init__(
        self,
        relays: Sequence[Relay],
        fetch: Fetch,
        rows: NostrRows,
        clock: Callable[[], float] = time.time,
        *,
        providers_max: int = PROVIDERS_MAX,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._relays = tuple(relays)
        self._fetch = fetch
        self._rows = rows
        self._clock = clock
        self._providers_max = providers_max
        self._patience_s = patience_s

    def refresh(self) -> int:
        """Write anew what is known of providers; return how many there are.

        While no relay answers, what was known stays.
        """
        with ThreadPoolExecutor(AT_ONCE_MAX, "relay") as threads:
            told = [said for said in threads.map(_told, self._relays) if said is not None]
            if not told:
                return len(self._rows.all(PROVIDERS))
            events = {event.id: event for said in told for event in said}
            found = announcements(events.values(), self._clock())
            known = self._answering()
            found.sort(key=lambda each: (each.address not in known, -each.created_at))
            taken = found[: self._providers_max]
            until_s = time.monotonic() + self._patience_s
            healths = list(threads.map(lambda each: self._health(each, until_s), taken))
        self._rows.replace(
            PROVIDERS,
            [
                (f"{each.pubkey}:{each.id}", json.dumps(each.document()), json.dumps(health))
                for each, health in zip(taken, healths, strict=True)
            ],
        )
        return len(taken)

    def _answering(self) -> set[tuple[str, str]]:
        """Return the addresses of those that answered the last time they were asked."""
        found = set()
        for row in self._rows.all(PROVIDERS):
            if json.loads(row.more)["status_code"] == HTTPStatus.OK:
                pubkey, _, named = row.name.partition(":")
                found.add((pubkey, named))
        return found

    def _health(self, provider: Announcement, until_s: float) -> dict[str, Any]:
        """Return what a provider's first address that answers says, in Routstr's shape."""
        reason = "There was no time to ask it."
        for url in provider.endpoint_urls[:ADDRESSES_MAX]:
            for named, path in ASKED:
                if time.monotonic() >= until_s:
                    break
                try:
                    fetched = self._fetch.get(url.rstrip("/") + path)
                except (AddressBarredError, FetchBrokenError, UnreachableError) as error:
                    reason = str(error)
                    break
                said = _json(fetched.body) if fetched.status == HTTPStatus.OK else None
                if said is not None:
                    return {"status_code": fetched.status, "endpoint": named, "json": said}
                reason = f"It answers with status {fetched.status}."
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        return {"status_code": status, "endpoint": "error", "json": {"error": reason}}


def _told(relay: Relay) -> list[NostrEvent] | None:
    try:
        return relay.fetch(*FILTERS)
    except RelayError as error:
        logger.warning("no providers from %s: %s", relay.url, error)
        return None


def _json(body: bytes) -> dict[str, Any] | None:
    """Return a JSON object as it is told on, without its models if it is long with them."""
    try:
        said = json.loads(body, parse_constant=_no_number)
        if not isinstance(said, dict):
            return None
        if len(json.dumps(said, allow_nan=False)) <= JSON_CHARS_MAX:
            return said
        short = {name: part for name, part in said.items() if name not in {"models", "data"}}
        return short if len(json.dumps(short, allow_nan=False)) <= JSON_CHARS_MAX else {}
    except (ValueError, RecursionError):
        return None


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no JSON")
