"""Whole answers of a chat, as clients of the other APIs read them."""

from __future__ import annotations

from typing import Any

import pytest

from app.translating.answer import answer_of
from app.translating.errors import TranslationError
from app.translating.library import Dialect
from domain.bounds import Usage

USED = Usage(100, 20, cached_tokens=40, cache_write_tokens=7, reasoning_tokens=5)
CALL = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def chat(finish_reason: object = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}}
    head = {"id": "c1", "object": "chat.completion", "created": 17, "model": "m"}
    return {**head, "choices": [{**choice, "finish_reason": finish_reason}]}


def message_of(said: object, usage: Usage | None = USED) -> dict[str, Any]:
    return answer_of(Dialect.MESSAGES, {}, said, usage)


def response_of(said: object, usage: Usage | None = USED, **asked: Any) -> dict[str, Any]:
    return answer_of(Dialect.RESPONSES, asked, said, usage)


def text_of(response: dict[str, Any]) -> str:
    (item,) = response["output"]
    return "".join(part["text"] for part in item["content"])


def test_an_answer_is_a_message() -> None:
    assert message_of(chat(content="Hello")) == {
        "id": "c1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 53,
            "cache_read_input_tokens": 40,
            "cache_creation_input_tokens": 7,
            "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 5},
        },
    }


def test_an_answer_is_a_response_that_repeats_its_request() -> None:
    response = response_of(chat(content="Hello"), tool_choice="none", instructions="Be kind.")

    assert (response["id"], response["object"], response["status"]) == (
        "c1",
        "response",
        "completed",
    )
    assert text_of(response) == "Hello"
    assert (response["tool_choice"], response["instructions"]) == ("none", "Be kind.")
    assert (response["tools"], response["parallel_tool_calls"]) == ([], True)
    assert response["usage"] == {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 7},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 120,
    }


@pytest.mark.parametrize(
    ("reason", "stop_reason", "status"),
    [
        ("stop", "end_turn", "completed"),
        ("length", "max_tokens", "incomplete"),
        ("content_filter", "refusal", "incomplete"),
        ("eos", "end_turn", "completed"),
        (None, "end_turn", "completed"),
        (7, "end_turn", "completed"),
    ],
)
def test_it_says_how_it_has_ended(reason: object, stop_reason: str, status: str) -> None:
    said = chat(reason, content="Hello")

    assert message_of(said)["stop_reason"] == stop_reason
    assert response_of(said)["status"] == status


def test_a_filtered_response_says_so() -> None:
    response = response_of(chat("content_filter", content="Hello"))

    assert response["incomplete_details"] == {"reason": "content_filter"}


@pytest.mark.parametrize("reason", ["tool_calls", "stop", "function_call"])
def test_tools_are_called(reason: str) -> None:
    """Some say that an answer stopped which calls a tool."""
    said = chat(reason, content=None, tool_calls=[CALL])

    message, response = message_of(said), response_of(said)

    assert message["stop_reason"] == "tool_use"
    assert message["content"] == [
        {"type": "tool_use", "id": "call_a", "name": "weather", "input": {}}
    ]
    (item,) = response["output"]
    assert item["type"] == "function_call"
    assert (item["call_id"], item["name"], item["arguments"]) == ("call_a", "weather", "{}")


def test_the_numbers_of_an_input_are_not_rounded() -> None:
    arguments = '{"a": 12345678901234567890123, "b": 0.1}'
    function = {"name": "weather", "arguments": arguments}

    message = message_of(chat(tool_calls=[{**CALL, "function": function}]))
    response = response_of(chat(tool_calls=[{**CALL, "function": function}]))

    assert message["content"][-1]["input"] == {"a": 12345678901234567890123, "b": 0.1}
    assert response["output"][-1]["arguments"] == arguments


def test_a_tool_called_with_nothing_gets_nothing() -> None:
    said = chat(tool_calls=[{"function": {"name": "weather", "arguments": ""}}])

    (block,) = message_of(said)["content"]

    assert (block["id"], block["input"]) == ("call_0", {})


def test_a_text_may_come_in_parts() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}, {"type": "x"}]

    assert message_of(chat(content=parts))["content"] == [{"type": "text", "text": "Hello"}]


def test_of_several_choices_it_is_the_first() -> None:
    said = chat(content="Hello")
    other = {**said["choices"][0], "index": 1, "message": {"content": "Bye"}}

    assert text_of(response_of({**said, "choices": [other, *said["choices"]]})) == "Hello"


@pytest.mark.parametrize(
    "bare",
    [
        {"choices": [{"message": {"content": "Hello"}}]},
        {**chat(content="Hello"), "id": 5, "created": -1.5, "model": None, "x": {"y": 1}},
    ],
)
def test_what_an_upstream_leaves_out_is_not_missed(bare: dict[str, Any]) -> None:
    assert message_of(bare, None)["content"] == [{"type": "text", "text": "Hello"}]
    assert message_of(bare, None)["usage"]["output_tokens"] == 0
    assert text_of(response_of(bare, None)) == "Hello"


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {},
        {"choices": []},
        {"choices": "Hello"},
        {"choices": [{"message": None}]},
        chat(content=5),
        chat(content="Hello", tool_calls=["x"]),
        chat(content="Hello", tool_calls=[{"function": {"arguments": "{}"}}]),
        chat(tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}]),
    ],
)
def test_what_is_no_answer_is_an_error(said: object) -> None:
    for dialect in Dialect:
        with pytest.raises(TranslationError):
            answer_of(dialect, {}, said, USED)


@pytest.mark.parametrize("arguments", ['{"a":', "[]", "5", "[" * 100_000])
def test_a_tool_is_not_called_with_nothing_in_place_of_nonsense(arguments: str) -> None:
    said = chat(tool_calls=[{"function": {"name": "weather", "arguments": arguments}}])

    with pytest.raises(TranslationError):
        message_of(said)
