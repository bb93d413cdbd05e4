"""Our own listing on relays: given when it changed or is gone, and not otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from app.discovery.listing import Listing, default_name
from app.discovery.publisher import (
    HAS_IT,
    REFUSED,
    SILENT,
    TOOK_IT,
    Publisher,
    listed_in,
    standing,
)
from app.gateways.nostr.event import read_event
from app.gateways.nostr.relay import SUBSCRIPTION, Relay
from app.gateways.way_out import DIRECT
from app.store.nostr_rows import LISTED, NostrRows
from tests.doubles.relay import RelayDouble
from tests.gateways.nostr.given import ALICE, BOB, KIND, NOW_S, as_table, signed
from tests.store.places import SqlitePlace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.discovery.publisher import Published

LISTING = Listing(
    name="Shop",
    about="Sells words",
    urls=("https://shop.example.com",),
    mints=("https://mint.example.com",),
    version="1",
)
DAY_S = 86_400.0
NOBODY = "ws://127.0.0.1:1"


class Clock:
    def __init__(self) -> None:
        self.now_s = float(NOW_S)

    def __call__(self) -> float:
        return self.now_s


class Office:
    """A back office with nothing in it but a publisher."""

    def __init__(
        self, rows: NostrRows, *urls: str, named: str | None = None, chance: float = 0.5
    ) -> None:
        self.listing = LISTING
        self.clock = Clock()
        self.rows = rows
        self.publisher = Publisher(
            ALICE,
            lambda: self.listing,
            [Relay(url, DIRECT, timeout_s=3.0) for url in urls],
            rows,
            named,
            self.clock,
            chance=lambda: chance,
        )

    def look(self, after_s: float = 0.0) -> list[str]:
        return [each.verdict for each in self.visit(after_s)]

    def visit(self, after_s: float = 0.0) -> list[Published]:
        self.clock.now_s += after_s
        return self.publisher.look()


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[NostrRows]:
    place = SqlitePlace(tmp_path)
    yield NostrRows(place.open())
    place.close()


@pytest.fixture
def relay() -> Iterator[RelayDouble]:
    with RelayDouble() as double:
        yield double


def test_a_relay_gets_the_listing_signed_and_whole(rows: NostrRows, relay: RelayDouble) -> None:
    office = Office(rows, relay.url)

    assert office.look() == [TOOK_IT]

    (given,) = relay.given
    event = read_event(json.dumps(given).encode())
    assert event.pubkey == ALICE.public
    assert event.kind == KIND
    assert event.tags == (
        ("d", default_name(ALICE.public)),
        ("u", "https://shop.example.com"),
        ("mint", "https://mint.example.com"),
        ("version", "1"),
    )
    assert event.content == '{"name":"Shop","about":"Sells words"}'


def test_what_was_published_is_kept_and_what_nobody_took_is_not(
    rows: NostrRows, relay: RelayDouble
) -> None:
    nobody = Office(rows, NOBODY)
    nobody.look()
    before = listed_in(rows.all(LISTED))

    office = Office(rows, relay.url)
    office.look()
    first = listed_in(rows.all(LISTED))
    office.listing = replace(LISTING, about="Sells more words")
    office.look()
    second = listed_in(rows.all(LISTED))

    assert before is None
    assert [json.loads(json.dumps(given)) for given in relay.given] == [
        json.loads(msgspec.json.encode(event)) for event in (first, second)
    ]


def test_a_relay_that_has_the_listing_is_not_given_it_again(
    rows: NostrRows, relay: RelayDouble
) -> None:
    Office(rows, relay.url).look()

    # Another process, which knows of nothing.
    assert Office(rows, relay.url).look() == [HAS_IT]
    assert len(relay.given) == 1


def test_a_relay_is_left_alone_for_a_day(rows: NostrRows, relay: RelayDouble) -> None:
    office = Office(rows, relay.url)
    office.look()

    assert office.look(after_s=DAY_S - 60) == []
    assert relay.visits == 2
    assert office.look(after_s=120) == [HAS_IT]
    assert len(relay.given) == 1


def test_a_relay_that_has_lost_the_listing_is_given_it_again(
    rows: NostrRows, relay: RelayDouble
) -> None:
    office = Office(rows, relay.url)
    office.look()
    relay.events.clear()

    assert office.look(after_s=DAY_S * 2) == [TOOK_IT]
    assert relay.given[0] == relay.given[1]


def test_a_listing_that_has_changed_goes_out_at_once(
    rows: NostrRows, relay: RelayDouble
) -> None:
    office = Office(rows, relay.url)
    office.look()
    office.listing = replace(LISTING, urls=(*LISTING.urls, "http://a.onion"))

    assert office.look(after_s=15) == [TOOK_IT]
    assert ["u", "http://a.onion"] in relay.events[0]["tags"]
    assert len(relay.events) == 1


def test_a_changed_listing_is_newer_than_what_it_replaces(
    rows: NostrRows, relay: RelayDouble
) -> None:
    ahead = signed(tags=LISTING.tags("shop"), content="{}", at_s=NOW_S + 500)
    relay.events.append(as_table(ahead))

    Office(rows, relay.url).look()

    assert relay.given[0]["created_at"] == NOW_S + 501


def test_the_order_of_tags_is_no_change(rows: NostrRows, relay: RelayDouble) -> None:
    tags = tuple(reversed(LISTING.tags("shop")))
    relay.events.append(as_table(signed(tags=tags, content=LISTING.content)))

    assert Office(rows, relay.url).look() == [HAS_IT]
    assert relay.given == []


def test_the_name_we_have_on_a_relay_is_kept(rows: NostrRows, relay: RelayDouble) -> None:
    relay.events.append(as_table(signed(tags=(("d", "our old name"),))))
    with RelayDouble() as other:
        office = Office(rows, other.url, relay.url)

        assert office.look() == [TOOK_IT, TOOK_IT]
        assert other.events == relay.events
    assert relay.events[0]["tags"][0] == ["d", "our old name"]


def test_the_name_of_the_settings_goes_before_it(rows: NostrRows, relay: RelayDouble) -> None:
    relay.events.append(as_table(signed(tags=(("d", "our old name"),))))

    Office(rows, relay.url, named="house").look()

    assert relay.given[0]["tags"][0] == ["d", "house"]


def test_a_strangers_listing_is_not_taken_for_ours(rows: NostrRows) -> None:
    stranger = as_table(signed(BOB, tags=LISTING.tags("theirs"), content=LISTING.content))
    says = [json.dumps(["EVENT", SUBSCRIPTION, stranger]), json.dumps(["EOSE", SUBSCRIPTION])]
    with RelayDouble(says=says) as evil, RelayDouble() as relay:
        office = Office(rows, evil.url, relay.url)
        office.look()

        assert relay.given[0]["tags"][0] == ["d", default_name(ALICE.public)]


def test_with_no_answer_at_all_nothing_is_published_under_a_guessed_name(
    rows: NostrRows, relay: RelayDouble
) -> None:
    relay.events.append(as_table(signed(tags=(("d", "our old name"),))))

    assert Office(rows, NOBODY).look() == [SILENT]
    office = Office(rows, NOBODY, relay.url)
    assert office.look() == [SILENT, TOOK_IT]
    assert relay.given[0]["tags"][0] == ["d", "our old name"]


def test_a_relay_that_refuses_is_asked_again_with_growing_patience(rows: NostrRows) -> None:
    pauses = []
    with RelayDouble(refusal="blocked: not on the list") as relay:
        office = Office(rows, relay.url)
        for _ in range(11):
            (stands,) = office.visit()
            pauses.append(stands.again_at - stands.at)
            assert office.look(after_s=pauses[-1] - 0.1) == []
            office.clock.now_s += 0.2

    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]
    assert stands.verdict == REFUSED
    assert stands.message == "blocked: not on the list"


@pytest.mark.parametrize(("chance", "pause_s"), [(0.0, 4.0), (1.0, 6.0)])
def test_houses_that_failed_together_do_not_come_back_together(
    rows: NostrRows, chance: float, pause_s: float
) -> None:
    (stands,) = Office(rows, NOBODY, chance=chance).visit()

    assert stands.again_at - stands.at == pause_s


def test_one_relay_in_trouble_does_not_hold_up_another(
    rows: NostrRows, relay: RelayDouble
) -> None:
    office = Office(rows, NOBODY, relay.url)

    assert office.look() == [SILENT, TOOK_IT]
    assert office.look(after_s=6) == [SILENT]


def test_how_it_stands_can_be_read_by_others(rows: NostrRows, relay: RelayDouble) -> None:
    office = Office(rows, NOBODY, relay.url)
    visited = office.visit()

    assert standing(rows) == visited
    office.visit(after_s=6)
    assert [each.verdict for each in standing(rows)] == [SILENT, TOOK_IT]


def test_without_an_address_nothing_leaves_the_house(
    rows: NostrRows, relay: RelayDouble
) -> None:
    office = Office(rows, relay.url)
    office.listing = replace(LISTING, urls=())

    assert office.look() == []
    assert relay.visits == 0
