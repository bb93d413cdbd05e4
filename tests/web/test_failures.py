from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.doubles.upstream import Behaviour

if TYPE_CHECKING:
    from tests.web.conftest import House


def fails(status: int, error: object = None, **headers: str) -> Behaviour:
    body = json.dumps({"error": error}).encode() if error is not None else b"<html>no</html>"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Behaviour(status=status, body=body, headers=named)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503])
def test_an_upstreams_error_costs_nothing_and_keeps_its_status(
    house: House,
    status: int,
    stream: bool,  # noqa: FBT001  # one of a pair
) -> None:
    key = house.key()
    house.upstream.behave(fails(status, {"message": "no"}))

    answer = house.ask(key, stream=stream)

    assert answer.status_code == status
    assert answer.get_json()["error"]["message"] == "no"
    assert house.wallet(key) == {"api_key": key, "balance": 999_000, "reserved": 0}


def test_an_error_about_the_request_goes_through_with_its_code(house: House) -> None:
    error = {
        "message": "too long",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
    house.upstream.behave(fails(400, error))

    answer = house.ask(house.key())

    assert answer.get_json()["error"] == error
    assert answer.get_json()["detail"] == {"error": error}
    assert answer.get_json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("status", [401, 402, 403, 407])
def test_what_the_upstream_thinks_of_our_key_is_not_told_of_the_clients(
    house: House, status: int
) -> None:
    house.upstream.behave(fails(status, {"message": "bad key sk-abc123", "code": "x"}))

    answer = house.ask(house.key())

    assert answer.status_code == 502
    assert answer.get_json()["error"]["type"] == "upstream_error"
    assert b"bad key" not in answer.data


@pytest.mark.parametrize(
    "error",
    [
        {"message": "You exceeded your quota", "type": "insufficient_quota"},
        {"message": "You exceeded your quota", "code": "insufficient_quota"},
        {"message": "no money", "code": "insufficient_balance"},
    ],
)
def test_the_houses_empty_purse_is_not_told_as_the_clients(
    house: House, error: dict[str, Any]
) -> None:
    house.upstream.behave(fails(429, error))

    answer = house.ask(house.key())

    assert answer.status_code == 502
    assert answer.get_json()["error"]["code"] == "upstream_refused"
    assert b"insufficient" not in answer.data


def test_a_rate_limit_says_when_to_come_back(house: House) -> None:
    house.upstream.behave(fails(429, {"message": "slow down"}, retry_after="7"))

    told = house.ask(house.key())

    assert told.get_json()["error"]["code"] == "UPSTREAM_RATE_LIMIT"
    assert told.headers["retry-after"] == "7"


def test_a_rate_limit_that_names_no_time_says_to_come_back_soon(house: House) -> None:
    house.upstream.behave(fails(429, {"message": "slow down"}))

    untold = house.ask(house.key())

    assert untold.headers["retry-after"] == "5"


def test_an_upstream_that_wants_to_be_left_alone_is(house: House) -> None:
    house.upstream.behave(fails(429, {"message": "slow down"}, retry_after="600"))
    house.ask(house.key())
    house.upstream.behave(Behaviour())

    refused = house.ask(house.key())

    assert refused.status_code == 429
    assert refused.get_json()["error"]["code"] == "UPSTREAM_RATE_LIMIT"
    assert 590 <= int(refused.headers["retry-after"]) <= 600
    assert len(house.upstream.requests) == 1
    assert house.ask(house.key(), model="bare").status_code == 200


def test_the_operators_organization_is_not_named(house: House) -> None:
    message = "Rate limit reached in organization org-AbC123xyz for key sk-proj-12345"
    house.upstream.behave(fails(429, {"message": message}))

    answer = house.ask(house.key())

    assert b"AbC123xyz" not in answer.data
    assert b"12345" not in answer.data


@pytest.mark.parametrize("error", [None, "in words", ["a list"], {"message": {"a": 1}}])
def test_an_error_in_any_shape_is_told_in_ours(house: House, error: object) -> None:
    house.upstream.behave(fails(503, error))

    answer = house.ask(house.key())

    assert answer.status_code == 503
    assert set(answer.get_json()["error"]) == {"message", "type", "param", "code"}
    assert answer.get_json()["error"]["type"] == "upstream_error"
    assert b"<html>" not in answer.data


def test_an_upstream_that_hangs_up_costs_nothing(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(hangs_up_unanswered=True))

    answer = house.ask(key)

    assert answer.status_code == 502
    assert answer.get_json()["error"]["code"] == "upstream_request_failed"
    assert house.wallet(key) == {"api_key": key, "balance": 999_000, "reserved": 0}
