from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.gateways.upstream import UpstreamBrokenError
from tests.cashier.counter import (
    ANSWER_TOKENS,
    COMPLETION_MSAT,
    COST_MSAT,
    DONE,
    PROMPT_MSAT,
    QUESTION_TOKENS,
    REQUEST_MSAT,
    chat,
    chunk,
    usage,
)
from tests.doubles.upstream import Behaviour

if TYPE_CHECKING:
    from tests.cashier.conftest import OpenCounter
    from tests.cashier.counter import Counter
    from tests.cashier.house import House
    from tests.doubles.upstream import UpstreamDouble

INVITED = {"stream_options": {"include_usage": True}}
THREE_WORDS = "This is the"
UNINVITED_BODY_BYTES = len(chat(stream=True).body)


def estimated_msat(characters: int) -> int:
    """What an answer of so many characters costs if the upstream tells no usage."""
    tokens_in, tokens_out = -(-UNINVITED_BODY_BYTES // 4), -(-characters // 4)
    return REQUEST_MSAT + PROMPT_MSAT * tokens_in + COMPLETION_MSAT * tokens_out


def documents_of(text: bytes) -> list[dict[str, Any]]:
    events = [event.removeprefix(b"data: ") for event in text.split(b"\n\n") if event]
    return [json.loads(event) for event in events if event != b"[DONE]"]


def test_a_stream_is_charged_by_the_usage_it_ends_with(counter: Counter, funded: House) -> None:
    text = b"".join(counter.stream())

    assert text.endswith(DONE)
    charged = counter.charged()
    used = (charged.usage.prompt_tokens, charged.usage.completion_tokens)
    assert used == (QUESTION_TOKENS, ANSWER_TOKENS)
    assert (charged.cost_msat, charged.usage.estimated) == (COST_MSAT, False)
    assert (funded.available_msat(), funded.held_msat()) == (100_000 - COST_MSAT, 0)


def test_the_upstream_is_asked_for_usage_that_the_client_did_not_invite(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    """And the chunk that would crash it does not reach the client."""
    text = b"".join(counter.stream(stream_options={"other": 1}))

    asked = upstream.requests[-1].document["stream_options"]
    assert asked == {"other": 1, "include_usage": True}
    assert all(document["choices"] for document in documents_of(text))
    assert b"prompt_tokens" not in text


def test_an_invited_usage_chunk_carries_the_cost(counter: Counter) -> None:
    text = b"".join(counter.stream(**INVITED))

    last = documents_of(text)[-1]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 17)
    assert last["cost"]["total_msats"] == last["usage"]["cost"]["total_msats"] == COST_MSAT


def test_a_stream_is_settled_before_its_last_byte_is_handed_out(
    counter: Counter, funded: House, upstream: UpstreamDouble
) -> None:
    upstream.behave(Behaviour(chunk_delay_s=0.01))
    held_msat: list[int] = []

    for piece in counter.stream():
        held_msat.append(funded.held_msat())
        if b"[DONE]" in piece:
            assert funded.available_msat() == 100_000 - COST_MSAT

    assert held_msat[0] > 0
    assert held_msat[-1] == 0


def test_usage_in_the_chunk_with_the_last_words_is_found(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    """M20."""
    upstream.behave(Behaviour(chunks=[chunk("Hi"), chunk("!", usage=usage(3, 14)), DONE]))

    b"".join(counter.stream())

    assert counter.charged().cost_msat == COST_MSAT


@pytest.mark.parametrize("size", [1, 3, 17])
def test_usage_is_found_however_the_stream_is_cut(
    counter: Counter, upstream: UpstreamDouble, size: int
) -> None:
    """M20."""
    last = chunk(usage=usage(3, 14))
    text = (chunk("Hi") + last + DONE).replace(b"\n", b"\r\n")
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    upstream.behave(Behaviour(chunks=pieces))

    b"".join(counter.stream())

    assert counter.charged().cost_msat == COST_MSAT


def test_a_compressed_stream_is_charged_as_any_other(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    """M20."""
    upstream.behave(Behaviour(gzips=True))

    text = b"".join(counter.stream())

    assert text.endswith(DONE)
    assert counter.charged().cost_msat == COST_MSAT


def test_a_stream_without_an_end_mark_is_charged_when_it_ends(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    upstream.behave(Behaviour(chunks=[chunk("Hi"), chunk("", usage=usage(3, 14))]))

    text = b"".join(counter.stream())

    assert text.endswith(DONE)
    assert counter.charged().cost_msat == COST_MSAT


def test_a_stream_without_usage_is_estimated(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    """M19."""
    upstream.behave(Behaviour(chunks=[chunk("x" * 41), chunk("y" * 40), DONE]))

    b"".join(counter.stream())

    charged = counter.charged()
    assert charged.usage.estimated
    assert charged.cost_msat == estimated_msat(81)


def test_a_stream_without_usage_costs_the_whole_hold_if_the_house_says_so(
    open_counter: OpenCounter, upstream: UpstreamDouble
) -> None:
    """M19."""
    counter = open_counter(missing_usage="max")
    upstream.behave(Behaviour(omits_usage=True))

    b"".join(counter.stream())

    charged = counter.charged()
    assert charged.cost_msat == charged.held_msat == counter.ceiling_msat(chat(stream=True))


def test_a_stream_without_usage_is_free_if_the_house_says_so(
    open_counter: OpenCounter, upstream: UpstreamDouble
) -> None:
    """M19."""
    counter = open_counter(missing_usage="free")
    upstream.behave(Behaviour(omits_usage=True))

    text = b"".join(counter.stream())

    assert text.endswith(DONE)
    assert counter.released().reason == "usage unknown"


EMPTY = {
    "nothing": [],
    "only its end": [DONE],
    "no words": [chunk(), DONE],
    "no words, and usage that says so": [chunk(), chunk(usage=usage(3, 0)), DONE],
    "an error": [b'data: {"error":{"message":"overloaded"}}\n\n', DONE],
}


@pytest.mark.parametrize("chunks", EMPTY.values(), ids=EMPTY)
def test_an_empty_stream_costs_nothing(
    counter: Counter, funded: House, upstream: UpstreamDouble, chunks: list[bytes]
) -> None:
    """M21."""
    upstream.behave(Behaviour(chunks=chunks))

    b"".join(counter.stream())

    assert counter.released().reason == "empty answer"
    assert (funded.available_msat(), funded.held_msat()) == (100_000, 0)


def test_words_that_cannot_be_seen_are_charged_by_their_usage(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    upstream.behave(Behaviour(chunks=[chunk(), chunk(usage=usage(3, 14)), DONE]))

    b"".join(counter.stream())

    assert counter.charged().cost_msat == COST_MSAT


def test_a_stream_cut_off_ends_with_an_error_and_costs_what_was_delivered(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    """M19."""
    upstream.behave(Behaviour(drops_after_chunks=3, chunk_delay_s=0.01))

    documents = documents_of(b"".join(counter.stream()))

    assert len(documents) == 4
    assert documents[-1]["error"]["code"] == "upstream_broken"
    charged = counter.charged()
    assert charged.usage.estimated
    assert charged.cost_msat == estimated_msat(len(THREE_WORDS))


def test_a_stream_cut_off_before_its_first_word_costs_nothing(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    upstream.behave(Behaviour(drops_after_chunks=0))

    with pytest.raises(UpstreamBrokenError):
        counter.stream()

    assert counter.released().reason == "not served: UpstreamBrokenError"


def test_a_stream_cut_off_after_its_usage_costs_what_that_says(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    chunks = [chunk("Hi"), chunk(usage=usage(3, 14)), chunk("late")]
    upstream.behave(Behaviour(chunks=chunks, drops_after_chunks=2))

    b"".join(counter.stream())

    assert counter.charged().cost_msat == COST_MSAT


@pytest.mark.parametrize("pieces_read", [0, 1, 5])
def test_a_client_that_leaves_is_charged_for_what_was_used(
    counter: Counter, funded: House, upstream: UpstreamDouble, pieces_read: int
) -> None:
    """M13, M19: the rest is read without it, to learn the usage."""
    upstream.behave(Behaviour(chunk_delay_s=0.01))
    stream = counter.stream()
    for _ in range(pieces_read):
        next(stream)

    stream.close()

    charged = counter.charged()
    assert (charged.cost_msat, charged.usage.estimated) == (COST_MSAT, False)
    assert (funded.available_msat(), funded.held_msat()) == (100_000 - COST_MSAT, 0)


def test_a_client_that_leaves_is_not_waited_for_longer_than_agreed(
    open_counter: OpenCounter, upstream: UpstreamDouble
) -> None:
    """M19: then it costs what it had been given."""
    counter = open_counter(drain_s=0.0)
    upstream.behave(Behaviour(chunk_delay_s=0.05))
    stream = counter.stream()
    delivered = documents_of(b"".join(next(stream) for _ in range(3)))

    stream.close()

    words = "".join(document["choices"][0]["delta"]["content"] for document in delivered)
    assert THREE_WORDS in words
    charged = counter.charged()
    assert charged.usage.estimated
    assert charged.cost_msat == estimated_msat(len(words))


def test_a_client_that_leaves_with_nothing_pays_nothing_if_the_usage_stays_unknown(
    open_counter: OpenCounter, upstream: UpstreamDouble
) -> None:
    counter = open_counter(drain_s=0.0)
    upstream.behave(Behaviour(chunk_delay_s=0.05))

    counter.stream().close()

    assert counter.released().reason == "client left before anything was delivered"


def test_an_upstream_that_breaks_after_the_client_left_costs_what_was_delivered(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    upstream.behave(Behaviour(chunk_delay_s=0.02, drops_after_chunks=8))
    stream = counter.stream()
    delivered = documents_of(next(stream))

    stream.close()

    words = "".join(document["choices"][0]["delta"]["content"] for document in delivered)
    charged = counter.charged()
    assert charged.usage.estimated
    assert charged.cost_msat == estimated_msat(len(words))


def test_a_stream_may_be_closed_again_and_again(counter: Counter) -> None:
    left, read = counter.stream(), counter.stream()
    b"".join(read)

    for stream in (left, left, read, read):
        stream.close()

    assert list(left) == list(read) == []
    assert len(counter.ends()) == 2


def test_a_plain_answer_to_a_streaming_call_is_charged(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    body = b'{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":3}}'
    upstream.behave(Behaviour(body=body, headers={"content-type": "application/json"}))

    served = counter.serve(chat(stream=True))

    assert isinstance(served.body, bytes)
    assert counter.charged().cost_msat == REQUEST_MSAT + 3 * PROMPT_MSAT
