"""Messages and Responses of a model whose provider has chats alone: translated, and paid."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.gateways.mint.tokens import decode
from domain.hold import Charged, Held
from tests.doubles.upstream import Behaviour, UpstreamDouble
from tests.web.conftest import COST_MSAT, QUESTION, bearer
from tests.web.translating import (
    ANSWER,
    ASKED,
    BOTH,
    CALL,
    CHAT,
    COUNT_TOKENS,
    DONE,
    LACKING,
    MESSAGES,
    RESPONSES,
    SSE,
    USAGE,
    ask,
    chunk,
    events,
    log_of,
    paid_msat,
    streamed_text,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.conftest import House


@pytest.fixture
def upstream() -> Iterator[UpstreamDouble]:
    with UpstreamDouble(LACKING) as double:
        yield double


@BOTH
def test_it_is_answered_and_paid_to_the_msat(house: House, path: str) -> None:
    key = house.key()

    answer = ask(house, key, path)

    document = answer.get_json()
    assert answer.status_code == 200
    assert text_of(path, document) == ANSWER
    assert document["usage"]["input_tokens"] == 4
    assert document["usage"]["output_tokens"] == 15
    assert document["usage"]["cost"]["total_msats"] == COST_MSAT == 34
    assert document["cost"]["total_msats"] == COST_MSAT
    assert document["metadata"]["routstr"]["cost"]["total_msats"] == COST_MSAT
    assert answer.headers["x-routstr-cost-msats"] == str(COST_MSAT)
    assert answer.headers["x-routstr-provider"] == "test"
    assert paid_msat(house, key) == COST_MSAT


@BOTH
def test_a_stream_is_answered_and_paid_to_the_msat(house: House, path: str) -> None:
    key = house.key()

    answer = ask(house, key, path, stream=True)

    told = events(answer)
    assert streamed_text(told) == ANSWER
    assert b"[DONE]" not in answer.data
    assert b"chat.completion" not in answer.data
    cost = told[-2] if path == MESSAGES else told[-1]
    assert cost["cost"]["total_msats"] == COST_MSAT
    last = "message_stop" if path == MESSAGES else "response.completed"
    assert (told[-1]["type"], cost["type"]) == (last, "ping" if path == MESSAGES else last)
    assert paid_msat(house, key) == COST_MSAT


def test_the_chat_that_is_asked_is_bounded_and_tells_its_usage(house: House) -> None:
    headers = {**bearer(house.key()), "anthropic-version": "1", "anthropic-beta": "b"}
    house.client.post(MESSAGES, json={**ASKED[MESSAGES], "stream": True}, headers=headers)

    assert [seen.path for seen in house.upstream.requests] == [MESSAGES, CHAT]
    assert house.upstream.requests[-1].document == {
        "model": "maker/plain",
        "messages": QUESTION,
        "max_tokens": 50,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert not {"anthropic-version", "anthropic-beta"} & set(
        house.upstream.requests[-1].headers
    )


@BOTH
def test_what_a_provider_has_not_is_asked_for_once(house: House, path: str) -> None:
    key = house.key()

    for _ in range(3):
        assert ask(house, key, path).status_code == 200

    assert [seen.path for seen in house.upstream.requests] == [path, CHAT, CHAT, CHAT]
    assert paid_msat(house, key) == 3 * COST_MSAT


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called(house: House, path: str, *, stream: bool) -> None:
    key = house.key()
    message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    if stream:
        pieces = [
            chunk({"role": "assistant", "tool_calls": [{"index": 0, **CALL}]}),
            chunk({}, usage=USAGE, choices=[]),
            DONE,
        ]
        house.upstream.behave(Behaviour(chunks=pieces, headers=SSE))
    else:
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        body = json.dumps({"choices": [choice], "usage": USAGE}).encode()
        house.upstream.behave(Behaviour(body=body))

    answer = ask(house, key, path, stream=stream)

    document = events(answer)[-1] if stream else answer.get_json()
    if path == MESSAGES and stream:
        (delta,) = (e for e in events(answer) if e["type"] == "content_block_delta")
        assert delta["delta"] == {"type": "input_json_delta", "partial_json": '{"x":1}'}
    elif path == MESSAGES:
        (block,) = document["content"]
        assert (block["name"], block["input"]) == ("f", {"x": 1})
    else:
        (item,) = (document.get("response") or document)["output"]
        assert (item["name"], item["arguments"]) == ("f", '{"x":1}')
    assert paid_msat(house, key) == 7 + 2 * 3


REFUSED = [
    (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.type"),
    (MESSAGES, {"top_k": 3}, "top_k"),
    (
        MESSAGES,
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]},
        "messages[0].content[0].type",
    ),
    (MESSAGES, {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
    (RESPONSES, {"previous_response_id": "resp_1"}, "previous_response_id"),
    (RESPONSES, {"tools": [{"type": "web_search"}]}, "tools[0].type"),
    (RESPONSES, {"conversation": "conv_1"}, "conversation"),
]


@pytest.mark.parametrize(("path", "members", "field"), REFUSED)
def test_what_no_chat_can_say_is_refused_before_money_moves(
    house: House, path: str, members: dict[str, Any], field: str
) -> None:
    key, ticket = house.key(), house.mint.fund(1000)

    answers = [
        ask(house, key, path, **members),
        house.client.post(path, json={**ASKED[path], **members}, headers={"X-Cashu": ticket}),
        house.client.post(path, json={**ASKED[path], **members}),
        ask(house, ticket, path, **members),
    ]

    for answer in answers:
        error = answer.get_json()["error"]
        assert answer.status_code == 400
        assert (error["code"], error["param"]) == ("not_translatable", field)
        assert error["type"] == "invalid_request_error"
        assert field in error["message"]
        assert (answer.get_json().get("type") == "error") == (path == MESSAGES)
    assert [event for event in log_of(house) if isinstance(event, Held)] == []
    # It was found out by asking for nothing.
    assert [seen.body for seen in house.upstream.requests] == [b"{}"]
    house.spend(ticket)


def test_tokens_are_not_counted_for_a_provider_that_does_not(house: House) -> None:
    answer = house.client.post(COUNT_TOKENS, json=ASKED[MESSAGES], headers=bearer(house.key()))

    assert answer.status_code == 404
    assert answer.get_json()["error"]["code"] == "not_offered_by_upstream"


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_usage_that_is_not_told_is_estimated(house: House, path: str, *, stream: bool) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(omits_usage=True))

    answer = ask(house, key, path, stream=stream)

    assert answer.status_code == 200
    assert answer.data
    (charged,) = (event for event in log_of(house) if isinstance(event, Charged))
    assert charged.usage.estimated
    assert paid_msat(house, key) == charged.cost_msat > 0


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_a_token_pays_for_one_and_its_change_comes_back(
    house: House, path: str, *, stream: bool
) -> None:
    document = {**ASKED[path], "stream": stream}
    headers = {"X-Cashu": house.mint.fund(100)}

    answer = house.client.post(path, json=document, headers=headers)

    assert answer.status_code == 200
    change = decode(answer.headers["X-Cashu"])
    assert 0 < sum(proof.amount for proof in change.proofs) < 100


@BOTH
def test_a_request_sent_again_is_charged_once(house: House, path: str) -> None:
    key = house.key()
    headers = {**bearer(key), "Idempotency-Key": "one"}

    first, again = (
        house.client.post(path, json=ASKED[path], headers=headers) for _ in range(2)
    )

    assert (first.status_code, again.status_code) == (200, 409)
    assert again.get_json()["error"]["charged_msat"] == COST_MSAT
    assert paid_msat(house, key) == COST_MSAT


@BOTH
def test_it_has_a_receipt(house: House, path: str) -> None:
    key = house.key()
    answer = ask(house, key, path)

    name = answer.headers["x-request-id"]
    receipt = house.client.get(f"/v1/receipts/{name}", headers=bearer(key)).get_json()

    assert receipt["receipt"]["charged_msat"] == COST_MSAT
