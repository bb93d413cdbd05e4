"""Anthropic's streams through the meter, cut at every byte."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cashier.meter import StreamMeter
from domain.bounds import Usage
from tests.doubles.dialects import named

if TYPE_CHECKING:
    from collections.abc import Iterable

COST = {"total_msats": 7}
STARTED = {
    "input_tokens": 9,
    "cache_read_input_tokens": 3,
    "cache_creation_input_tokens": 2,
    "cache_creation": {"ephemeral_1h_input_tokens": 2},
    "output_tokens": 1,
}
USED = Usage(14, 6, cached_tokens=3, cache_write_tokens=2, long_cache_tokens=2)
START = named("message_start", message={"id": "m", "usage": STARTED})
WORDS = [
    named("content_block_delta", index=0, delta={"type": kind, name: text})
    for kind, name, text in (
        ("thinking_delta", "thinking", "Hm, \u00e9"),
        ("text_delta", "text", 'say "usage" and event: message_stop'),
        ("input_json_delta", "partial_json", '{"a":'),
    )
]
END = named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 6})
STOP = named("message_stop")
WHOLE = b"".join([START, named("ping"), *WORDS, END, STOP])
STREAMS = {
    "whole": WHOLE,
    "crlf": WHOLE.replace(b"\n", b"\r\n"),
    "comments": WHOLE.replace(b"\n\n", b"\n\n: ping\n\n"),
    "without names": b"".join(
        part[part.index(b"data:") :] + b"\n\n" for part in WHOLE.strip().split(b"\n\n")
    ),
    "no last blank line": WHOLE.removesuffix(b"\n\n"),
    "no stop": WHOLE.removesuffix(STOP),
    "error": WHOLE.removesuffix(STOP)
    + named("error", error={"type": "overloaded_error", "message": "x"}),
}


def passed(pieces: Iterable[bytes]) -> tuple[StreamMeter, bytes, bytes]:
    meter = StreamMeter(usage_invited=False, is_anthropic=True)
    body = b"".join(meter.feed(piece) for piece in pieces) + meter.finish()
    return meter, body, meter.tail(COST)


def seen(meter: StreamMeter) -> tuple[object, ...]:
    return meter.used(), meter.knows_usage, meter.errored, meter.delivered_text_characters


@pytest.mark.parametrize("name", STREAMS)
def test_usage_is_found_whatever_the_framing(name: str) -> None:
    meter, _, _ = passed([STREAMS[name]])

    assert meter.used() == USED
    assert meter.knows_usage


@pytest.mark.parametrize("name", STREAMS)
def test_every_cut_between_two_bytes_gives_the_same(name: str) -> None:
    stream = STREAMS[name]
    whole, body, tail = passed([stream])

    for place in range(len(stream) + 1):
        meter, cut_body, cut_tail = passed([stream[:place], stream[place:]])
        assert (cut_body, cut_tail) == (body, tail)
        assert seen(meter) == seen(whole)


@settings(max_examples=200)
@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=10))
def test_any_cuts_give_the_same(cuts: list[int]) -> None:
    whole, body, tail = passed([WHOLE])

    places = [0, *sorted(cuts), len(WHOLE)]
    meter, cut_body, cut_tail = passed(WHOLE[a:b] for a, b in pairwise(places))

    assert (cut_body, cut_tail, seen(meter)) == (body, tail, seen(whole))


def test_the_cost_stands_before_the_last_event() -> None:
    _, body, tail = passed([WHOLE])

    assert body == WHOLE.removesuffix(STOP)
    cost, stop = tail.split(b"\n\n", 1)
    name, data = cost.split(b"\ndata: ")
    assert (name, stop) == (b"event: cost", STOP)
    document = json.loads(data)
    assert (document["type"], document["cost"]) == ("ping", COST)
    assert document["metadata"]["routstr"]["cost"]["sats_cost"] == 1


def test_without_a_cost_nothing_is_added() -> None:
    meter = StreamMeter(usage_invited=False, is_anthropic=True)

    assert meter.feed(WHOLE) + meter.finish() + meter.tail() == WHOLE


def test_while_only_the_start_was_told_what_was_written_is_estimated() -> None:
    meter, _, _ = passed([START, WORDS[1]])

    used = meter.used()

    assert not meter.knows_usage
    assert used is not None
    assert used.estimated
    assert used.prompt_tokens == 14
    assert used.completion_tokens == -(-len('say \\"usage\\" and event: message_stop') // 4)


def test_no_less_was_written_than_was_told() -> None:
    meter, _, _ = passed([START])

    used = meter.used()

    assert used is not None
    assert used.completion_tokens == 1


def test_a_fault_is_told_in_its_tongue() -> None:
    meter = StreamMeter(usage_invited=False, is_anthropic=True)

    name, data = meter.fault("broken off").strip().split(b"\ndata: ")

    error = {"type": "api_error", "message": "broken off"}
    assert name == b"event: error"
    assert json.loads(data) == {"type": "error", "error": error}
