"""The page about Nostr: what relays say of us, and of whom they tell."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import msgspec

from app.discovery.announcement import announcements
from app.discovery.listing import Draft, Listing
from app.discovery.publisher import REFUSED, TOOK_IT, Published
from app.store.nostr_rows import LISTED, PROVIDERS, RELAYS, NostrRows
from tests.gateways.nostr.given import ALICE, BOB, KIND, NOW_S, signed
from tests.projections.story import Story
from tests.web.admin.conftest import SCRIPT, view_of
from tests.web.admin.reading import fields, rows

if TYPE_CHECKING:
    from tests.store.places import Store
    from tests.web.admin.conftest import View

LISTING = Listing(
    name="Shop",
    about=f"Sells words {SCRIPT}",
    urls=("https://shop.example.com",),
    mints=("https://one.example.com", "https://two.example.com"),
    version="2",
)
RELAY = "wss://relay.example"


def page_of(store: Store, desk: Store, draft: Draft) -> str:
    view = view_of(store, Story(), desk, draft=lambda: draft)
    view.sign_in()
    return view.page("/admin/nostr/")


def publish(store: Store, listing: Listing, named: str) -> None:
    event = ALICE.signed(KIND, listing.tags(named), listing.content, NOW_S)
    NostrRows(store).replace(LISTED, [(event.id, msgspec.json.encode(event).decode(), "")])


def test_what_would_be_published_is_shown_before_it_goes_out(store: Store, desk: Store) -> None:
    text = page_of(store, desk, Draft(LISTING, ALICE.public, None, (RELAY,)))

    assert fields(text) == [
        ("kind", "38421"),
        ("pubkey", ALICE.public),
        ("d", ALICE.public[:12]),
        ("u", "https://shop.example.com"),
        ("mint", "https://one.example.com"),
        ("mint", "https://two.example.com"),
        ("version", "2"),
        ("content", LISTING.content),
    ]
    assert "all of it is news" in text
    assert "Nothing goes out before" not in text
    assert SCRIPT not in text


def test_what_is_missing_before_anything_goes_out_is_named(store: Store, desk: Store) -> None:
    text = page_of(store, desk, Draft(replace(LISTING, urls=()), None))

    assert (
        "Nothing goes out before there is NSEC; RELAYS; HTTP_URL, or an onion service." in text
    )
    assert "pubkey" not in dict(fields(text))


def test_what_says_the_same_is_not_news(store: Store, desk: Store) -> None:
    other_order = replace(LISTING, mints=LISTING.mints[::-1])
    publish(store, other_order, "shop")

    # The name is kept under which it was published.
    text = page_of(store, desk, Draft(LISTING, ALICE.public, None, (RELAY,)))

    assert "as published" in text
    assert "2023-11-14 22:13:20" in text
    assert dict(fields(text))["d"] == "shop"


def test_what_has_changed_since_the_last_one_is_told_part_by_part(
    store: Store, desk: Store
) -> None:
    before = replace(
        LISTING, about="Sold words", mints=("https://one.example.com",), version="1"
    )
    publish(store, before, "shop")

    text = page_of(store, desk, Draft(LISTING, ALICE.public, "store", (RELAY,)))

    assert rows(text)[1:] == [
        ["d", "shop", "store"],
        ["mint", "", "https://two.example.com"],
        ["version", "1", "2"],
        ["content", before.content, LISTING.content],
    ]
    assert "Changed since the one of 2023-11-14 22:13:20" in text
    assert SCRIPT not in text


def test_before_anything_was_published_it_says_what_that_takes(empty: View) -> None:
    text = empty.page("/admin/nostr/")

    assert "<code>NSEC</code>" in text
    assert "No other house is known" in text


def test_each_relays_word_is_shown(empty: View) -> None:
    told = [
        Published("wss://one.example", TOOK_IT, "", "e" * 64, NOW_S, NOW_S + 86_400),
        Published(
            "wss://two.example", REFUSED, f"blocked {SCRIPT}", "e" * 64, NOW_S, NOW_S + 5
        ),
    ]
    rows_of_nostr = NostrRows(empty.store)
    rows_of_nostr.replace(RELAYS, [(one.relay, json.dumps(asdict(one)), "") for one in told])

    text = empty.page("/admin/nostr/")

    _, first, second = rows(text)
    assert first == [
        "wss://one.example",
        "took it",
        "",
        "2023-11-14 22:13:20",
        "2023-11-15 22:13:20",
    ]
    assert second[1:3] == ["refused it", f"blocked {SCRIPT}"]
    assert SCRIPT not in text


def test_other_houses_are_shown_with_their_hostile_names_as_text(empty: View) -> None:
    hostile = json.dumps({"name": SCRIPT})
    found = announcements([signed(ALICE), signed(BOB, content=hostile)], NOW_S)
    healths = ({"status_code": 200}, {"status_code": 500})
    NostrRows(empty.store).replace(
        PROVIDERS,
        [
            (f"{each.pubkey}:{each.id}", json.dumps(each.document()), json.dumps(health))
            for each, health in zip(found, healths, strict=True)
        ],
    )

    text = empty.page("/admin/nostr/")

    _, first, second = rows(text)
    assert first[:4] == ["Shop", "https://shop.example.com", "answers", "0"]
    assert (second[0], second[2]) == (SCRIPT, "silent")
    assert SCRIPT not in text


def test_the_page_is_for_who_is_signed_in(stranger: View) -> None:
    assert stranger.get("/admin/nostr/").status_code == 303
