"""Nostr: how our listing stands at each relay, and which other houses were found there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from app.discovery.publisher import standing_of
from app.store.nostr_rows import PROVIDERS, RELAYS, read
from app.web.admin.room import Room, page

if TYPE_CHECKING:
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
                "relays": _relays(read(RELAYS)(query)),
                "houses": [_house(row) for row in found],
                "found_at": found[0].at if found else None,
            }

        return self.render("auditor/nostr.html", **self.auditor.look(look))


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
