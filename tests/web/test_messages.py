"""Anthropic's Messages API: who pays, what it costs, and how errors are told there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.doubles.dialects import ANSWER, CACHED_TOKENS, WRITTEN_TOKENS, named
from tests.doubles.upstream import Behaviour
from tests.web.conftest import UPSTREAM_KEY, bearer

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.web.conftest import House

PATH = "/v1/messages"
QUESTION = [{"role": "user", "content": "how are you today?"}]
ASKED = {"model": "cached", "messages": QUESTION, "max_tokens": 50}
# Four words at 10 msat, five tokens from the cache at 1, two into it at 12 and one, for an
# hour, at 20; four words out at 50; the request 100.
COST_MSAT = 100 + 4 * 10 + CACHED_TOKENS * 1 + 2 * 12 + 20 + 4 * 50
CREDIT_MSAT = 999_000
VERSION = {"anthropic-version": "2023-06-01", "anthropic-beta": "some-beta-1"}
SSE = {"content-type": "text/event-stream"}


def ask(house: House, key: str, path: str = PATH, **members: Any) -> TestResponse:
    """Ask as Anthropic's own client does."""
    headers = {"x-api-key": key, **VERSION}
    return house.client.post(path, json={**ASKED, **members}, headers=headers)


def events(answer: TestResponse) -> list[tuple[str, dict[str, Any]]]:
    """Return the name and the JSON of each event."""
    parts = answer.get_data(as_text=True).strip().split("\n\n")
    pairs = [part.split("\ndata: ") for part in parts]
    return [(name.removeprefix("event: "), json.loads(data)) for name, data in pairs]


def paid_msat(house: House, key: str) -> int:
    wallet = house.wallet(key)
    assert wallet["reserved"] == 0
    return CREDIT_MSAT - int(wallet["balance"])


def test_a_message_is_served_and_paid_to_the_msat(house: House) -> None:
    key = house.key()

    answer = ask(house, key)

    document = answer.get_json()
    assert answer.status_code == 200
    assert document["content"] == [{"type": "text", "text": ANSWER}]
    assert document["usage"]["cost"]["total_msats"] == COST_MSAT == 389
    assert document["usage"]["cost"]["cache_creation_input_tokens"] == WRITTEN_TOKENS
    assert document["usage"]["cost"]["cache_creation_msats"] == 2 * 12 + 20
    assert document["cost"]["input_tokens"] == 4 + CACHED_TOKENS + WRITTEN_TOKENS
    assert answer.headers["x-routstr-cost-msats"] == str(COST_MSAT)
    assert paid_msat(house, key) == COST_MSAT


def test_a_streamed_message_is_told_its_cost_before_its_last_event(house: House) -> None:
    key = house.key()

    answer = ask(house, key, stream=True)

    names = [name for name, _ in events(answer)]
    assert names[-3:] == ["message_delta", "cost", "message_stop"]
    _, cost = events(answer)[-2]
    # Clients that go by the type alone break at one they do not know.
    assert cost["type"] == "ping"
    assert cost["cost"]["total_msats"] == COST_MSAT
    assert b"[DONE]" not in answer.data
    assert paid_msat(house, key) == COST_MSAT


def test_a_stream_is_asked_for_as_its_client_did(house: House) -> None:
    ask(house, house.key(), stream=True)

    assert house.upstream.requests[-1].document == {**ASKED, "stream": True}


@pytest.mark.parametrize("name", ["x-api-key", "Authorization"])
def test_a_key_is_taken_from_either_header_and_goes_no_further(house: House, name: str) -> None:
    key = house.key()
    value = key if name == "x-api-key" else f"Bearer {key}"

    answer = house.client.post(PATH, json=ASKED, headers={name: value, **VERSION})

    headers = house.upstream.requests[-1].headers
    assert answer.status_code == 200
    assert headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert key not in str(headers)
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["anthropic-beta"] == "some-beta-1"


def test_a_token_pays_as_an_api_key(house: House) -> None:
    token = house.mint.fund(1000)

    answer = ask(house, token)

    assert answer.status_code == 200
    assert house.wallet(token)["balance"] == CREDIT_MSAT - COST_MSAT


def test_a_token_pays_for_one_message_and_its_change_comes_back(house: House) -> None:
    answer = house.client.post(PATH, json=ASKED, headers={"X-Cashu": house.mint.fund(100)})

    assert answer.status_code == 200
    assert answer.headers["X-Cashu"].startswith("cashuB")
    assert "cost" in answer.get_json()


def test_a_stranger_is_told_the_price(house: House) -> None:
    answer = house.client.post(PATH, json=ASKED)

    assert answer.status_code == 402
    assert answer.headers["X-Cashu"].startswith("creqA")
    assert answer.get_json()["type"] == "error"
    assert answer.get_json()["error"]["type"] == "billing_error"


@pytest.mark.parametrize(
    ("key", "members", "status", "kind", "code"),
    [
        ("sk-nobody", {}, 401, "authentication_error", "invalid_api_key"),
        (None, {"model": "nobody/none"}, 400, "invalid_request_error", "model_not_found"),
        (None, {"max_tokens": "many"}, 400, "invalid_request_error", "invalid_value"),
        (None, {"max_tokens": 900_000}, 402, "billing_error", "insufficient_balance"),
    ],
)
def test_errors_are_in_both_tongues(
    house: House, key: str | None, members: dict[str, Any], status: int, kind: str, code: str
) -> None:
    answer = ask(house, key or house.key(), **members)

    document = answer.get_json()
    assert answer.status_code == status
    assert document["type"] == "error"
    assert (document["error"]["type"], document["error"]["code"]) == (kind, code)
    assert document["detail"]["error"]["code"] == code
    assert document["request_id"] == answer.headers["x-request-id"]
    assert house.upstream.requests == []


def test_what_existing_clients_go_by_stays_under_detail(house: House) -> None:
    answer = ask(house, house.key(), max_tokens=900_000)

    assert answer.get_json()["detail"]["error"]["type"] == "insufficient_quota"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/count_tokens", "/messages"])
def test_other_methods_are_refused_in_its_tongue(house: House, path: str, method: str) -> None:
    answer = house.client.open(path, method=method)

    assert answer.status_code == 405
    assert answer.get_json()["type"] == "error"
    assert answer.get_json()["error"]["code"] == "method_not_allowed"


def test_batches_of_messages_are_not_offered(house: House) -> None:
    answer = house.client.post(f"{PATH}/batches", json={}, headers={"x-api-key": "sk-x"})

    assert answer.status_code == 404
    assert answer.get_json()["error"]["type"] == "not_found_error"
    assert PATH in answer.get_json()["error"]["message"]


def test_elsewhere_errors_are_openais(house: House) -> None:
    answer = house.client.post("/v1/chat/completions", json={}, headers=bearer("sk-nobody"))

    assert "type" not in answer.get_json()


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (529, {"type": "overloaded_error", "message": "Overloaded"}, "overloaded_error"),
        (429, {"type": "rate_limit_error", "message": "slow down"}, "rate_limit_error"),
        (400, {"type": "invalid_request_error", "message": "no"}, "invalid_request_error"),
        (404, {"type": "not_found_error", "message": "model: x"}, "not_found_error"),
    ],
)
def test_the_upstreams_errors_keep_their_type(
    house: House, status: int, told: dict[str, str], kind: str
) -> None:
    key = house.key()
    body = json.dumps({"type": "error", "error": told, "request_id": "req_secret"}).encode()
    house.upstream.behave(Behaviour(status=status, body=body))

    answer = ask(house, key)

    assert answer.status_code == status
    assert answer.get_json()["error"]["type"] == kind
    assert answer.get_json()["error"]["message"] == told["message"]
    assert b"req_secret" not in answer.data
    assert paid_msat(house, key) == 0


NOT_THERE = [
    {"error": {"message": "Unknown request URL: POST /v1/messages.", "code": "unknown_url"}},
    {"error": {"message": "Invalid URL (POST /v1/messages)", "code": None}},
    {"error": {"message": "File Not Found", "code": 404}},
    {"error": "Unexpected endpoint or method. (POST /v1/messages)"},
    {"detail": "Not Found"},
    None,
]


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("told", NOT_THERE)
def test_an_upstream_without_this_api_is_told_in_plain_words(
    house: House, told: object, status: int
) -> None:
    key = house.key()
    body = b"<html>" if told is None else json.dumps(told).encode()
    house.upstream.behave(Behaviour(status=status, body=body))

    answer = ask(house, key)

    error = answer.get_json()["error"]
    assert answer.status_code == status
    assert error["code"] == "not_offered_by_upstream"
    assert "/v1/chat/completions" in error["message"]
    assert paid_msat(house, key) == 0


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": [{"type": "code_execution_20250522", "name": "x"}]}, "tools"),
        ({"tools": [{"type": 5}]}, "tools"),
        ({"mcp_servers": [{"type": "url", "url": "https://x.example"}]}, "mcp_servers"),
        ({"speed": "fast"}, "speed"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"Max_Tokens": 5}, "Max_Tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 10**12}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_what_nobody_here_can_count_is_refused_before_money_moves(
    house: House, members: dict[str, Any], param: str
) -> None:
    key = house.key()
    head = house.store.head()

    answer = ask(house, key, **members)

    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param
    assert (house.store.head(), house.upstream.requests) == (head, [])


def test_tools_of_the_client_and_searches_are_let_through(house: House) -> None:
    tools = [
        {"name": "get_weather", "input_schema": {"type": "object"}},
        {"type": "custom", "name": "x", "input_schema": {"type": "object"}},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 1},
    ]

    answer = ask(house, house.key(9_000), tools=tools)

    assert answer.status_code == 200
    assert house.upstream.requests[-1].document["tools"] == tools


def test_searches_cost_their_price_and_what_they_had_read(house: House) -> None:
    """The last usage counts the input of all turns, the first one of the first."""
    key = house.key(9_000)
    start = {"input_tokens": 20, "output_tokens": 1}
    end = {
        "input_tokens": 300,
        "output_tokens": 10,
        "server_tool_use": {"web_search_requests": 1},
    }
    chunks = [
        named("message_start", message={"id": "m", "usage": start}),
        named("content_block_delta", delta={"type": "text_delta", "text": "Hi"}),
        named("message_delta", delta={}, usage=end),
        named("message_stop"),
    ]
    house.upstream.behave(Behaviour(headers=SSE, chunks=chunks))
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]

    answer = ask(house, key, tools=tools, stream=True)

    _, cost = events(answer)[-2]
    assert cost["cost"]["total_msats"] == 100 + 300 * 10 + 10 * 50 + 10_000
    assert house.wallet(key)["balance"] == 8_999_000 - 13_600


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_counting_tokens_costs_the_request_and_no_token(house: House, prefix: str) -> None:
    key = house.key()

    answer = ask(house, key, f"{prefix}/messages/count_tokens")

    assert answer.get_json()["input_tokens"] == 4
    assert answer.headers["x-routstr-cost-msats"] == "100"
    assert paid_msat(house, key) == 100


def test_counting_tokens_is_free_where_a_request_is(house: House) -> None:
    key = house.key()

    answer = ask(house, key, f"{PATH}/count_tokens", model="bare")

    assert answer.status_code == 200
    assert paid_msat(house, key) == 0


def test_a_message_that_breaks_off_is_charged_for_what_was_said(house: House) -> None:
    """Until its end only the input was told: what was written is estimated."""
    key = house.key()
    house.upstream.behave(Behaviour(drops_after_chunks=7))

    answer = ask(house, key, stream=True)

    name, fault = events(answer)[-1]
    assert (name, fault["type"], fault["error"]["type"]) == ("error", "error", "api_error")
    assert "upstream" in fault["error"]["message"]
    # Thirteen characters are four tokens.
    assert ANSWER == "I am a double"
    assert paid_msat(house, key) == COST_MSAT


def test_a_message_that_breaks_off_before_a_word_is_free(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(drops_after_chunks=2))

    answer = ask(house, key, stream=True)

    assert events(answer)[-1][0] == "error"
    assert paid_msat(house, key) == 0


def test_a_client_that_hangs_up_pays_for_what_was_used(house: House) -> None:
    """The usage of the beginning must not be taken for that of the end (M19)."""
    key = house.key()
    house.upstream.behave(Behaviour(chunk_delay_s=0.005))
    answer = ask(house, key, stream=True)

    next(iter(answer.response))
    answer.close()

    assert paid_msat(house, key) == COST_MSAT
    assert house.open_holds() == 0
