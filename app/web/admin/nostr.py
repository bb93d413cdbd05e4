"""Nostr: how our listing stands at each relay, and which other houses were found there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from app.discovery.publisher import listed_in, standing_of
from app.store.nostr_rows import LISTED, PROVIDERS, RELAYS, read
from app.web.admin.room import Room, page

if TYPE_CHECKING:
    from app.gateways.nostr.event import NostrEvent
    from app.store.nostr_rows import NostrRow
    from projections.chart import Query


class RelayShown(NamedTuple):
    """How our listing stood at a relay `at` that time; it is looked at again at `again`."""

    url: str
    is_good: bool
    verdict: str
    message: str
    at: datetime
    again: datetime


class HouseShown(NamedTuple):
    """Another house, as it announces itself; `answers` says whether it did when last asked."""

    name: str
    url: str
    pubkey: str
    kind: int
    recommended_by: int
    announced: datetime
    answers: bool


class NostrRoom(Room):
    """What the back office has said and found at the relays."""

    @page("/")
    def index(self) -> Any:
        def look(query: Query) -> dict[str, Any]:
            found = read(PROVIDERS)(query)
            return {
                "listed": listed_in(read(LISTED)(query)),
                "relays": _relays(read(RELAYS)(query)),
                "houses": [_house(row) for row in found],
                "found_at": found[0].at if found else None,
            }

        told = self.auditor.look(look)
        return self.render("auditor/nostr.html", **told, **self._drafted(told["listed"]))

    def _drafted(self, listed: NostrEvent | None) -> dict[str, Any]:
        """Return what would be published now, what of it is news, and what it lacks."""
        if self.auditor.draft is None:
            return {"event": None}
        draft = self.auditor.draft()
        missing = {
            "NSEC": draft.public,
            "RELAYS": draft.relays,
            "HTTP_URL, or an onion service": draft.listing.urls,
        }
        return {
            "event": draft.event(listed),
            "missing": [name for name, given in missing.items() if not given],
            "changes": draft.changes(listed) if listed else [],
            "listed_at": _moment(listed.created_at) if listed else None,
        }


def _relays(rows: list[NostrRow]) -> list[RelayShown]:
    return [
        RelayShown(
            each.relay,
            each.is_good,
            each.verdict,
            each.message,
            _moment(each.at),
            _moment(each.again_at),
        )
        for each in standing_of(rows)
    ]


def _house(row: NostrRow) -> HouseShown:
    said, health = json.loads(row.document), json.loads(row.more)
    return HouseShown(
        said["name"],
        said["endpoint_url"],
        said["pubkey"],
        said["kind"],
        said["recommended_by"],
        _moment(said["created_at"]),
        health["status_code"] == HTTPStatus.OK,
    )


def _moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
