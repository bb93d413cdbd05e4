"""Streams of a chat, as clients of the other APIs put them together again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.translating.errors import TranslationError
from app.translating.library import Dialect
from app.translating.stream import Stream
from domain.bounds import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

USED = Usage(100, 20, cached_tokens=40)
ASKED = {"tools": [{"type": "function", "name": "f"}]}
Call = tuple[str, str]


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 17, "model": "m"}
    return {**head, "choices": [choice]}


def calling(
    index: int, arguments: str, name: str | None = None, call_id: str | None = None
) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    known = {} if call_id is None else {"id": call_id, "type": "function"}
    return {"index": index, **known, "function": {**named, "arguments": arguments}}


def events_of(dialect: Dialect, chunks: Iterable[object]) -> list[dict[str, Any]]:
    stream = Stream(dialect, ASKED)
    events = [event for each in chunks for event in stream.take(each)]
    return [*events, *stream.end(USED)]


def read_message(events: list[dict[str, Any]]) -> tuple[str, list[Call], str]:
    """Put a message together as Anthropic documents it: block after block, none twice."""
    assert events[0]["type"] == "message_start"
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    text, calls, is_open = "", [], None
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert is_open is None
            is_open, block, written = event["index"], event["content_block"], ""
        elif event["type"] == "content_block_delta":
            assert event["index"] == is_open
            delta = event["delta"]
            written += delta.get("text") or delta.get("partial_json") or ""
        else:
            assert (event["type"], event["index"]) == ("content_block_stop", is_open)
            is_open = None
            if block["type"] == "text":
                text += written
            else:
                calls.append((block["name"], written))
    assert is_open is None
    return text, calls, events[-2]["delta"]["stop_reason"]


def read_response(events: list[dict[str, Any]]) -> tuple[str, list[Call], str]:
    """Put a response together by its deltas, which must come to what its last event says."""
    numbers = [event["sequence_number"] for event in events]
    assert numbers == list(range(len(events)))
    text = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    items: dict[int, str] = {}
    for event in events:
        if event["type"] == "response.function_call_arguments.delta":
            index = event["output_index"]
            items[index] = items.get(index, "") + event["delta"]
    response = events[-1]["response"]
    output = response["output"]
    said = [part["text"] for item in output for part in item.get("content", ())]
    assert "".join(said) == text
    calls = [
        (item["name"], item["arguments"]) for item in output if item["type"] == "function_call"
    ]
    assert [arguments for _, arguments in calls if arguments] == [
        items[index] for index in sorted(items)
    ]
    return text, calls, response["status"]


def without_number(call: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in call.items() if name != "index"}


WHOLE_CALLS = [calling(0, '{"x":1}', "f", "a"), calling(1, '{"y":2}', "g", "b")]
CALLS = [("f", '{"x":1}'), ("g", '{"y":2}')]


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(role="assistant", content=None, tool_calls=WHOLE_CALLS)],
        [chunk(tool_calls=[each]) for each in WHOLE_CALLS],
        # Some count neither, and begin anew with each.
        [chunk(tool_calls=[{**each, "index": 0}]) for each in WHOLE_CALLS],
        [chunk(tool_calls=[without_number(each) for each in WHOLE_CALLS])],
        # Some repeat the name with every piece.
        [
            chunk(tool_calls=[calling(0, '{"x"', "f", "a")]),
            chunk(tool_calls=[calling(0, ":1}", "f", "a")]),
            chunk(tool_calls=[calling(1, "", "g", "b")]),
            chunk(tool_calls=[calling(1, '{"y":2}')]),
        ],
    ],
    ids=["in one", "each in one", "all of one number", "without numbers", "in pieces"],
)  # fmt: skip
@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
def test_no_argument_of_a_tool_is_lost(chunks: list[object], reason: str) -> None:
    chunks = [*chunks, chunk(reason)]

    assert read_message(events_of(Dialect.MESSAGES, chunks)) == ("", CALLS, "tool_use")
    assert read_response(events_of(Dialect.RESPONSES, chunks)) == ("", CALLS, "completed")


@pytest.mark.parametrize(
    ("reason", "stop_reason", "status"),
    [
        ("stop", "end_turn", "completed"),
        ("length", "max_tokens", "incomplete"),
        ("content_filter", "refusal", "incomplete"),
        ("eos", "end_turn", "completed"),
    ],
)
def test_it_says_how_it_has_ended(reason: str, stop_reason: str, status: str) -> None:
    chunks = [chunk(content="Hello"), chunk(reason)]

    assert read_message(events_of(Dialect.MESSAGES, chunks)) == ("Hello", [], stop_reason)
    assert read_response(events_of(Dialect.RESPONSES, chunks)) == ("Hello", [], status)


def test_the_usage_is_told_at_the_end() -> None:
    chunks = [chunk(role="assistant", content="Hello"), chunk("stop")]

    message = events_of(Dialect.MESSAGES, chunks)[-2]
    response = events_of(Dialect.RESPONSES, chunks)[-1]

    assert message["usage"] == {
        "input_tokens": 60,
        "cache_read_input_tokens": 40,
        "output_tokens": 20,
    }
    assert response["response"]["usage"]["total_tokens"] == 120
    assert response["response"]["tools"] == ASKED["tools"]


def test_what_a_model_thought_is_not_said() -> None:
    chunks = [chunk(reasoning_content="Hm"), chunk(reasoning="Hm"), chunk(content="Hello")]

    for dialect in Dialect:
        assert "Hm" not in json.dumps(events_of(dialect, [*chunks, chunk("stop")]))


def test_half_a_character_ends_nothing() -> None:
    chunks = [chunk(content="a\ud83d"), chunk(content="\ude00b"), chunk("stop")]

    assert read_message(events_of(Dialect.MESSAGES, chunks))[0] == "a??b"
    assert read_response(events_of(Dialect.RESPONSES, chunks))[0] == "a??b"


def test_a_refusal_is_said() -> None:
    chunks = [chunk(refusal="No."), chunk("stop")]

    assert read_message(events_of(Dialect.MESSAGES, chunks))[0] == "No."
    kinds = [event["type"] for event in events_of(Dialect.RESPONSES, chunks)]
    assert "response.refusal.delta" in kinds


@pytest.mark.parametrize(
    "piece",
    [
        None,
        5,
        {"foo": 1},
        {"choices": "x"},
        chunk(content=5),
        chunk(tool_calls=["x"]),
        chunk(tool_calls=[{"index": 0, "id": "a"}]),
        chunk(tool_calls=[calling(0, "{}", None, "a")]),
        chunk(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": [1]}}]),
        chunk(tool_calls=[calling(number, "", "f", str(number)) for number in range(200)]),
    ],
)  # fmt: skip
def test_what_is_no_chunk_is_an_error(piece: object) -> None:
    for dialect in Dialect:
        stream = Stream(dialect, {})
        stream.take(chunk(role="assistant", content="Hello"))
        with pytest.raises(TranslationError):
            stream.take(piece)


def test_a_call_that_had_ended_is_not_gone_back_to() -> None:
    """The library would give it to the next one."""
    for dialect in Dialect:
        stream = Stream(dialect, {})
        stream.take(chunk(tool_calls=WHOLE_CALLS))

        with pytest.raises(TranslationError):
            stream.take(chunk(tool_calls=[calling(0, "more")]))


def test_nothing_is_no_stream() -> None:
    for dialect in Dialect:
        with pytest.raises(TranslationError):
            Stream(dialect, {}).end(USED)


@pytest.mark.parametrize("empty", [{"choices": []}, chunk(), {"choices": [{"delta": None}]}])
def test_a_chunk_may_say_nothing(empty: dict[str, Any]) -> None:
    chunks = [empty, chunk(content="Hello"), empty, chunk("stop"), empty]

    assert read_message(events_of(Dialect.MESSAGES, chunks))[0] == "Hello"
    assert read_response(events_of(Dialect.RESPONSES, chunks))[0] == "Hello"


PIECES = st.lists(st.text(min_size=1, max_size=5), max_size=4)
NAMES = st.text("abcdefg_-", min_size=1, max_size=8).filter(lambda name: "--" not in name)


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[dict[str, Any]], str, list[Call]]:
    """Draw the chunks of an answer, its text and its calls, cut up somehow."""
    texts = draw(PIECES)
    chunks: list[dict[str, Any]] = []
    calls: list[Call] = []
    if draw(st.booleans()):
        chunks.append(chunk(role="assistant", content=draw(st.sampled_from(["", None]))))
    chunks += [chunk(content=text) for text in texts]
    for index in range(draw(st.integers(0, 3))):
        name, pieces = draw(NAMES), draw(PIECES)
        calls.append((name, "".join(pieces)))
        is_at_once: bool = draw(st.booleans())
        first = pieces.pop(0) if pieces and is_at_once else ""
        chunks.append(chunk(tool_calls=[calling(index, first, name, f"call_{index}")]))
        chunks += [chunk(tool_calls=[calling(index, piece)]) for piece in pieces]
    if not chunks:
        chunks.append(chunk(content="x"))
        texts = ["x"]
    ended = chunk("tool_calls" if calls else "stop")
    return [*chunks, ended], "".join(texts), calls


@settings(max_examples=150, deadline=None)
@given(answers())
def test_however_it_is_cut_nothing_is_lost(
    answer: tuple[list[dict[str, Any]], str, list[Call]],
) -> None:
    chunks, text, calls = answer
    stop_reason = "tool_use" if calls else "end_turn"

    assert read_message(events_of(Dialect.MESSAGES, chunks)) == (text, calls, stop_reason)
    assert read_response(events_of(Dialect.RESPONSES, chunks)) == (text, calls, "completed")


MEMBERS = [
    *("choices", "delta", "content", "tool_calls", "function", "name", "id", "index"),
    *("arguments", "finish_reason", "message", "refusal", "created", "usage"),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ANYTHING | ANYTHING.map(lambda any_: {"choices": [{"delta": any_}]}), max_size=4)
)
def test_an_upstream_may_say_anything(pieces: list[object]) -> None:
    """Whatever comes is translated, or told as what it is."""
    for dialect in Dialect:
        stream = Stream(dialect, {})
        try:
            for piece in pieces:
                stream.take(piece)
            stream.end(USED)
        except TranslationError:
            continue
