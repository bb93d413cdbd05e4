"""Answers that are not as they should be: refused, broken, empty, or without usage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.usage import estimate
from app.gateways.upstream import UpstreamBrokenError, UpstreamUnreachableError
from tests.cashier.counter import (
    COMPLETION_MSAT,
    COST_MSAT,
    PROMPT_MSAT,
    REQUEST_MSAT,
    answer,
    chat,
    usage,
)
from tests.doubles.upstream import Behaviour
from tests.gateways.conftest import free_port

if TYPE_CHECKING:
    from tests.cashier.conftest import OpenCounter
    from tests.cashier.counter import Counter
    from tests.cashier.house import House
    from tests.doubles.upstream import UpstreamDouble


def body_of(served: Any) -> bytes:
    assert isinstance(served.body, bytes)
    return served.body


@pytest.mark.parametrize("status", [301, 400, 401, 402, 404, 429, 500, 503])
def test_what_the_upstream_refuses_costs_nothing(
    counter: Counter, funded: House, upstream: UpstreamDouble, status: int
) -> None:
    upstream.behave(Behaviour(status=status))

    served = counter.serve(chat())

    assert (served.status, body_of(served)) == (status, json_error())
    assert counter.released().reason == f"upstream answered {status}"
    assert (funded.available_msat(), funded.held_msat()) == (100_000, 0)


def json_error() -> bytes:
    return b'{"error":{"message":"the double was told to fail","type":"server_error"}}'


HIDDEN = {
    "a status": ({"message": "no", "code": 429}, 429),
    "no status": ({"message": "no", "code": 7}, 502),
    "words": ("no", 502),
    "an unknown address": ("Unexpected endpoint or method. (POST /v1/x)", 404),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("error", "status"), HIDDEN.values(), ids=HIDDEN)
def test_an_error_behind_a_status_of_success_costs_nothing(
    counter: Counter,
    funded: House,
    upstream: UpstreamDouble,
    error: object,
    status: int,
    *,
    stream: bool,
) -> None:
    body = json.dumps({"error": error, "user_id": "u"}).encode()
    upstream.behave(Behaviour(status=200, body=body))

    served = counter.serve(chat(stream=stream))

    assert (served.status, body_of(served)) == (status, body)
    assert counter.released().reason == f"upstream answered {status}"
    assert funded.available_msat() == 100_000


def test_an_answer_that_says_it_has_no_error_is_one(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    told = json.loads(answer(usage=usage(3, 14)))
    upstream.behave(Behaviour(status=200, body=json.dumps({**told, "error": None}).encode()))

    counter.serve(chat())

    assert counter.charged().cost_msat == COST_MSAT


def test_a_page_for_people_costs_nothing(
    counter: Counter, funded: House, upstream: UpstreamDouble
) -> None:
    page = {"content-type": "text/html; charset=utf-8"}
    upstream.behave(Behaviour(body=b"<html>Log in first</html>", headers=page))

    with pytest.raises(UpstreamBrokenError, match="page for people"):
        counter.serve(chat())

    assert funded.available_msat() == 100_000


def test_an_upstream_that_is_not_there_costs_nothing(
    open_counter: OpenCounter, funded: House
) -> None:
    counter = open_counter(f"http://127.0.0.1:{free_port()}/v1")

    with pytest.raises(UpstreamUnreachableError):
        counter.serve(chat())

    assert counter.released().reason == "not served: UpstreamUnreachableError"
    assert funded.available_msat() == 100_000


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(Behaviour(hangs_up_unanswered=True), id="before its head"),
        pytest.param(Behaviour(headers={"content-encoding": "br"}), id="unreadable"),
    ],
)
def test_an_answer_that_does_not_come_costs_nothing(
    counter: Counter,
    funded: House,
    upstream: UpstreamDouble,
    behaviour: Behaviour,
    *,
    stream: bool,
) -> None:
    upstream.behave(behaviour)

    with pytest.raises(UpstreamBrokenError):
        counter.serve(chat(stream=stream))

    assert counter.released().reason == "not served: UpstreamBrokenError"
    assert funded.available_msat() == 100_000


def test_an_answer_cut_short_costs_nothing(
    counter: Counter, funded: House, upstream: UpstreamDouble
) -> None:
    upstream.behave(Behaviour(drops_after_chunks=0))

    with pytest.raises(UpstreamBrokenError):
        counter.serve(chat())

    assert counter.released().reason == "not served: UpstreamBrokenError"
    assert funded.available_msat() == 100_000


EMPTY = {
    "no body": b"",
    "no text": answer(content="", usage=usage(3, 1)),
    "null": answer(content=None, usage=usage(3, 0)),
    "no choice": b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":0}}',
    "no message": b'{"choices":[{"index":0,"finish_reason":"stop"}]}',
}


@pytest.mark.parametrize("body", EMPTY.values(), ids=EMPTY)
def test_an_empty_answer_costs_nothing(
    counter: Counter, funded: House, upstream: UpstreamDouble, body: bytes
) -> None:
    """M21."""
    upstream.behave(Behaviour(body=body))

    served = counter.serve(chat())

    assert body_of(served) == body
    assert counter.released().reason == "empty answer"
    assert funded.available_msat() == 100_000


def test_an_answer_that_only_calls_a_tool_is_not_empty(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    called = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]
    upstream.behave(Behaviour(body=answer(content=None, tool_calls=called, usage=usage(3, 14))))

    counter.serve(chat())

    assert counter.charged().cost_msat == COST_MSAT


def test_an_answer_without_usage_is_estimated_by_what_was_delivered(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    """M19."""
    body, call = answer(content="x" * 80), chat(max_tokens=1_000)
    upstream.behave(Behaviour(body=body))

    counter.serve(call)

    guess, charged = estimate(len(call.body), len(body)), counter.charged()
    assert charged.usage.estimated
    assert charged.cost_msat == (
        REQUEST_MSAT
        + PROMPT_MSAT * -(-len(call.body) // 4)
        + COMPLETION_MSAT * -(-len(body) // 4)
    )
    assert charged.usage.completion_tokens == guess.completion_tokens


def test_an_estimate_is_never_more_than_was_held(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    """M19."""
    upstream.behave(Behaviour(body=answer(content="x" * 10_000)))
    call = chat(max_tokens=10)

    counter.serve(call)

    charged = counter.charged()
    assert charged.cost_msat == charged.held_msat == counter.ceiling_msat(call)


def test_an_answer_without_usage_costs_the_whole_hold_if_the_house_says_so(
    open_counter: OpenCounter, upstream: UpstreamDouble
) -> None:
    """M19."""
    counter, call = open_counter(missing_usage="max"), chat()
    upstream.behave(Behaviour(omits_usage=True))

    served = counter.serve(call)

    charged = counter.charged()
    assert charged.cost_msat == charged.held_msat == counter.ceiling_msat(call)
    assert charged.usage.estimated
    assert served.headers["x-routstr-cost-msats"] == str(charged.cost_msat)


def test_an_answer_without_usage_is_free_if_the_house_says_so(
    open_counter: OpenCounter, funded: House, upstream: UpstreamDouble
) -> None:
    """M19."""
    counter = open_counter(missing_usage="free")
    upstream.behave(Behaviour(omits_usage=True))

    served = counter.serve(chat())

    assert b"This is the Tallystick sample upstream" in body_of(served)
    assert counter.released().reason == "usage unknown"
    assert funded.available_msat() == 100_000


@pytest.mark.parametrize("count", [-1, 10**12, True, 1.5, "many"])
def test_a_hostile_usage_is_no_usage(
    counter: Counter, upstream: UpstreamDouble, count: Any
) -> None:
    upstream.behave(Behaviour(body=answer(usage=usage(3, 0) | {"completion_tokens": count})))

    counter.serve(chat())

    charged = counter.charged()
    assert charged.usage.estimated
    assert charged.cost_msat <= charged.held_msat
