"""The directory of providers: what relays tell, and who answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.discovery.directory import Directory
from app.gateways.guarded import Fetch, Guard
from app.gateways.nostr.key import NostrKey
from app.gateways.nostr.relay import Relay
from app.gateways.way_out import DIRECT
from app.store.nostr_rows import PROVIDERS, NostrRows
from tests.doubles.relay import RelayDouble
from tests.gateways.canned import CannedServer, answer
from tests.gateways.nostr.given import ALICE, BOB, NOW_S, as_table, signed
from tests.gateways.traps import NameService, Trap, Wire
from tests.store.places import SqlitePlace, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.gateways.nostr.event import NostrEvent

NOBODY = "ws://127.0.0.1:1"
ONION = "x" * 55 + "d.onion"


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[NostrRows]:
    place = SqlitePlace(tmp_path)
    yield NostrRows(place.open())
    place.close()


def kept(*events: NostrEvent) -> RelayDouble:
    relay = RelayDouble()
    relay.events += map(as_table, events)
    return relay


def fetch_to(port: int = 0) -> Fetch:
    """Go through a proxy that leads every onion service to one port."""
    return Fetch(Guard(through=Wire(port)), total_timeout_s=5.0)


def directory_of(
    rows: NostrRows, *urls: str, fetch: Fetch | None = None, providers_max: int = 50
) -> Directory:
    relays = [Relay(url, DIRECT, timeout_s=5.0) for url in urls]
    return Directory(
        relays, fetch or fetch_to(), rows, lambda: NOW_S, providers_max=providers_max
    )


def at_onion(key: NostrKey = ALICE, at_s: int = NOW_S) -> NostrEvent:
    return signed(key, tags=(("d", "shop"), ("u", f"http://{ONION}")), at_s=at_s)


def told(rows: NostrRows) -> list[tuple[Any, Any]]:
    return [(json.loads(row.document), json.loads(row.more)) for row in rows.all(PROVIDERS)]


def test_what_several_relays_tell_is_one_list(rows: NostrRows) -> None:
    new = signed(at_s=NOW_S, content='{"name":"New"}')
    with kept(signed(at_s=NOW_S - 9), signed(BOB)) as one, kept(new) as other:
        assert directory_of(rows, one.url, NOBODY, other.url).refresh() == 2

    names = {provider["pubkey"]: provider["name"] for provider, _ in told(rows)}
    assert names == {ALICE.public: "New", BOB.public: "Shop"}


def test_while_no_relay_answers_what_was_known_stays(rows: NostrRows) -> None:
    with kept(signed()) as relay:
        directory_of(rows, relay.url).refresh()

    assert directory_of(rows, NOBODY).refresh() == 1
    assert len(told(rows)) == 1


def test_what_is_gone_from_the_relays_is_gone_here(rows: NostrRows) -> None:
    with kept(signed()) as relay:
        directory_of(rows, relay.url).refresh()
        relay.events.clear()

        assert directory_of(rows, relay.url).refresh() == 0

    assert told(rows) == []


def test_a_provider_that_answers_is_told_with_its_words(rows: NostrRows) -> None:
    body = json.dumps({"name": "Shop", "version": "1"}).encode()
    with kept(at_onion()) as relay, CannedServer(answer(body)) as shop:
        fetch = fetch_to(int(shop.url.rpartition(":")[2]))
        directory_of(rows, relay.url, fetch=fetch).refresh()

    ((_, health),) = told(rows)
    assert health == {
        "status_code": 200,
        "endpoint": "info",
        "json": {"name": "Shop", "version": "1"},
    }
    assert shop.requests[0].startswith(b"GET /v1/info HTTP/1.1\r\n")


def test_long_words_are_told_without_the_models(rows: NostrRows) -> None:
    body = json.dumps({"name": "Shop", "models": ["x" * 1_000] * 100}).encode()
    with kept(at_onion()) as relay, CannedServer(answer(body)) as shop:
        fetch = fetch_to(int(shop.url.rpartition(":")[2]))
        directory_of(rows, relay.url, fetch=fetch).refresh()

    ((_, health),) = told(rows)
    assert health["json"] == {"name": "Shop"}


@pytest.mark.parametrize(
    "given",
    [
        answer(b"{}", "500 Internal Server Error"),
        answer(b"{}", "302 Found", "Location: http://127.0.0.1/"),
        answer(b"no JSON"),
        answer(b"[]"),
        answer(b'{"a": NaN}'),
        answer(b'{"a": 1e999}'),
        answer(b"[" * 100_000),
        b"",
    ],
    ids=["500", "redirect", "text", "list", "NaN", "infinity", "deep", "nothing"],
)
def test_a_provider_that_answers_nonsense_is_listed_as_such(
    rows: NostrRows, given: bytes
) -> None:
    with kept(at_onion()) as relay, CannedServer(given) as shop:
        fetch = fetch_to(int(shop.url.rpartition(":")[2]))
        assert directory_of(rows, relay.url, fetch=fetch).refresh() == 1

    ((_, health),) = told(rows)
    assert (health["status_code"], health["endpoint"]) == (500, "error")


def test_an_announced_address_leads_nobody_into_our_network(rows: NostrRows) -> None:
    with Trap() as trap, kept(signed()) as relay:
        names = NameService(["127.0.0.1"])
        guard = Guard(ports=[443, trap.port], resolve=names)
        directory_of(rows, relay.url, fetch=Fetch(guard)).refresh()

        assert trap.visitors == 0

    ((_, health),) = told(rows)
    assert names.asked == [("shop.example.com", 443)]
    assert "not public" in health["json"]["error"]


def test_a_flood_of_newcomers_does_not_drive_out_who_answers(rows: NostrRows) -> None:
    flood = [NostrKey(bytes([1, number]) * 16) for number in range(1, 5)]
    barred = (("d", "x"), ("u", "http://shop.example.com"))
    body = b'{"name": "Shop"}'
    with kept(at_onion(at_s=NOW_S - 99)) as relay, CannedServer(answer(body)) as shop:
        fetch = fetch_to(int(shop.url.rpartition(":")[2]))
        directory_of(rows, relay.url, fetch=fetch).refresh()
        relay.events += [as_table(signed(key, tags=barred)) for key in flood]
        directory_of(rows, relay.url, fetch=fetch, providers_max=3).refresh()

    pubkeys = [provider["pubkey"] for provider, _ in told(rows)]
    assert len(pubkeys) == 3
    assert pubkeys[0] == ALICE.public


def test_who_is_asked_last_is_not_asked_when_there_is_no_time_left(rows: NostrRows) -> None:
    with kept(at_onion()) as relay, CannedServer(answer(b"{}")) as shop:
        fetch = fetch_to(int(shop.url.rpartition(":")[2]))
        relays = [Relay(relay.url, DIRECT, timeout_s=5.0)]
        Directory(relays, fetch, rows, lambda: NOW_S, patience_s=0.0).refresh()

    ((_, health),) = told(rows)
    assert health["json"] == {"error": "There was no time to ask it."}
    assert shop.requests == []


def test_rows_are_the_same_in_either_store(store: Store) -> None:
    rows = NostrRows(store)

    rows.replace(PROVIDERS, [("b", "{}", "1"), ("a", '{"x":"\\u0000"}', "2")])
    rows.replace("relay", [("b", "{}", "")])

    first, second = rows.all(PROVIDERS)
    assert (first.name, first.document, first.more) == ("b", "{}", "1")
    assert second.name == "a"
    assert first.at == second.at
    assert first.at.tzinfo is not None
    rows.replace(PROVIDERS, [])
    assert rows.all(PROVIDERS) == []
    assert len(rows.all("relay")) == 1
