"""The house on Nostr, by way of a real relay."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import requests

from app.discovery.listing import Listing
from app.discovery.publisher import HAS_IT, TOOK_IT, Publisher
from app.gateways.errors import RelayError
from app.gateways.nostr.relay import Relay
from app.gateways.way_out import DIRECT
from app.store.nostr_rows import NostrRows
from tests.clients.relay import RealRelay
from tests.doubles.socks import SocksDouble
from tests.gateways.conftest import free_port
from tests.gateways.nostr.given import ALICE, BOB, CAROL, KIND, as_table, signed
from tests.integration.house import new_address
from tests.integration.service import Service
from tests.store.places import SqlitePlace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clients.upstream import ScriptedUpstream
    from tests.integration.mint import RealMint

pytestmark = pytest.mark.clients

ONION = "a" * 55 + "d.onion"
NSEC = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"
PUBLIC = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
MINT_ELSEWHERE = "https://mint.example.com"
WAIT_S = 60.0
LISTING = Listing("Shop", "Words ✓", ("https://shop.example.com",), ("https://m.example",), "1")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRelay]:
    with RealRelay(free_port(), tmp_path_factory.mktemp("relay")) as relay:
        yield relay


def by(key: Any) -> dict[str, Any]:
    return {"kinds": [KIND], "authors": [key.public], "limit": 10}


def test_an_event_of_ours_is_one_for_other_programs_too(relay: RealRelay) -> None:
    door = Relay(relay.url, DIRECT)
    event = signed(ALICE, at_s=int(time.time()))

    assert door.publish(event).is_taken
    assert door.fetch(by(ALICE)) == [event]


def test_what_nobody_signed_is_not_taken_for_published(relay: RealRelay) -> None:
    door = Relay(relay.url, DIRECT, timeout_s=3.0)
    event = as_table(signed(BOB, at_s=int(time.time())))
    forged = msgspec.convert({**event, "sig": "0" * 128}, type(signed(BOB)))

    # This relay does not even answer to it.
    with pytest.raises(RelayError):
        door.publish(forged)
    assert door.fetch(by(BOB)) == []


def test_a_listing_is_published_once_and_replaced_when_it_changes(
    relay: RealRelay, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = SqlitePlace(tmp_path_factory.mktemp("rows"))
    said = [LISTING]
    door = Relay(relay.url, DIRECT)

    def look() -> list[str]:
        publisher = Publisher(CAROL, lambda: said[0], [door], NostrRows(place.open()))
        return [each.verdict for each in publisher.look()]

    assert look() == [TOOK_IT]
    assert look() == [HAS_IT]
    said[0] = Listing("Shop", "Other words", LISTING.urls, LISTING.mints, "2")
    assert look() == [TOOK_IT]

    (kept,) = door.fetch(by(CAROL))
    assert json.loads(kept.content) == {"name": "Shop", "about": "Other words"}
    place.close()


def test_a_house_announces_itself_finds_others_and_tells_of_them(
    relay: RealRelay,
    mint: RealMint,
    upstream: ScriptedUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("house")
    address = new_address(f"sqlite:///{directory}/ledger.db", mint.url, upstream.base_url)
    # No name may be looked up here: the proxy leads every one of them to the house itself.
    with SocksDouble() as proxy:
        settings = {
            "NAME": "A house of tests",
            # That of the tests is at home here, and no business of others.
            "CASHU_MINTS": f"{mint.url},{MINT_ELSEWHERE}",
            "NSEC": NSEC,
            "RELAYS": relay.url,
            "ONION_URL": f"http://{ONION}",
            "TOR_PROXY_URL": proxy.url,
            "PROVIDERS_REFRESH_INTERVAL_S": "2",
        }
        with Service(address, directory / "home", settings) as service:
            proxy.port = service.port
            found = wait_for(service, f"?pubkey={PUBLIC}&include_json=true")
            others = providers(service, f"?pubkey={ALICE.public}")

    assert found["provider"]["name"] == "A house of tests"
    assert found["provider"]["endpoint_urls"] == [f"http://{ONION}"]
    assert found["provider"]["mint_urls"] == [MINT_ELSEWHERE]
    assert found["health"]["status_code"] == 200
    assert found["health"]["json"]["npub"].startswith("npub10elfcs4fr0l0r8af98jlmg")
    assert [each["endpoint_url"] for each in others] == ["https://shop.example.com"]
    assert (ONION, 80) in proxy.asked


def providers(service: Service, query: str) -> list[dict[str, Any]]:
    answer = requests.get(f"{service.base_url}/v1/providers/{query}", timeout=10)
    found: list[dict[str, Any]] = answer.json()["providers"]
    return found


def wait_for(service: Service, query: str) -> dict[str, Any]:
    """Return the one provider that is told of, once it has answered."""
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        found = providers(service, query)
        if found and found[0]["health"]["status_code"] == 200:
            return found[0]
        time.sleep(0.5)
    pytest.fail("the house has not found itself")
