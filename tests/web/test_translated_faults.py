"""What goes wrong where a chat is asked in place of another API: told in that, and paid."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.doubles.upstream import Behaviour, UpstreamDouble
from tests.web.translating import (
    BOTH,
    DONE,
    LACKING,
    MESSAGES,
    SSE,
    USAGE,
    ask,
    chunk,
    events,
    paid_msat,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.conftest import House


@pytest.fixture
def upstream() -> Iterator[UpstreamDouble]:
    with UpstreamDouble(LACKING) as double:
        yield double


NOT_CHUNKS = {
    "no JSON": b"data: {oh\n\n",
    "no chunk": b'data: {"foo": 1}\n\n',
    "a list": b"data: [1]\n\n",
    "a content that is none": chunk({"content": 5}),
}


@BOTH
@pytest.mark.parametrize("piece", NOT_CHUNKS.values(), ids=NOT_CHUNKS)
def test_a_stream_that_breaks_is_told_as_its_clients_read_it_and_charged_as_delivered(
    house: House, path: str, piece: bytes
) -> None:
    key = house.key()
    pieces = [chunk({"content": "Hello, you"}), piece, chunk({"content": "more"}), DONE]
    house.upstream.behave(Behaviour(chunks=pieces, headers=SSE))

    answer = ask(house, key, path, stream=True)

    told = events(answer)
    if path == MESSAGES:
        assert (told[-1]["type"], told[-1]["error"]["type"]) == ("error", "api_error")
    else:
        assert told[-1]["error"]["code"] == "upstream_broken"
    assert "upstream" in told[-1]["error"]["message"]
    assert "more" not in answer.get_data(as_text=True)
    assert 0 < paid_msat(house, key) < 200


@BOTH
def test_a_stream_that_is_none_from_its_start_costs_nothing(house: House, path: str) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(chunks=[b'data: {"foo": 1}\n\n', DONE], headers=SSE))

    answer = ask(house, key, path, stream=True)

    assert b'"error"' in answer.data
    assert paid_msat(house, key) == 0


@BOTH
def test_what_was_never_passed_on_was_not_delivered(house: House, path: str) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(chunks=[b'data: {"text": "Hello"}\n\n'], headers=SSE))

    ask(house, key, path, stream=True)

    assert paid_msat(house, key) == 0


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_answer_is_one_of_its_api_and_costs_nothing(
    house: House, path: str, *, stream: bool
) -> None:
    key = house.key()
    choice = {"index": 0, "message": {"content": ""}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice]}).encode()
    pieces = [chunk({"role": "assistant", "content": ""}), DONE]
    house.upstream.behave(
        Behaviour(chunks=pieces, headers=SSE) if stream else Behaviour(body=body)
    )

    answer = ask(house, key, path, stream=stream)

    told = events(answer)[-1]["type"] if stream else answer.get_json().keys()
    last = {"message_stop", "response.incomplete"}
    assert (told in last) if stream else ("content" in told or "output" in told)
    assert paid_msat(house, key) == 0


@BOTH
def test_a_stream_that_nobody_asked_for_is_no_answer(house: House, path: str) -> None:
    key = house.key()
    pieces = [chunk({"content": "Hello"}), DONE]
    house.upstream.behave(Behaviour(chunks=pieces, headers=SSE))

    answer = ask(house, key, path)

    assert answer.status_code == 502
    assert paid_msat(house, key) == 0


@BOTH
def test_an_answer_that_is_none_costs_nothing(house: House, path: str) -> None:
    key = house.key()
    choice = {"index": 0, "message": {"content": {"x": 1}}}
    body = json.dumps({"choices": [choice], "usage": USAGE}).encode()
    house.upstream.behave(Behaviour(body=body))

    answer = ask(house, key, path)

    assert answer.status_code == 502
    assert answer.get_json()["error"]["code"] == "upstream_request_failed"
    assert paid_msat(house, key) == 0


@BOTH
def test_an_upstream_that_fails_in_its_stream_is_told_without_its_operator(
    house: House, path: str
) -> None:
    key = house.key()
    error = {"message": "Overloaded, organization org-abcdefghijklmnopqrstuvwx", "code": 500}
    pieces = [chunk({"content": "Hello"}), b"data: " + json.dumps({"error": error}).encode()]
    house.upstream.behave(Behaviour(chunks=[*pieces, b"\n\n", DONE], headers=SSE))

    answer = ask(house, key, path, stream=True)

    told = events(answer)
    assert told[-1]["error"]["message"].startswith("Overloaded")
    assert (told[-1].get("type") == "error") == (path == MESSAGES)
    assert b"org-abc" not in answer.data
    assert paid_msat(house, key) > 0


@BOTH
def test_an_upstreams_error_is_told_as_its_clients_read_it(house: House, path: str) -> None:
    key = house.key()
    error = {"error": {"message": "too long", "type": "bad", "code": "context_length"}}
    house.upstream.behave(Behaviour(status=400, body=json.dumps(error).encode()))

    answer = ask(house, key, path)

    told = answer.get_json()
    assert (answer.status_code, told["error"]["message"]) == (400, "too long")
    assert (told.get("type") == "error") == (path == MESSAGES)
    assert paid_msat(house, key) == 0
