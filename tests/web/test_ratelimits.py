"""Rate limits of the paid routes, of creation, and whose address counts."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from app.web.app import create_web
from app.web.ratelimits import Limits, RealAddress, asked_for
from tests.doubles.upstream import Behaviour
from tests.web.conftest import COST_MSAT, QUESTION, bearer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.test import TestResponse

    from tests.web.conftest import House

CREDIT_MSAT = 999_000
# 15 + 4 words are counted by the sample upstream.
USED_TOKENS = 19


def limited(**limits: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("limits", [Limits(**limits)], ids=[""])


def ask(house: House, key: str, **members: Any) -> TestResponse:
    """Ask for a chat, and have read all of the answer, as a server makes sure of."""
    document = {"model": "maker/plain", "messages": QUESTION, "max_tokens": 50, **members}
    return house.client.post(
        "/v1/chat/completions", json=document, headers=bearer(key), buffered=True
    )


def reset_s(answer: TestResponse, of: str) -> str:
    return answer.headers[f"x-ratelimit-reset-{of}"]


@limited(requests_per_minute=2)
def test_one_request_too_many_is_refused_before_anything_is_held(house: House) -> None:
    key, other = house.key(), house.key()

    first, second, third = (ask(house, key) for _ in range(3))

    error = third.get_json()["error"]
    assert (first.status_code, second.status_code, third.status_code) == (200, 200, 429)
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "requests")
    assert 0 < int(third.headers["Retry-After"]) <= 30
    assert int(third.headers["retry-after-ms"]) <= 30_000
    assert len(house.upstream.requests) == 2
    assert house.wallet(key)["balance"] == CREDIT_MSAT - 2 * COST_MSAT
    assert ask(house, other).status_code == 200


@limited(requests_per_minute=2)
def test_every_answer_tells_what_is_left(house: House) -> None:
    key = house.key()

    answers = [ask(house, key), ask(house, key, model="nobody's"), ask(house, key)]

    told = [
        (answer.status_code, answer.headers["x-ratelimit-remaining-requests"])
        for answer in answers
    ]
    assert told == [(200, "1"), (400, "0"), (429, "0")]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"2"}
    assert all(reset_s(answer, "requests").endswith("s") for answer in answers)
    assert "x-ratelimit-limit-tokens" not in answers[0].headers


@limited(tokens_per_minute=100)
def test_tokens_count_as_asked_for_at_first_and_as_used_in_the_end(house: House) -> None:
    key = house.key()

    first = ask(house, key, max_tokens=50)
    second = ask(house, key, max_tokens=1)

    left = int(first.headers["x-ratelimit-remaining-tokens"])
    assert first.headers["x-ratelimit-limit-tokens"] == "100"
    # The text is about thirty tokens by its bytes; of the fifty, few were written.
    assert left < 50
    assert left < int(second.headers["x-ratelimit-remaining-tokens"]) <= 100 - USED_TOKENS


@limited(tokens_per_minute=100)
def test_a_request_for_more_tokens_than_are_left_is_refused_and_costs_nothing(
    house: House,
) -> None:
    key = house.key()
    # It says nothing of a bound, and writes more than was thought.
    house.upstream.behave(Behaviour(body=completion(tokens=90)))
    ask(house, key, max_tokens=None)

    refused = ask(house, key, max_tokens=50)

    error = refused.get_json()["error"]
    assert (refused.status_code, error["type"]) == (429, "tokens")
    assert error["code"] == "rate_limit_exceeded"
    assert int(refused.headers["Retry-After"]) > 0
    assert len(house.upstream.requests) == 1


@limited(tokens_per_minute=100)
def test_a_request_that_can_never_pass_must_not_be_repeated(house: House) -> None:
    refused = ask(house, house.key(), max_tokens=1_000)

    assert refused.status_code == 429
    assert refused.get_json()["error"]["type"] == "tokens"
    assert refused.headers["x-should-retry"] == "false"
    assert "Retry-After" not in refused.headers


@limited(tokens_per_minute=1_000)
def test_what_was_not_served_counts_for_no_tokens(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(status=500))

    for _ in range(20):
        answer = ask(house, key, max_tokens=500)
        assert answer.status_code == 500


@limited(at_once=1)
def test_a_stream_counts_until_it_ends(house: House) -> None:
    key = house.key()
    document = {"model": "bare", "messages": QUESTION, "max_tokens": 50, "stream": True}
    stream = house.client.post(
        "/v1/chat/completions", json=document, headers=bearer(key), buffered=False
    )

    meanwhile = ask(house, key)
    stream.close()
    afterwards = ask(house, key)

    answers = (stream, meanwhile, afterwards)
    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert meanwhile.get_json()["error"]["code"] == "rate_limit_exceeded"
    assert meanwhile.headers["Retry-After"] == "1"


@limited(requests_per_minute=2, at_once=1)
def test_doors_that_are_renewed_go_on_counting(house: House) -> None:
    key = house.key()
    document = {"model": "bare", "messages": QUESTION, "max_tokens": 50, "stream": True}
    stream = house.client.post(
        "/v1/chat/completions", json=document, headers=bearer(key), buffered=False
    )

    house.doors.limits.change(Limits(requests_per_minute=3, at_once=1))
    renewed = replace(house, client=create_web(house.doors).test_client())
    meanwhile = ask(renewed, key)
    stream.close()
    answers = [ask(renewed, key), ask(renewed, key), ask(renewed, key)]

    assert meanwhile.status_code == 429
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "3"


@limited(at_once=1)
def test_a_request_that_fails_counts_no_longer(house: House) -> None:
    key = house.key()

    statuses = [ask(house, key, model="nobody's").status_code for _ in range(3)]

    assert statuses == [400, 400, 400]


@limited(creations_per_minute=2)
def test_strangers_of_one_address_cannot_open_accounts_without_end(house: House) -> None:
    def create(address: str) -> int:
        return house.client.post(
            "/v1/wallet/create",
            json={"initial_balance_token": house.mint.fund(10)},
            environ_overrides={"REMOTE_ADDR": address},
        ).status_code

    statuses = [create("203.0.113.1") for _ in range(3)]
    of_one_household = [create(f"2001:db8::{place}") for place in range(3)]

    assert statuses == [200, 200, 429]
    assert of_one_household == [200, 200, 429]
    assert create("203.0.113.2") == 200


@limited(creations_per_minute=2)
def test_what_a_key_is_needed_for_is_not_counted_by_address(house: House) -> None:
    key = house.key()

    assert {house.client.get("/v1/models").status_code for _ in range(5)} == {200}
    assert {ask(house, key).status_code for _ in range(5)} == {200}


def completion(tokens: int) -> bytes:
    message = {"role": "assistant", "content": "well"}
    usage = {"prompt_tokens": 4, "completion_tokens": tokens, "total_tokens": 4 + tokens}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps(
        {"object": "chat.completion", "choices": choices, "usage": usage}
    ).encode()


@pytest.mark.parametrize(
    ("document", "tokens"),
    [
        ({}, 0),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 5, "max_completion_tokens": 7, "n": 3}, 21),
        ({"max_output_tokens": 9, "n": None}, 9),
        ({"max_tokens": -5, "n": -1}, 0),
        ({"max_tokens": "5", "n": "2"}, 0),
        ({"max_tokens": 5.5}, 0),
    ],
)
def test_what_a_request_asks_to_be_written(document: dict[str, Any], tokens: int) -> None:
    assert asked_for(document) == tokens


@pytest.mark.parametrize(
    ("peer", "forwarded", "seen"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.66, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", "not an address", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.66, not an address", "10.0.0.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("", "198.51.100.1", ""),
    ],
)
def test_only_what_our_own_proxies_have_written_is_believed(
    peer: str, forwarded: str, seen: str
) -> None:
    addresses = []

    def app(environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
        addresses.append(environ["REMOTE_ADDR"])
        return []

    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    proxies = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]

    RealAddress(app, proxies)(environ, lambda *_: lambda _: None)

    assert addresses == [seen]


def test_without_limits_nothing_is_told_of_them(house: House) -> None:
    answer = ask(house, house.key())

    assert not [name for name, _ in answer.headers if name.lower().startswith("x-ratelimit")]
