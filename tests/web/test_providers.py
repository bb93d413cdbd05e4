"""The directory of providers, as clients read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from app.discovery.announcement import announcements
from app.store.nostr_rows import PROVIDERS, NostrRows
from app.store.threads import beside_the_hub
from app.web import headers, problems, providers
from tests.gateways.nostr.given import ALICE, BOB, NOW_S, signed
from tests.store.places import SqlitePlace
from tests.web.described import watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask.testing import FlaskClient

    from app.store.sqlite import SqliteStore

HEALTH = {"status_code": 200, "endpoint": "info", "json": {"name": "Shop"}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    place = SqlitePlace(tmp_path)
    store = place.open()
    NostrRows(store).replace(
        PROVIDERS,
        [
            (f"{each.pubkey}:{each.id}", json.dumps(each.document()), json.dumps(HEALTH))
            for each in announcements([signed(ALICE), signed(BOB)], NOW_S)
        ],
    )
    yield store
    place.close()


@pytest.fixture
def client(store: SqliteStore) -> Iterator[FlaskClient]:
    app = web(store, is_kept=True)
    otherwise = watch(app)
    yield app.test_client()
    assert otherwise == []


def web(store: SqliteStore, *, is_kept: bool) -> Flask:
    app = Flask(__name__)
    app.url_map.strict_slashes = False
    app.register_error_handler(Exception, problems.answer)
    headers.attach(app)
    app.register_blueprint(providers.blueprint(beside_the_hub(store), is_kept=is_kept))
    return app


def told(client: FlaskClient, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/providers/{query}").get_json()["providers"]
    return found


def test_providers_are_told_in_the_order_they_were_found(client: FlaskClient) -> None:
    first, second = told(client)

    assert (first["pubkey"], second["pubkey"]) == (ALICE.public, BOB.public)
    assert (first["id"], first["d_tag"], first["kind"]) == ("shop", "shop", 38_421)
    assert first["endpoint_urls"] == ["https://shop.example.com"]
    assert first["name"] == "Shop"


@pytest.mark.parametrize("word", ["true", "True", "1"])
def test_what_each_said_is_told_to_whoever_asks(client: FlaskClient, word: str) -> None:
    first, _ = told(client, f"?include_json={word}")

    assert first["health"] == HEALTH
    assert first["provider"] == told(client)[0]


def test_one_key_can_be_asked_for(client: FlaskClient) -> None:
    assert [each["pubkey"] for each in told(client, f"?pubkey={BOB.public}")] == [BOB.public]
    assert told(client, "?pubkey=nobody") == []


def test_the_address_is_read_without_its_slash_too(client: FlaskClient) -> None:
    assert len(client.get("/v1/providers").get_json()["providers"]) == 2


def test_a_house_without_a_directory_says_so(store: SqliteStore) -> None:
    answer = web(store, is_kept=False).test_client().get("/v1/providers/")

    assert answer.status_code == 404
    assert answer.get_json()["error"]["code"] == "not_found"
    assert answer.get_json()["detail"] == "This house keeps no directory of providers."
