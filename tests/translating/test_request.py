"""Requests of other APIs as chats: what is said, and what is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from app.translating.errors import UntranslatableError
from app.translating.library import Dialect
from app.translating.request import chat_of

HELLO = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}}}
FUNCTION = {"name": "weather", "description": "Tells it", "parameters": SCHEMA}
PICTURE = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


def of_messages(**members: Any) -> dict[str, Any]:
    document = {"model": "m", "max_tokens": 10, "messages": HELLO, **members}
    return chat_of(Dialect.MESSAGES, document)


def of_responses(**members: Any) -> dict[str, Any]:
    return chat_of(Dialect.RESPONSES, {"model": "m", "input": "Hello", **members})


def said(*content: dict[str, Any], role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": list(content)}]


def test_a_message_is_a_chat() -> None:
    chat = of_messages(temperature=0.5, top_p=0.9, system="Be kind.")

    assert chat == {
        "model": "m",
        "max_completion_tokens": 10,
        "messages": [{"role": "system", "content": "Be kind."}, *HELLO],
        "temperature": 0.5,
        "top_p": 0.9,
    }


def test_a_response_is_a_chat() -> None:
    chat = of_responses(instructions="Be kind.", max_output_tokens=10, temperature=0.5)

    assert chat == {
        "model": "m",
        "max_completion_tokens": 10,
        "messages": [{"role": "system", "content": "Be kind."}, *HELLO],
        "temperature": 0.5,
    }


def test_every_stream_is_asked_for_its_usage() -> None:
    asked = {"stream": True, "stream_options": {"include_usage": True}}

    assert of_messages(stream=True).items() >= asked.items()
    assert of_responses(stream=True).items() >= asked.items()


def test_who_gives_instructions_is_called_as_all_upstreams_know_it() -> None:
    parts = [{"type": "text", "text": "Be"}, {"type": "text", "text": "kind."}]
    developer = {"role": "developer", "content": "Be brief."}

    message = of_messages(system=parts)["messages"][0]
    response = of_responses(input=[developer, *HELLO])["messages"][0]

    assert message == {"role": "system", "content": "Be\n\nkind."}
    assert response == {"role": "system", "content": "Be brief."}


def test_what_ends_an_answer_goes_along() -> None:
    assert of_messages(stop_sequences=["END"])["stop"] == ["END"]


def test_tools_and_what_became_of_them_are_those_of_a_chat() -> None:
    use = {"type": "tool_use", "id": "a", "name": "weather", "input": {"place": "Rome"}}
    other = {"type": "tool_use", "id": "b", "name": "weather", "input": {}}
    results: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": "a", "content": "sun"},
        {
            "type": "tool_result",
            "tool_use_id": "b",
            "content": [{"type": "text", "text": "where?"}],
            "is_error": True,
        },
    ]
    thought = {"type": "text", "text": "Let me see."}
    history = [*HELLO, *said(thought, use, other, role="assistant"), *said(*results)]
    tool = {"name": "weather", "description": "Tells it", "input_schema": SCHEMA}

    chat = of_messages(
        messages=history,
        tools=[tool],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )

    assert chat["messages"][1:] == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                called("a", '{"place":"Rome"}'),
                called("b", "{}"),
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "sun"},
        {"role": "tool", "tool_call_id": "b", "content": "where?"},
    ]
    assert chat["tools"] == [{"type": "function", "function": FUNCTION}]
    assert (chat["tool_choice"], chat["parallel_tool_calls"]) == ("required", False)


def called(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": "weather", "arguments": arguments}
    return {"id": name, "type": "function", "function": function}


def test_functions_and_what_became_of_them_are_those_of_a_chat() -> None:
    items = [
        *HELLO,
        {"role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{}"},
        {
            "type": "function_call",
            "id": "fc_1",
            "status": "completed",
            "call_id": "b",
            "name": "weather",
            "arguments": "{}",
        },
        {"type": "function_call_output", "call_id": "a", "output": "sun"},
        {
            "type": "function_call_output",
            "call_id": "b",
            "output": [{"type": "input_text", "text": "rain"}],
        },
    ]

    chat = of_responses(
        input=items,
        tools=[{"type": "function", **FUNCTION}],
        tool_choice={"type": "function", "name": "weather"},
    )

    assert chat["messages"][1:] == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [called("a", "{}"), called("b", "{}")],
        },
        {"role": "tool", "tool_call_id": "a", "content": "sun"},
        {"role": "tool", "tool_call_id": "b", "content": "rain"},
    ]
    assert chat["tools"] == [{"type": "function", "function": FUNCTION}]
    assert chat["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


def test_pictures_are_those_of_a_chat() -> None:
    url = "https://house.example/a.png"
    message = said(
        {"type": "text", "text": "What is it?"},
        {"type": "image", "source": PICTURE},
        {"type": "image", "source": {"type": "url", "url": url}},
    )
    response = said(
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": url, "detail": "low"},
    )

    assert of_messages(messages=message)["messages"][0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    assert of_responses(input=response)["messages"][0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]


def test_the_form_of_an_answer_and_how_long_to_think_go_along() -> None:
    form = {"type": "json_schema", "name": "weather", "schema": SCHEMA, "strict": True}

    chat = of_responses(
        text={"format": form, "verbosity": "low"},
        reasoning={"effort": "low", "summary": "auto"},
        parallel_tool_calls=False,
    )

    schema = {"name": "weather", "schema": SCHEMA, "strict": True}
    assert chat["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert (chat["verbosity"], chat["reasoning_effort"]) == ("low", "low")
    assert "reasoning" not in chat


@pytest.mark.parametrize(
    "members",
    [
        {"metadata": {"user_id": "u"}},
        {"service_tier": "auto"},
        {"thinking": {"type": "disabled"}},
        {"cache_control": {"type": "ephemeral"}},
        {"system": [{"type": "text", "text": "", "cache_control": {"type": "ephemeral"}}]},
        {"top_k": None, "tools": None},
    ],
)
def test_of_a_message_what_changes_no_answer_is_left_out(members: dict[str, Any]) -> None:
    chat = of_messages(**members)

    assert set(chat) == {"model", "max_completion_tokens", "messages"}
    assert chat["messages"][-1:] == HELLO


@pytest.mark.parametrize(
    "members",
    [
        {"metadata": {"a": "b"}},
        {"store": False, "include": ["reasoning.encrypted_content"]},
        {"truncation": "auto", "user": "u", "service_tier": "auto"},
        {"prompt_cache_key": "k", "safety_identifier": "s"},
        {"stream_options": {"include_obfuscation": False}},
        {"background": False, "previous_response_id": None},
    ],
)
def test_of_a_response_what_changes_no_answer_is_left_out(members: dict[str, Any]) -> None:
    assert of_responses(**members) == {"model": "m", "messages": HELLO}


WEB = {"type": "web_search_20250305", "name": "web_search"}
DOCUMENT = {"type": "document", "source": {**PICTURE, "media_type": "application/pdf"}}
RESULT = {"type": "tool_result", "tool_use_id": "a"}


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.type"),
        ({"thinking": {"type": "adaptive"}}, "thinking.type"),
        ({"top_k": 5}, "top_k"),
        ({"container": "c"}, "container"),
        ({"context_management": {"edits": []}}, "context_management"),
        ({"output_config": {"effort": "low"}}, "output_config"),
        ({"tools": [WEB]}, "tools[0].type"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"tools": [{"name": "weather"}]}, "tools[0].input_schema"),
        ({"messages": said(DOCUMENT)}, "messages[0].content[0].type"),
        ({"messages": said({"type": "search_result"})}, "messages[0].content[0].type"),
        (
            {"messages": said({"type": "thinking", "thinking": "x", "signature": "y"})},
            "messages[0].content[0].type",
        ),
        (
            {"messages": said({**RESULT, "content": [{"type": "image", "source": PICTURE}]})},
            "messages[0].content[0].content[0].type",
        ),
        (
            {"messages": said({"type": "image", "source": {"type": "file", "file_id": "f"}})},
            "messages[0].content[0].source.type",
        ),
        ({"messages": [*HELLO, {"role": "assistant", "content": "I"}]}, "messages[1].role"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages[0].role"),
        ({"messages": []}, "messages"),
        ({"system": {"text": "x"}}, "system"),
    ],
)
def test_a_message_that_no_chat_can_say_is_refused_by_name(
    members: dict[str, Any], field: str
) -> None:
    with pytest.raises(UntranslatableError) as refused:
        of_messages(**members)

    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field} cannot be translated")


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "custom", "name": "x"}]}, "tools[0].type"),
        ({"tools": [{"type": "local_shell"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "name": "a--b"}]}, "tools[0].name"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input[0].type"),
        ({"input": said({"type": "input_file", "file_id": "f"})}, "input[0].content[0].type"),
        (
            {"input": said({"type": "input_image", "file_id": "f"})},
            "input[0].content[0].file_id",
        ),
        ({"input": None}, "input"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
    ],
)
def test_a_response_that_no_chat_can_say_is_refused_by_name(
    members: dict[str, Any], field: str
) -> None:
    with pytest.raises(UntranslatableError) as refused:
        of_responses(**members)

    assert refused.value.field == field


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
def test_a_number_that_would_be_rounded_is_refused(number: int) -> None:
    tool = {"name": "weather", "input_schema": {**SCHEMA, "maximum": [number]}}

    with pytest.raises(UntranslatableError) as refused:
        of_messages(tools=[tool])

    assert refused.value.field == "tools"


def test_numbers_that_fit_are_kept() -> None:
    schema = {**SCHEMA, "enum": [2**64 - 1, -(2**63), 1.5]}

    chat = of_messages(tools=[{"name": "weather", "input_schema": schema}])

    assert chat["tools"][0]["function"]["parameters"] == schema
