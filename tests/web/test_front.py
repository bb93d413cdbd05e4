from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.web.front import Front
from tests.doubles.upstream import Behaviour

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.test import TestResponse

    from tests.web.conftest import House

CHAT = {"model": "plain", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
REQUESTS: dict[str, dict[str, Any]] = {
    "a chat": CHAT,
    "a stream": CHAT | {"stream": True},
    "an unknown model": CHAT | {"model": "nobody's"},
    "a senseless bound": CHAT | {"max_tokens": -1},
}
# What differs from one request to the next.
OWN = {"x-request-id", "x-routstr-request-id", "date"}


def post(house: House, key: str, body: bytes, **headers: str) -> TestResponse:
    return house.client.post(
        "/v1/chat/completions", data=body, headers={"Authorization": f"Bearer {key}", **headers}
    )


def told(answer: TestResponse) -> tuple[int, dict[str, str], str]:
    """Return all of an answer that does not name it."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    request_id = headers["x-request-id"]
    kept = {name: value for name, value in headers.items() if name not in OWN}
    return answer.status_code, kept, answer.get_data(as_text=True).replace(request_id, "id")


@pytest.mark.parametrize("document", REQUESTS.values(), ids=REQUESTS)
def test_the_front_answers_as_flask_does(house: House, document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()

    by_flask = told(post(house, house.key(), body))
    key = house.key()
    post(house, key, b"{")
    by_front = told(post(house, key, body))

    assert by_front == by_flask


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b"x" * 70_000])
def test_the_front_refuses_as_flask_does(house: House, body: bytes) -> None:
    key = house.key()

    by_flask, by_front = told(post(house, key, body)), told(post(house, key, body))

    assert by_front[0] >= 400
    assert by_front == by_flask


def test_the_front_tells_a_refusal_of_the_upstream_as_flask_does(house: House) -> None:
    house.upstream.behave(Behaviour(status=400, headers={"retry-after": "7"}))
    key, body = house.key(), json.dumps(CHAT).encode()

    by_flask, by_front = told(post(house, key, body)), told(post(house, key, body))

    assert by_front[1]["retry-after"] == "7"
    assert by_front == by_flask


def test_a_known_account_is_served_without_flask(house: House) -> None:
    key = house.key()
    post(house, key, b"{")
    front = house.app.wsgi_app
    assert isinstance(front, Front)
    front._app = nobody

    answer = post(house, key, json.dumps(CHAT).encode())

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"X-Cashu": "cashuBo2F0"}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer x"}],
)
def test_who_is_not_known_is_left_to_flask(house: House, headers: dict[str, str]) -> None:
    key = house.key()
    post(house, key, b"{")
    front = house.app.wsgi_app
    assert isinstance(front, Front)
    front._app = nobody

    with pytest.raises(LookupError):
        post(house, key, json.dumps(CHAT).encode(), **headers)


def nobody(_environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
    raise LookupError
