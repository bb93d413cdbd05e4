"""What providers announce of themselves, read from events of strangers."""

from __future__ import annotations

import json

import msgspec
import pytest

from app.discovery.announcement import (
    OLD_ANNOUNCEMENT,
    RECOMMENDATION,
    UNNAMED,
    announcements,
)
from tests.gateways.nostr.given import ALICE, BOB, CAROL, KIND, NOW_S, signed

URL = "https://shop.example.com"
ONION = "http://" + "x" * 55 + "d.onion"


def test_an_announcement_tells_what_core_clients_read() -> None:
    event = signed(
        tags=(
            ("d", "shop"),
            ("u", URL),
            ("u", ONION),
            ("mint", "https://mint.example.com"),
            ("version", "0.4"),
        ),
        content='{"name":"Shop","about":"Words","picture":"https://x.example/p.png"}',
    )

    (found,) = announcements([event], NOW_S)

    assert found.document() == {
        "id": "shop",
        "d_tag": "shop",
        "event_id": event.id,
        "pubkey": ALICE.public,
        "created_at": NOW_S,
        "kind": KIND,
        "endpoint_url": URL,
        "endpoint_urls": (URL, ONION),
        "name": "Shop",
        "description": "Words",
        "mint_urls": ("https://mint.example.com",),
        "version": "0.4",
        "content": event.content,
        "contact": None,
        "pricing_url": None,
        "supported_models": (),
        "recommended_by": 0,
    }


def test_an_old_announcement_tells_what_seed_clients_read() -> None:
    event = signed(
        kind=OLD_ANNOUNCEMENT,
        tags=(
            ("d", "old"),
            ("endpoint", URL),
            ("name", "Old shop"),
            ("description", "Words"),
            ("contact", "npub1x"),
            ("pricing", f"{URL}/v1/models"),
            ("model", "gpt-4o"),
            ("model", "o1"),
        ),
        content="",
    )

    (found,) = announcements([event], NOW_S)

    assert (found.name, found.description, found.contact) == ("Old shop", "Words", "npub1x")
    assert found.supported_models == ("gpt-4o", "o1")
    assert found.pricing_url == f"{URL}/v1/models"


@pytest.mark.parametrize("is_turned", [False, True])
def test_an_older_event_never_replaces_a_newer_one(*, is_turned: bool) -> None:
    events = [signed(content='{"name":"New"}', at_s=NOW_S), signed(at_s=NOW_S - 1)]

    (found,) = announcements(reversed(events) if is_turned else events, NOW_S)

    assert found.name == "New"


@pytest.mark.parametrize("is_turned", [False, True])
def test_of_two_equally_old_the_lower_id_holds(*, is_turned: bool) -> None:
    events = sorted([signed(content="{}"), signed()], key=lambda event: event.id)

    (found,) = announcements(reversed(events) if is_turned else events, NOW_S)

    assert found.event_id == events[0].id


def test_each_author_has_names_of_its_own() -> None:
    other = (("d", "other"), ("u", URL))
    events = [signed(), signed(BOB), signed(tags=other), signed(BOB, at_s=NOW_S - 5)]

    found = announcements(events, NOW_S)

    assert {each.address for each in found} == {
        (ALICE.public, "shop"),
        (BOB.public, "shop"),
        (ALICE.public, "other"),
    }


def test_an_event_of_the_future_does_not_hold_the_place_for_ever() -> None:
    events = [signed(at_s=2**50, content='{"name":"Late"}'), signed()]

    (found,) = announcements(events, NOW_S)

    assert found.name == "Shop"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop",
        "ftp://shop.example.com",
        "http://localhost:8000",
        "http://127.0.0.1",
        "https://[::1]",
        "https://10.0.0.1",
        "https://printer.local",
        "https://user@shop.example.com",
        "javascript:alert(1)",
        "https://shop.example.com/\nx",
    ],
)
def test_an_address_that_nobody_else_can_reach_announces_nothing(url: str) -> None:
    events = [signed(tags=(("d", "shop"), ("u", url)))]

    assert announcements(events, NOW_S) == []


def test_what_can_be_reached_beside_it_counts() -> None:
    event = signed(tags=(("d", "shop"), ("u", "http://localhost"), ("u", URL), ("u", URL)))

    (found,) = announcements([event], NOW_S)

    assert found.endpoint_urls == (URL,)


@pytest.mark.parametrize(
    "event",
    [
        signed(tags=(("u", URL),)),
        signed(tags=(("d", ""), ("u", URL))),
        signed(tags=(("d",), ("u", URL))),
        signed(tags=(("d", "x"),)),
        signed(kind=1),
    ],
    ids=["no d", "empty d", "d of nothing", "no address", "another kind"],
)
def test_an_event_that_lacks_something_announces_nothing(event: object) -> None:
    assert announcements([event], NOW_S) == []  # type: ignore[list-item]


@pytest.mark.parametrize("content", ["", "[]", "null", "{", '{"name":1}', "[" * 9_999])
def test_a_provider_without_a_name_is_listed_all_the_same(content: str) -> None:
    (found,) = announcements([signed(content=content)], NOW_S)

    assert (found.name, found.description) == (UNNAMED, None)


def test_texts_are_made_fit_for_pages_and_logs() -> None:
    name = "A\u202e\n\x00\ud800" + "b" * 500

    (found,) = announcements([signed(content=json.dumps({"name": name}))], NOW_S)

    assert found.name == "A    " + "b" * 95
    msgspec.json.encode(found.document())


def test_recommendations_are_counted_once_for_each_author() -> None:
    good = (("k", str(KIND)), ("d", "x"), ("a", f"{KIND}:{ALICE.public}:shop"))
    twice = (*good, ("a", f"{KIND}:{ALICE.public}:shop:with:colons"))
    of_mints = (("k", "38172"), ("a", f"{KIND}:{ALICE.public}:shop"))
    events = [
        signed(),
        signed(BOB, RECOMMENDATION, good),
        signed(BOB, RECOMMENDATION, twice),
        signed(CAROL, RECOMMENDATION, good),
        signed(CAROL, RECOMMENDATION, of_mints),
        signed(ALICE, RECOMMENDATION, good),
        signed(CAROL, RECOMMENDATION, (("k", str(KIND)), ("a", "nonsense"))),
    ]

    (found,) = announcements(events, NOW_S)

    assert found.recommended_by == 2
