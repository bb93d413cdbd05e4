"""The `anthropic` package is served `/v1/messages`, and charged to the msat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.books import (
    FUNDS_SAT,
    MODEL_IDS,
    Customer,
    buy_key,
    cost_msat,
)
from tests.clients.program import python_program
from tests.clients.upstream import (
    CALLED,
    MESSAGES_TOOL,
    TOKENS_IN,
    TOKENS_OUT,
    message_tool_call,
    streamed_message_tool_call,
)
from tests.doubles.dialects import ANSWER, ANSWER_TOKENS, CACHED_TOKENS, WRITTEN_TOKENS
from tests.doubles.upstream import Behaviour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clients.books import Books
    from tests.clients.upstream import ScriptedUpstream
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

ASKED_TOKENS = 4
# What went into the cache and came from it is not in the tokens that are told; it has no
# price of its own here.
MESSAGE_MSAT = cost_msat(ASKED_TOKENS + CACHED_TOKENS + WRITTEN_TOKENS, ANSWER_TOKENS)


@pytest.fixture(scope="module")
def customer(
    service: Service, mint: RealMint, books: Books, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Customer]:
    key = buy_key(service, mint, FUNDS_SAT)
    with python_program(
        "anthropic", "anthropic_sdk", tmp_path_factory.mktemp("anthropic")
    ) as program:
        yield Customer(service.base_url, key, books, program, "anthropic")


def test_a_plain_message(customer: Customer) -> None:
    with customer.spends(MESSAGE_MSAT):
        said = customer.chat("plain")

    assert said["text"] == ANSWER
    assert said["tokens"] == [ASKED_TOKENS, ANSWER_TOKENS]
    assert said["header_msat"] == MESSAGE_MSAT


def test_a_key_is_taken_as_a_bearer_too(customer: Customer) -> None:
    with customer.spends(MESSAGE_MSAT):
        said = customer.chat("bearer")

    assert said["text"] == ANSWER


def test_a_streamed_message(customer: Customer) -> None:
    with customer.spends(MESSAGE_MSAT):
        said = customer.chat("stream")

    assert (said["text"], said["pieces"]) == (ANSWER, ANSWER_TOKENS)
    assert said["tokens"] == [ASKED_TOKENS, ANSWER_TOKENS]


def test_the_event_of_the_cost_disturbs_nobody(customer: Customer) -> None:
    with customer.spends(MESSAGE_MSAT):
        kinds = customer.chat("events")["kinds"]

    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert kinds.count("content_block_delta") == ANSWER_TOKENS


def test_tokens_are_counted_before_they_are_bought(customer: Customer) -> None:
    with customer.spends(cost_msat(0, 0)):
        said = customer.chat("count")

    assert said == {"tokens": ASKED_TOKENS}


def test_models_are_listed(customer: Customer) -> None:
    with customer.spends():
        said = customer.do("models")

    assert said["ids"] == MODEL_IDS


@pytest.mark.parametrize(
    ("act", "behaviour"),
    [("plain", message_tool_call()), ("stream", streamed_message_tool_call())],
    ids=["plain", "stream"],
)
def test_tools_pass_through(
    act: str, behaviour: Behaviour, customer: Customer, upstream: ScriptedUpstream
) -> None:
    upstream.next(behaviour)

    with customer.spends(cost_msat(TOKENS_IN, TOKENS_OUT)):
        said = customer.chat(act, tools=[MESSAGES_TOOL])

    sent: Any = upstream.requests[-1].document["tools"]
    assert said["calls"] == [CALLED]
    assert sent == [MESSAGES_TOOL]


def test_an_unknown_key_is_its_own_error(customer: Customer) -> None:
    with customer.spends():
        raised = customer.chat("plain", key="sk-" + "0" * 64)["raised"]

    assert (raised["class"], raised["status"]) == ("AuthenticationError", 401)
    assert (raised["type"], raised["code"]) == ("authentication_error", "invalid_api_key")


@pytest.mark.parametrize("act", ["plain", "stream"])
def test_too_little_money_is_its_own_error(
    act: str, customer: Customer, service: Service, mint: RealMint
) -> None:
    with customer.spends():
        raised = customer.chat(act, key=buy_key(service, mint, 2))["raised"]

    assert (raised["class"], raised["status"]) == ("APIStatusError", 402)
    assert (raised["type"], raised["code"]) == ("billing_error", "insufficient_balance")


@pytest.mark.parametrize("status", [429, 529])
def test_what_the_upstream_did_not_serve_is_tried_again_and_charged_once(
    status: int, customer: Customer, upstream: ScriptedUpstream
) -> None:
    upstream.next(Behaviour(status=status, headers={"retry-after": "1"}))

    with customer.spends(MESSAGE_MSAT, releases=1):
        said = customer.chat("plain")

    assert said["text"] == ANSWER


def test_an_answer_that_came_too_late_is_charged_once(
    customer: Customer, upstream: ScriptedUpstream
) -> None:
    upstream.next(Behaviour(answer_delay_s=3.0))
    asked = len(upstream.requests)

    with customer.spends(MESSAGE_MSAT):
        headers = {"Idempotency-Key": "a-late-message"}
        raised = customer.chat("plain", headers=headers, timeout_s=1.5, retries=5)["raised"]

    assert (raised["class"], raised["status"]) == ("ConflictError", 409)
    assert len(upstream.requests) == asked + 1


def test_a_stream_that_breaks_off_is_an_error(
    customer: Customer, upstream: ScriptedUpstream
) -> None:
    upstream.next(Behaviour(drops_after_chunks=5))

    raised = customer.chat("stream")["raised"]

    assert raised["class"] in {"APIStatusError", "APIError", "InternalServerError"}
    assert raised["type"] == "api_error"
    assert customer.msat()[1] == 0
