from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cashier.meter import EVENT_BYTES_MAX, StreamMeter
from app.cashier.usage import estimate
from domain.bounds import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
COST = {"total_msats": 7}


def chunk(text: str = "", **members: object) -> dict[str, object]:
    choices = [{"index": 0, "delta": {"content": text}}]
    names = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**names, "choices": choices, **members}


def event(document: object, end: str = "\n") -> bytes:
    return f"data: {json.dumps(document, separators=(',', ':'))}{end}{end}".encode()


def done(end: str = "\n") -> bytes:
    return f"data: [DONE]{end}{end}".encode()


def openai(end: str) -> bytes:
    """What OpenAI sends when it was asked for the usage."""
    parts = [event(chunk(text, usage=None), end) for text in ("Hé", "llo", "")]
    return b"".join([*parts, event(chunk(choices=[], usage=USAGE), end), done(end)])


def anthropic() -> bytes:
    start = {"input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 1}
    documents: list[dict[str, object]] = [
        {"type": "message_start", "message": {"id": "x", "usage": start}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    return b"".join(b"event: %s\n" % str(d["type"]).encode() + event(d) for d in documents)


def responses() -> bytes:
    usage = {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15}
    documents: list[dict[str, object]] = [
        {"type": "response.created", "response": {"usage": None, "error": None}},
        {"type": "response.output_text.delta", "delta": "Hi"},
        {"type": "response.completed", "response": {"usage": usage, "error": None}},
    ]
    return b"".join(b"event: %s\n" % str(d["type"]).encode() + event(d) for d in documents)


CONTENT_USAGE = event(chunk("Hi")) + event(chunk("!", usage=USAGE)) + done()
STREAMS = {
    "lf": openai("\n"),
    "crlf": openai("\r\n"),
    "cr": openai("\r"),
    "usage in a content chunk": CONTENT_USAGE,
    "usage under x_groq": event(chunk("Hi")) + event(chunk(x_groq={"usage": USAGE})) + done(),
    "comments and blank lines": b": WORKING\n\n\n"
    + openai("\n").replace(b"\n\n", b"\n\n: x\n\n"),
    "byte order mark": b"\xef\xbb\xbf" + openai("\n"),
    "data in several lines": b'data: {"choices":[],\ndata: "usage":'
    b'{"prompt_tokens":12,\ndata:"completion_tokens":3}}\n\n' + done(),
    "no last blank line": openai("\n").removesuffix(b"\n\n"),
    "no [DONE]": openai("\n").removesuffix(done()),
    "something after [DONE]": openai("\n") + event(chunk("late")) * 2,
    "content after the usage": event(chunk(choices=[], usage=USAGE)) + CONTENT_USAGE,
    "error at the end": openai("\r\n").removesuffix(done("\r\n"))
    + event({"error": {"message": "overloaded"}}),
    "anthropic": anthropic(),
    "responses": responses(),
}
WITHOUT_USAGE = {
    "no usage": event(chunk("Hi")) + event(chunk("!")) + done(),
    "error in the middle": event(chunk("Hi")) + event({"error": {"message": "x"}}),
    "text about usage": event(chunk('say "usage": 5 and [DONE]')) + done(),
    "no json": b'data: "usage" {\n\ndata: 5 "usage"\n\nid: "usage"\n\n' + done(),
    "hostile": event(chunk(choices=[], usage={"prompt_tokens": -1, "completion_tokens": 1})),
    "deep": b'data: {"usage":' + b"[" * 100_000 + b"\n\n",
    "nothing": b"",
}


def passed(
    pieces: Iterable[bytes], *, usage_invited: bool = True
) -> tuple[StreamMeter, bytes, bytes]:
    meter = StreamMeter(usage_invited=usage_invited)
    body = b"".join(meter.feed(piece) for piece in pieces) + meter.finish()
    return meter, body, meter.tail()


def seen(meter: StreamMeter) -> tuple[object, ...]:
    texts = meter.delivered_bytes, meter.delivered_text_characters
    return (meter.usage, meter.done, meter.errored, *texts, meter.tail(COST))


@pytest.mark.parametrize("name", STREAMS)
def test_usage_is_found_whatever_the_framing(name: str) -> None:
    meter, _, _ = passed([STREAMS[name]])

    assert meter.usage is not None
    assert (meter.usage.prompt_tokens, meter.usage.completion_tokens) == (12, 3)


@pytest.mark.parametrize("name", WITHOUT_USAGE)
def test_where_no_usage_is_told_none_is_found(name: str) -> None:
    meter, _, _ = passed([WITHOUT_USAGE[name]])

    assert meter.usage is None


@pytest.mark.parametrize("name", [*STREAMS, "no usage", "error in the middle", "no json"])
def test_every_cut_between_two_bytes_gives_the_same(name: str) -> None:
    stream = {**STREAMS, **WITHOUT_USAGE}[name]
    whole, body, tail = passed([stream])

    for place in range(len(stream) + 1):
        meter, cut_body, cut_tail = passed([stream[:place], stream[place:]])
        assert (cut_body, cut_tail) == (body, tail)
        assert seen(meter) == seen(whole)


@pytest.mark.parametrize("name", [*STREAMS, "no usage", "no json"])
def test_byte_by_byte_gives_the_same(name: str) -> None:
    stream = {**STREAMS, **WITHOUT_USAGE}[name]
    whole, body, tail = passed([stream])

    meter, cut_body, cut_tail = passed(bytes([byte]) for byte in stream)

    assert (cut_body, cut_tail) == (body, tail)
    assert seen(meter) == seen(whole)


line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
lines = st.sampled_from(
    [
        b": note",
        b"",
        b"data: [DONE]",
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}',
        b'data: {"choices":[{"delta":{"content":"\xc3\xa9\\"x"}}],"usage":null}',
        b'data: {"choices":[{"delta":{"content":"y',
        b"event: message_stop",
        b'data: {"type":"message_stop"}',
    ]
)


@settings(max_examples=300)
@given(parts=st.lists(st.tuples(lines, line_ends)), data=st.data())
def test_any_stream_cut_anyhow_gives_the_same(
    parts: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(line + end for line, end in parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    whole, body, tail = passed([stream])

    places = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    meter, cut_body, cut_tail = passed(pieces)

    assert (cut_body, cut_tail) == (body, tail)
    assert seen(meter) == seen(whole)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_invited_stream_comes_through_byte_for_byte(end: str) -> None:
    stream = openai(end)

    _, body, tail = passed([stream])

    assert (body + tail).replace(done(), done(end)) == stream


def test_several_events_of_one_read_go_out_as_one() -> None:
    meter = StreamMeter(usage_invited=True)

    out = meter.feed(event(chunk("a")) + event(chunk("b")) + b"data: {")

    assert out == event(chunk("a")) + event(chunk("b"))


def test_the_end_is_held_back_until_the_tail() -> None:
    meter = StreamMeter(usage_invited=True)

    out = meter.feed(openai("\n"))

    assert b"prompt_tokens" not in out
    assert b"[DONE]" not in out
    assert meter.done


def test_an_uninvited_usage_chunk_is_dropped() -> None:
    meter, body, tail = passed([openai("\n")], usage_invited=False)

    assert b"prompt_tokens" not in body + tail
    assert tail == done()
    assert meter.usage == Usage(prompt_tokens=12, completion_tokens=3)


def test_usage_inside_a_content_chunk_is_passed_on() -> None:
    _, body, tail = passed([CONTENT_USAGE], usage_invited=False)

    assert body + tail == CONTENT_USAGE


def test_the_cost_rides_on_the_usage_chunk() -> None:
    meter, _, _ = passed([openai("\n")])

    chunk_sent, end = meter.tail(COST).split(b"\n\n", 1)

    document = json.loads(chunk_sent.removeprefix(b"data: "))
    assert document["cost"] == document["usage"]["cost"] == COST
    assert end == done()


@pytest.mark.parametrize("first", [b"", b": WORKING\n\n"])
def test_an_invited_usage_chunk_is_made_when_the_upstream_sent_none(first: bytes) -> None:
    meter, _, _ = passed([first + CONTENT_USAGE])

    document = json.loads(meter.tail(COST).split(b"\n\n")[0].removeprefix(b"data: "))

    assert document["choices"] == []
    assert document["id"] == "c1"
    assert document["usage"] == {**USAGE, "cost": COST, "cost_sats": 1}


def test_an_estimate_can_be_told_in_place_of_the_missing_usage() -> None:
    meter, _, _ = passed([WITHOUT_USAGE["no usage"]])

    meter.usage = estimate(40, meter.delivered_text_characters)

    assert b'"prompt_tokens":10,"completion_tokens":1' in meter.tail(COST)


def test_no_usage_chunk_is_made_of_nothing() -> None:
    assert passed([WITHOUT_USAGE["no usage"]])[0].tail(COST) == done()
    assert passed([WITHOUT_USAGE["no json"]])[0].tail(COST) == done()


def test_the_last_event_of_responses_carries_the_cost() -> None:
    meter, body, tail = passed([responses()])

    sent = meter.tail(COST)

    assert body + tail == responses()
    assert sent.startswith(b"event: response.completed\ndata: {")
    assert b'"cost":{"total_msats":7}' in sent
    assert b"[DONE]" not in sent


def test_the_last_event_of_anthropic_is_held_back() -> None:
    meter, body, tail = passed([anthropic()])

    assert body + tail == anthropic()
    assert tail == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    assert meter.usage == Usage(prompt_tokens=12, completion_tokens=3, cached_tokens=3)


def test_a_broken_stream_gets_no_done() -> None:
    meter = StreamMeter(usage_invited=True)
    meter.feed(event(chunk("a")))

    assert meter.tail() == b""


def test_a_stream_that_ends_well_without_done_gets_it() -> None:
    assert passed([event(chunk("a"))])[2] == done()


def test_an_event_without_its_blank_line_is_completed_at_the_end() -> None:
    assert passed([b"data: 1"])[1] == b"data: 1\n\n"
    assert passed([b"data: 1\n"])[1] == b"data: 1\n\n"


def test_an_error_in_the_stream_is_noticed_and_passed_on() -> None:
    stream = WITHOUT_USAGE["error in the middle"]

    meter, body, _ = passed([stream])

    assert meter.errored
    assert body == stream


def test_delivered_text_is_counted_for_an_estimate() -> None:
    meter, body, _ = passed([openai("\n")])

    assert meter.delivered_bytes == len(body)
    assert meter.delivered_text_characters >= len("Héllo")


def test_a_huge_event_passes_unmetered_and_is_not_kept() -> None:
    huge = b'data: {"usage":"' + b"x" * (2 * EVENT_BYTES_MAX) + b'"}\n\n'
    stream = event(chunk("a")) + huge + openai("\n")
    step = 1024 * 1024

    meter = StreamMeter(usage_invited=True)
    out = b""
    kept_bytes = 0
    for place in range(0, len(stream), step):
        out += meter.feed(stream[place : place + step])
        kept_bytes = max(kept_bytes, place + step - len(out))
    out += meter.finish() + meter.tail()

    assert out == stream
    assert kept_bytes <= EVENT_BYTES_MAX + step
    assert meter.usage == Usage(prompt_tokens=12, completion_tokens=3)
