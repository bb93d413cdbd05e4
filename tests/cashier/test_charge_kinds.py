"""What is not a chat: Responses, images and moderations, at prices worked out by hand."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.cashier.paths import bounds_of
from app.cashier.stream import MeteredStream
from domain.bounds import Usage
from domain.errors import InvalidBoundError
from domain.pricing import ModelPrice, PriceBook
from domain.request import TEMPLATE_TOKENS_MAX
from tests.cashier.counter import (
    ANSWER_TOKENS,
    MAX_TOKENS,
    MODEL,
    QUESTION_TOKENS,
    call_of,
    chat,
)
from tests.doubles.upstream import Behaviour

if TYPE_CHECKING:
    from app.cashier.answer import Served
    from app.cashier.bill import Call
    from tests.cashier.conftest import OpenCounter
    from tests.cashier.counter import Counter
    from tests.cashier.house import House
    from tests.doubles.upstream import UpstreamDouble

PRICE = ModelPrice(
    id=MODEL,
    currency="msat",
    prompt=Fraction(2),
    completion=Fraction(3),
    request=Fraction(100),
    image=Fraction(7_000),
    web_search=Fraction(500),
    input_cache_read=Fraction(1),
    context_length=10_000,
    max_completion_tokens=1_000,
)
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 30,
}
USAGE_MSAT = 2 * 6 + 1 * 4 + 3 * 20
SAID = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
SEARCHED = {"type": "web_search_call", "status": "completed"}
PICTURE = {"b64_json": "A" * 4_000}


@pytest.fixture
def kinds(open_counter: OpenCounter) -> Counter:
    counter = open_counter(book=PriceBook({MODEL: PRICE}))
    for route in counter.quotes.routes():
        # Until that is known a hold covers a chat in its place, too.
        route.parts.found("/responses")
    return counter


def responses(**members: Any) -> Call:
    document = {"model": MODEL, "input": "how are you?", "max_output_tokens": 50, **members}
    return call_of(document, path="/responses")


def images(**members: Any) -> Call:
    document = {"model": MODEL, "prompt": "a cat", **members}
    return call_of(document, path="/images/generations")


def moderation(**members: Any) -> Call:
    return call_of({"model": MODEL, "input": "how are you?", **members}, path="/moderations")


def answers(upstream: UpstreamDouble, document: object) -> None:
    upstream.behave(Behaviour(status=200, body=json.dumps(document).encode()))


def streams(upstream: UpstreamDouble, *documents: dict[str, Any]) -> None:
    chunks = [f"event: {d['type']}\ndata: {json.dumps(d)}\n\n".encode() for d in documents]
    headers = {"content-type": "text/event-stream"}
    upstream.behave(Behaviour(status=200, headers=headers, chunks=chunks))


def document_of(served: Served) -> dict[str, Any]:
    assert isinstance(served.body, bytes)
    document: dict[str, Any] = json.loads(served.body)
    return document


def read(served: Served) -> bytes:
    assert isinstance(served.body, MeteredStream)
    return b"".join(served.body)


def test_a_response_is_charged_by_its_usage(kinds: Counter, upstream: UpstreamDouble) -> None:
    answers(upstream, {"output": [SAID], "usage": USAGE})
    call = responses()

    document = document_of(kinds.serve(call))

    charged = kinds.charged()
    assert charged.cost_msat == 100 + USAGE_MSAT == 176
    read = len(call.body) + TEMPLATE_TOKENS_MAX
    assert charged.held_msat == 100 + 2 * read + 3 * 50
    assert document["usage"]["cost"]["total_msats"] == 176
    assert document["usage"]["cost"]["cache_read_input_tokens"] == 4
    assert document["usage"]["cost"]["cache_read_msats"] == 4
    assert document["cost"]["output_tokens"] == 20


ORDERS = [{"web_search_options": {}}, {"plugins": [{"id": "web"}]}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_a_search_that_is_ordered_is_charged_though_no_usage_tells_it(
    kinds: Counter, order: dict[str, Any], *, stream: bool
) -> None:
    served = kinds.serve(chat(stream=stream, **order))
    if stream:
        read(served)

    charged = kinds.charged()
    assert charged.usage.web_searches == 1
    assert charged.cost_msat == 100 + 2 * QUESTION_TOKENS + 3 * ANSWER_TOKENS + 500
    # What it finds is read, too.
    assert charged.held_msat == 100 + 2 * (10_000 - MAX_TOKENS) + 3 * MAX_TOKENS + 500


def test_searches_of_a_response_are_charged_by_its_output(
    kinds: Counter, upstream: UpstreamDouble
) -> None:
    answers(upstream, {"output": [SEARCHED, SEARCHED, SAID], "usage": USAGE})
    tools = [{"type": "web_search"}]

    kinds.serve(responses(tools=tools, max_tool_calls=2, max_output_tokens=20))

    assert kinds.charged().usage.web_searches == 2
    assert kinds.charged().cost_msat == 100 + USAGE_MSAT + 2 * 500


def test_a_streamed_response_is_charged_and_told_in_its_last_event(
    kinds: Counter, upstream: UpstreamDouble
) -> None:
    streams(
        upstream,
        {"type": "response.created", "response": {"usage": None}},
        {"type": "response.output_text.delta", "delta": "Hi"},
        {"type": "response.completed", "response": {"output": [SEARCHED], "usage": USAGE}},
    )

    body = read(kinds.serve(responses(stream=True)))

    assert kinds.charged().cost_msat == 100 + USAGE_MSAT + 500
    *_, last = body.strip().split(b"\n\n")
    name, data = last.split(b"\n")
    told = json.loads(data.removeprefix(b"data: "))
    assert name == b"event: response.completed"
    assert told["response"]["usage"]["cost"]["total_msats"] == 676
    assert told["response"]["usage"]["cost_sats"] == 1
    assert told["cost"]["total_msats"] == 676


def test_a_response_is_streamed_as_it_was_asked_for(
    kinds: Counter, upstream: UpstreamDouble
) -> None:
    """The option that asks chats for their usage is an error there."""
    streams(upstream, {"type": "response.completed", "response": {"usage": USAGE}})
    call = responses(stream=True)

    read(kinds.serve(call))

    assert upstream.requests[-1].body == call.body


def test_of_a_response_without_usage_each_text_is_estimated_once(
    kinds: Counter, upstream: UpstreamDouble
) -> None:
    streams(
        upstream,
        {"type": "response.created", "response": {}},
        {"type": "response.output_text.delta", "delta": "12345678"},
        {"type": "response.output_text.done", "text": "12345678"},
        {"type": "response.content_part.done", "part": {"text": "12345678"}},
    )
    call = responses(stream=True)

    read(kinds.serve(call))

    assert kinds.charged().usage.estimated
    assert kinds.charged().usage.completion_tokens == 2


@pytest.mark.parametrize("document", [{"output": []}, {"data": []}])
def test_an_answer_with_nothing_in_it_costs_nothing(
    kinds: Counter, funded: House, upstream: UpstreamDouble, document: object
) -> None:
    answers(upstream, document)

    kinds.serve(responses())

    assert kinds.released().reason == "empty answer"
    assert funded.available_msat() == 100_000


def test_images_cost_their_price_each(kinds: Counter, upstream: UpstreamDouble) -> None:
    answers(upstream, {"created": 1, "data": [PICTURE, PICTURE]})
    call = images(n=2)

    document = document_of(kinds.serve(call))

    charged = kinds.charged()
    assert charged.cost_msat == 100 + 2 * 7_000 == document["cost"]["total_msats"]
    assert charged.held_msat == 14_100 + 2 * len(call.body) + 3 * 2 * 1_000
    assert (charged.usage.images, charged.usage.estimated) == (2, False)
    assert "usage" not in document


def test_images_whose_usage_is_told_cost_their_tokens_too(
    kinds: Counter, upstream: UpstreamDouble
) -> None:
    answers(upstream, {"data": [PICTURE], "usage": USAGE})

    kinds.serve(images())

    assert kinds.charged().cost_msat == 100 + 7_000 + USAGE_MSAT


@pytest.mark.parametrize(("asked", "made", "paid"), [(3, 2, 2), (1, 3, 1)])
def test_images_that_were_not_made_or_not_asked_for_are_not_paid(
    kinds: Counter, upstream: UpstreamDouble, asked: int, made: int, paid: int
) -> None:
    answers(upstream, {"data": [PICTURE] * made})

    kinds.serve(images(n=asked))

    assert kinds.charged().cost_msat == 100 + paid * 7_000


def test_an_image_answer_nobody_can_read_costs_what_was_asked_for(
    kinds: Counter, upstream: UpstreamDouble
) -> None:
    upstream.behave(Behaviour(status=200, body=b"not json" * 1_000))
    call = images()

    kinds.serve(call)

    assert kinds.charged().usage.estimated
    assert kinds.charged().cost_msat == 100 + 7_000 + 2 * -(-len(call.body) // 4)


@pytest.mark.parametrize("number", [0, 11, True, "2", 1.5])
def test_a_senseless_number_of_images_is_refused_before_money_moves(
    kinds: Counter, funded: House, upstream: UpstreamDouble, number: object
) -> None:
    head = funded.store.head()

    with pytest.raises(InvalidBoundError, match=r"^n must be"):
        kinds.serve(images(n=number))

    assert (funded.store.head(), upstream.requests) == (head, [])


def test_a_moderation_costs_its_input_only(kinds: Counter, upstream: UpstreamDouble) -> None:
    answers(upstream, {"id": "modr-1", "results": [{"flagged": False}]})
    call = moderation()

    kinds.serve(call)

    charged = kinds.charged()
    assert charged.usage.estimated
    assert charged.cost_msat == 100 + 2 * -(-len(call.body) // 4)
    assert charged.held_msat == 100 + 2 * len(call.body)


@given(
    path=st.sampled_from(["/responses", "/images/generations", "/moderations"]),
    number=st.integers(1, 10),
    limit=st.integers(1, 2_000),
    prompt=st.integers(0, 600),
    completion=st.integers(0, 20_000),
    searches=st.integers(0, 10),
)
def test_no_honest_answer_costs_more_than_was_held(
    path: str, number: int, limit: int, prompt: int, completion: int, searches: int
) -> None:
    documents: dict[str, dict[str, object]] = {
        "/responses": {"max_output_tokens": limit, "tools": [{"type": "web_search"}]},
        "/images/generations": {"n": number},
        "/moderations": {"input": ["a"] * number},
    }
    bounds = bounds_of(path, documents[path], 600, PRICE)
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        images=number if path == "/images/generations" else 0,
        web_searches=searches if path == "/responses" else 0,
    )
    assume(bounds.admit(usage))

    ceiling = PRICE.ceiling(bounds, None)

    assert ceiling >= PRICE.cost(usage, None).total
