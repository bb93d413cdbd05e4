"""Keeps our listing on the relays: published when it has changed, or when one has lost it."""

from __future__ import annotations

import json
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import msgspec

from app.discovery.announcement import ANNOUNCEMENT, newest
from app.discovery.listing import default_name
from app.gateways.errors import RelayError
from app.gateways.nostr.event import NostrEvent
from app.store.nostr_rows import LISTED, RELAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from app.discovery.listing import Listing
    from app.gateways.nostr.key import NostrKey
    from app.gateways.nostr.relay import Relay
    from app.store.nostr_rows import NostrRow, NostrRows

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 86_400.0
PAUSE_FIRST_S, PAUSE_MAX_S = 5.0, 900.0
SPREAD = 0.2
DOUBLINGS_MAX = 10
AT_ONCE_MAX = 8
OWN_EVENTS_MAX = 20

HAS_IT, TOOK_IT, REFUSED, SILENT = "has it", "took it", "refused it", "did not answer"


@dataclass(frozen=True, slots=True)
class Published:
    """How our listing stands at one relay, when it was last looked at.

    `verdict` is one of `HAS_IT`, `TOOK_IT`, `REFUSED` and `SILENT`; `message` the relay's
    word, or why there is none. `event_id` is the event it has or was given, empty if none.
    `at` and `again_at` are in seconds since 1970.
    """

    relay: str
    verdict: str
    message: str
    event_id: str
    at: float
    again_at: float

    @property
    def is_good(self) -> bool:
        return self.verdict in {HAS_IT, TOOK_IT}


class Publisher:
    """Gives every relay our listing, and looks again once a day whether it is still there.

    `listing` says what it is just now. The event's `d` is `named`, else the one under which
    we are found on a relay already, else the beginning of our public key. A relay that does
    not take it is left alone for 5 seconds, then for twice as long each time, up to a
    quarter of an hour.
    """

    def __init__(
        self,
        key: NostrKey,
        listing: Callable[[], Listing],
        relays: Sequence[Relay],
        rows: NostrRows,
        named: str | None = None,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._key = key
        self._listing = listing
        self._relays = tuple(relays)
        self._rows = rows
        self._named = named
        self._clock = clock
        self._chance = chance
        self._said: Listing | None = None
        self._event: NostrEvent | None = None
        self._standing: dict[str, Published] = {}
        self._failures: dict[str, int] = {}

    def look(self) -> list[Published]:
        """Visit the relays whose time has come; return how it stands at each of them.

        Nothing is visited while the house has no address that others could reach it at.
        """
        listing = self._listing()
        if not listing.urls:
            return []
        if listing != self._said:
            self._said, self._standing, self._failures = listing, {}, {}
        now_s = self._clock()
        due = [relay for relay in self._relays if self._is_due(relay, now_s)]
        if not due:
            return []
        visited = self._visit(due, listing, now_s)
        self._standing.update((each.relay, each) for each in visited)
        self._rows.replace(
            RELAYS, [(url, json.dumps(asdict(each)), "") for url, each in self._ordered()]
        )
        if self._event is not None and any(each.is_good for each in visited):
            written = msgspec.json.encode(self._event).decode()
            self._rows.replace(LISTED, [(self._event.id, written, "")])
        for each in visited:
            if not each.is_good:
                logger.warning(
                    "the listing at %s: %s %s", each.relay, each.verdict, each.message
                )
        return visited

    def _is_due(self, relay: Relay, now_s: float) -> bool:
        stands = self._standing.get(relay.url)
        return stands is None or stands.again_at <= now_s

    def _ordered(self) -> list[tuple[str, Published]]:
        urls = (relay.url for relay in self._relays)
        return [(url, self._standing[url]) for url in urls if url in self._standing]

    def _visit(
        self, relays: Sequence[Relay], listing: Listing, now_s: float
    ) -> list[Published]:
        with ThreadPoolExecutor(AT_ONCE_MAX, "relay") as threads:
            told = dict(zip(relays, threads.map(self._own_events, relays), strict=True))
            answered = {
                relay: said for relay, said in told.items() if not isinstance(said, RelayError)
            }
            # With no answer at all nobody knows under which name we are there.
            event = self._event_for(listing, answered, now_s) if answered else None

            def one(relay: Relay) -> Published:
                said = told[relay]
                if isinstance(said, RelayError) or event is None:
                    return self._stands(relay, SILENT, str(said), "", now_s)
                return self._give(relay, listing, event, said, now_s)

            return list(threads.map(one, relays))

    def _own_events(self, relay: Relay) -> list[NostrEvent] | RelayError:
        wanted = {
            "kinds": [ANNOUNCEMENT],
            "authors": [self._key.public],
            "limit": OWN_EVENTS_MAX,
        }
        try:
            return relay.fetch(wanted)
        except RelayError as error:
            return error

    def _event_for(
        self, listing: Listing, told: Mapping[Relay, list[NostrEvent]], now_s: float
    ) -> NostrEvent:
        """Return the event that all relays should have: one of theirs if it says the same."""
        found = newest(
            (event for said in told.values() for event in said), lambda each: each.value("d")
        )
        if self._event is not None:
            found = newest([*found, self._event], lambda each: each.value("d"))
        named = self._name(found)
        there = next((event for event in found if event.value("d") == named), None)
        if there is None or not listing.is_said_by(there, named):
            after_s = there.created_at + 1 if there else 0
            there = self._key.signed(
                ANNOUNCEMENT, listing.tags(named), listing.content, max(int(now_s), after_s)
            )
        self._event = there
        return there

    def _name(self, found: Sequence[NostrEvent]) -> str:
        if self._named is None:
            last = max(found, key=lambda event: event.created_at, default=None)
            self._named = (last and last.value("d")) or default_name(self._key.public)
        return self._named

    def _give(
        self,
        relay: Relay,
        listing: Listing,
        event: NostrEvent,
        said: Sequence[NostrEvent],
        now_s: float,
    ) -> Published:
        named = event.value("d") or ""
        for each in newest(said, lambda each: each.value("d")):
            if listing.is_said_by(each, named):
                return self._stands(relay, HAS_IT, "", each.id, now_s)
        try:
            verdict = relay.publish(event)
        except RelayError as error:
            return self._stands(relay, SILENT, str(error), event.id, now_s)
        word = TOOK_IT if verdict.is_taken else REFUSED
        return self._stands(relay, word, verdict.message, event.id, now_s)

    def _stands(
        self, relay: Relay, verdict: str, message: str, event_id: str, now_s: float
    ) -> Published:
        if verdict in {HAS_IT, TOOK_IT}:
            self._failures.pop(relay.url, None)
            pause_s = LOOK_AGAIN_S
        else:
            count = self._failures.get(relay.url, 0)
            self._failures[relay.url] = min(count + 1, DOUBLINGS_MAX)
            pause_s = min(PAUSE_MAX_S, PAUSE_FIRST_S * 2**count)
        # So that many houses do not come all at once after a relay was down.
        pause_s *= 1 + SPREAD * (2 * self._chance() - 1)
        return Published(relay.url, verdict, message, event_id, now_s, now_s + pause_s)


def standing(rows: NostrRows) -> list[Published]:
    """Return how our listing stood at each relay when it was last looked at."""
    return standing_of(rows.all(RELAYS))


def standing_of(rows: Iterable[NostrRow]) -> list[Published]:
    """Return what rows of the room `RELAYS` say."""
    return [Published(**json.loads(row.document)) for row in rows]


def listed_in(rows: Iterable[NostrRow]) -> NostrEvent | None:
    """Return the event that a relay was last seen to have, from rows of the room `LISTED`."""
    row = next(iter(rows), None)
    return None if row is None else msgspec.json.decode(row.document, type=NostrEvent)
