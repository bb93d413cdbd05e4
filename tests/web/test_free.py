"""What may be read for nothing, where the operator has named it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.web.app import create_web
from app.web.free import blueprint
from tests.doubles.upstream import Behaviour
from tests.web.conftest import UPSTREAM_KEY, bearer

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.web.conftest import House

KNOWN = {"data": {"id": "gen-1", "model": "m"}}


@pytest.fixture
def client(house: House) -> FlaskClient:
    app = create_web(house.doors)
    app.register_blueprint(blueprint(("/generation",), house.doors.quotes.routes))
    house.upstream.behave(Behaviour(status=200, body=json.dumps(KNOWN).encode()))
    return app.test_client()


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_a_named_address_is_read_for_nothing(
    house: House, client: FlaskClient, prefix: str
) -> None:
    head = house.store.head()

    answer = client.get(f"{prefix}/generation?id=gen-1&x=%20")

    assert answer.get_json() == KNOWN
    assert house.upstream.requests[-1].path == "/v1/generation?id=gen-1&x=%20"
    assert house.store.head() == head


def test_it_is_asked_with_our_key_and_no_secret_of_the_client(
    house: House, client: FlaskClient
) -> None:
    client.get("/v1/generation", headers={**bearer("sk-mine"), "Cookie": "a=b"})

    headers = house.upstream.requests[-1].headers
    assert headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert "cookie" not in headers
    assert "sk-mine" not in str(headers)


def test_its_head_can_be_asked_for(client: FlaskClient) -> None:
    answer = client.head("/v1/generation")

    assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written_there(client: FlaskClient, method: str) -> None:
    assert client.open("/v1/generation", method=method).status_code == 405


@pytest.mark.parametrize(
    "path", ["/v1/generation/1", "/v1/key", "/v1/credits", "/v1/generations"]
)
def test_what_was_not_named_is_not_there(house: House, client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404
    assert house.upstream.requests == []


def test_the_house_names_nothing_by_itself(house: House) -> None:
    assert house.client.get("/v1/generation").status_code == 404


def test_an_error_there_says_nothing_of_the_operator(house: House, client: FlaskClient) -> None:
    error = {"error": {"message": "no access for org-AbCdEf123456"}}
    house.upstream.behave(
        Behaviour(status=400, body=json.dumps(error).encode(), headers={"set-cookie": "a=1"})
    )

    answer = client.get("/v1/generation")

    assert answer.status_code == 400
    assert answer.get_json()["error"]["message"] == "no access for [operator]"
    assert "set-cookie" not in answer.headers


def test_an_answer_that_is_too_long_is_not_kept(house: House, client: FlaskClient) -> None:
    house.upstream.behave(Behaviour(status=200, body=b"x" * (5 * 1024 * 1024)))

    assert client.get("/v1/generation").status_code == 502


def test_where_nobody_serves_it_is_said(house: House) -> None:
    app = create_web(house.doors)
    app.register_blueprint(blueprint(("/generation",), tuple))

    assert app.test_client().get("/v1/generation").status_code == 502
