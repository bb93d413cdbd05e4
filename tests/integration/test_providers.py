"""Several providers behind a real service: who serves, what is charged, what is kept secret."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import requests

from domain.hold import Charged, Held
from tests.doubles.upstream import Behaviour, UpstreamDouble
from tests.integration.client import Client, open_account
from tests.integration.haystack import files_below, said, tables_of
from tests.integration.house import new_address
from tests.integration.service import WORKERS, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from app.store.opening import Store
    from domain.event import Event
    from tests.integration.mint import RealMint
    from tests.store.places import Place

pytestmark = pytest.mark.integration

MODEL = "gpt-4o-mini"
OWN_KEY, DEAR_KEY = "sk-own-1f8e5a2c", "sk-dear-9b3d7c60"
WAIT_MAX_S = 40.0
# At 100,000 dollars a bitcoin, a millionth of a dollar is a msat.
PRICING = {"request": "0.001", "prompt": "0.00001", "completion": "0.00002"}
COST_MSAT = 1_000 + 4 * 10 + 15 * 20
DEAR_PRICING = {"request": "0.003", "prompt": "0.00003", "completion": "0.00006"}
DEAR_COST_MSAT = 3 * COST_MSAT * 11 // 10
"""Three times as much, and a fee of a tenth."""
SETTINGS = {
    "MODEL_BASED_PRICING": "true",
    "EXCHANGE_FEE": "1",
    "UPSTREAM_PROVIDER_FEE": "1",
    "UPSTREAM_API_KEY": OWN_KEY,
    "LOG_LEVEL": "DEBUG",
}
ENGINES = [
    pytest.param("sqlite_place", id="sqlite"),
    pytest.param("postgres_place", id="postgresql", marks=pytest.mark.postgres),
]


@dataclass(frozen=True)
class Street:
    """A service with the provider of its settings and, as `dear`, another one."""

    service: Service
    own: UpstreamDouble
    dear: UpstreamDouble
    client: Client
    url: str
    home: Path

    def add_dear(self, *words: str) -> None:
        models = self.home / "dear.json"
        models.write_text(json.dumps([{"id": MODEL, "pricing": DEAR_PRICING}]))
        add = ("provider", "add", "dear", self.dear.base_url, "--models", str(models))
        self.service.command(*add, "--key-file", "-", "--fee", "1.1", *words, given=DEAR_KEY)

    def ask(self, **options: Any) -> str:
        """Have a chat, plain; return who has served it."""
        reply = self.client.chat(**options)
        assert reply.status == 200, reply.body
        return str(reply.document["provider"])

    def until(self, is_so: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + WAIT_MAX_S
        while not is_so():
            assert time.monotonic() < deadline_s, self.service.log[-3000:]
            time.sleep(0.1)

    def served_by(self, count: int = 12) -> set[str]:
        """Return who serves requests that all workers have a share of."""
        with ThreadPoolExecutor(count) as threads:
            return set(threads.map(lambda _: self.ask(), range(count)))


def log_of(store: Store) -> list[Event]:
    return [placed.entry.event for page in store.log() for placed in page]


@pytest.fixture
def where() -> str:
    return "sqlite_place"


@pytest.fixture
def place(where: str, request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(where)
    return found


@pytest.fixture
def street(place: Place, mint: RealMint, tmp_path: Path) -> Iterator[Street]:
    models = tmp_path / "models.json"
    models.write_text(json.dumps({"models": [{"id": MODEL, "pricing": PRICING}]}))
    url = f"sqlite:///{place.where}" if place.engine == "sqlite" else place.where
    settings = {**SETTINGS, "MODELS_PATH": str(models)}
    with UpstreamDouble() as own, UpstreamDouble() as dear:
        address = new_address(url, mint.url, own.base_url)
        with Service(address, tmp_path / "home", settings) as service:
            client = open_account(service.base_url, mint.fund(50_000))
            yield Street(service, own, dear, client, url, tmp_path)


def test_a_provider_added_while_the_service_runs_is_known_to_every_worker(
    street: Street,
) -> None:
    before = street.served_by()
    street.own.behave(Behaviour(status=503))

    street.add_dear()
    street.until(lambda: street.client.chat().status == 200)
    street.until(lambda: _all_serve(street))

    assert before == {"default"}
    assert street.served_by() == {"dear"}
    assert {request.headers["authorization"] for request in street.dear.requests} == {
        f"Bearer {DEAR_KEY}"
    }
    street.service.command("provider", "set", "default", "--priority", "3")
    street.service.command("provider", "disable", "dear")
    street.own.behave(Behaviour())
    street.until(lambda: street.served_by() == {"default"})


def _all_serve(street: Street) -> bool:
    with ThreadPoolExecutor(12) as threads:
        return {200} == {
            r.status for r in threads.map(lambda _: street.client.chat(), range(12))
        }


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("where", ENGINES)
def test_failover_charges_the_route_that_served_to_the_msat(
    street: Street, place: Place, *, stream: bool
) -> None:
    """M17, M45: the hold covers the dearer, one charge, and the client's balance agrees."""
    street.add_dear()
    street.until(lambda: _has_two_routes(street))
    before_msat, _ = street.client.msat()
    asked = len(street.dear.requests)
    street.own.behave(Behaviour(hangs_up_unanswered=True))

    reply = street.client.chat(stream=stream)

    assert reply.status == 200
    after_msat, held_msat = street.client.msat()
    assert (before_msat - after_msat, held_msat) == (DEAR_COST_MSAT, 0)
    assert len(street.dear.requests) == asked + 1
    events = log_of(place.open())
    charged = [event for event in events if isinstance(event, Charged)][-1]
    held = [event for event in events if isinstance(event, Held)][-1]
    assert (held.terms.route, charged.terms.route) == ("default", "dear")
    assert charged.cost_msat == charged.from_hold_msat == DEAR_COST_MSAT
    # Four words in, 64 tokens out at most: less than three times the own provider's price.
    assert held.amount_msat > 64 * 66
    assert "0 differences" in said(street.url, "verify").decode()


def _has_two_routes(street: Street) -> bool:
    """Tell whether every worker sizes a payment for the dearer provider."""
    prices = Counter(
        requests.get(f"{street.service.base_url}/v1/models", timeout=10.0).json()["data"][0][
            "sats_pricing"
        ]["max_cost"]
        for _ in range(4 * WORKERS)
    )
    dear_sat = (1_000_000 * 33 + 32_000 * 66 + 3_300) / 1_000
    return list(prices) == [pytest.approx(dear_sat)]


def test_a_provider_that_refuses_our_key_rests_and_is_tried_again(street: Street) -> None:
    street.add_dear()
    street.until(lambda: _has_two_routes(street))
    street.own.behave(Behaviour(status=401))

    street.until(lambda: _rests(street))
    street.own.behave(Behaviour())
    street.until(lambda: street.served_by() == {"default"})

    assert "provider rests" in street.service.log
    assert "provider is back" in street.service.log


def _rests(street: Street) -> bool:
    """Tell whether no worker asks the settings' provider just now."""
    asked = len(street.own.requests)
    return street.served_by(24) == {"dear"} and len(street.own.requests) == asked


def test_models_and_prices_follow_the_providers_own_list(street: Street, place: Place) -> None:
    listed = {"data": [{"id": MODEL, "pricing": {**PRICING, "request": "0.0005"}}]}
    street.dear.behave(Behaviour(body=json.dumps(listed).encode()))
    street.service.command("provider", "add", "list", street.dear.base_url, "--refresh")
    street.dear.behave(Behaviour())

    street.until(lambda: street.served_by() == {"list"})

    shown = requests.get(f"{street.service.base_url}/v1/models/{MODEL}", timeout=10.0).json()
    assert shown["upstream_provider_id"] == "list"
    assert shown["forwarded_model_id"] == MODEL
    assert shown["pricing"]["request"] == 0.0005
    charged = [event for event in log_of(place.open()) if isinstance(event, Charged)][-1]
    assert charged.cost_msat == COST_MSAT - 500
    assert "0 differences" in said(street.url, "verify").decode()


@pytest.mark.parametrize("where", ENGINES)
def test_keys_and_addresses_of_providers_are_told_to_nobody(
    street: Street, place: Place, tmp_path: Path
) -> None:
    """M48."""
    street.add_dear("--priority", "-1")
    street.until(lambda: _has_two_routes(street))
    street.own.behave(Behaviour(status=402))
    street.until(lambda: street.served_by() == {"dear"})
    street.dear.behave(Behaviour(status=401))
    told = [street.client.chat().body, street.client.chat(stream=True).body]
    listed = street.service.command("provider", "list", "--json")
    for path in ("/v1/models", "/v1/info", "/"):
        answer = requests.get(street.service.base_url + path, timeout=10.0)
        told += [answer.content, str(answer.headers).encode()]
    changed = street.service.command("provider", "set", "default", "--priority", "1")
    street.service.command("provider", "remove", "dear", "--yes")
    found = {name: data for name, data in files_below(tmp_path).items() if ".json" not in name}
    found |= tables_of(street.url) if place.engine == "postgresql" else {}
    for layout in ("beancount", "hledger", "csv", "jsonl"):
        found[layout] = said(street.url, "export", "--format", layout)
    found |= {"listed": listed.encode(), "changed": changed.encode()}

    secrets = [OWN_KEY.encode(), DEAR_KEY.encode()]
    secrets += [base64.b64encode(key)[:12] for key in secrets]
    assert {name for name, data in found.items() for key in secrets if key in data} == set()
    addresses = [double.base_url.encode() for double in (street.own, street.dear)]
    assert [body for body in told for each in (*secrets, *addresses) if each in body] == []
    assert b"upstream_refused" in told[0]
    assert any(b"provider.set" in data for data in found.values())


@pytest.mark.postgres
@pytest.mark.parametrize("where", ["postgres_place"])
def test_no_connection_to_the_store_is_held_while_answers_stream(
    street: Street, place: Place
) -> None:
    """M46: more streams than a worker's pool has connections, and others are served."""
    streams = 12 * WORKERS
    slow = f"{MODEL}+delay-400"
    models = street.home / "slow.json"
    models.write_text(json.dumps([{"id": slow, "pricing": PRICING}]))
    street.service.command("provider", "set", "default", "--models", str(models))
    street.until(lambda: _all_list(street, slow))

    with ThreadPoolExecutor(streams) as threads:
        begun = len(street.own.requests)
        answers = [
            threads.submit(street.client.chat, stream=True, model=slow) for _ in range(streams)
        ]
        street.until(lambda: len(street.own.requests) >= begun + streams)
        busy = _in_transaction(place.where)
        available_msat, held_msat = street.client.msat()
        replies = [answer.result() for answer in answers]

    assert busy == []
    assert held_msat > 0
    assert available_msat > 0
    assert all(reply.is_whole_stream for reply in replies)
    assert street.client.msat()[1] == 0


def _all_list(street: Street, model: str) -> bool:
    """Tell whether every worker sells `model`."""
    path = f"{street.service.base_url}/v1/models/{model}"
    return all(requests.get(path, timeout=10.0).ok for _ in range(6 * WORKERS))


def _in_transaction(url: str) -> list[tuple[Any, ...]]:
    """Return the sessions that are idle within a transaction, which would hold rows up."""
    with psycopg.connect(url) as db:
        return db.execute(
            "SELECT pid, query FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
        ).fetchall()
