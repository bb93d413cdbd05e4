"""OpenAI's own SDK, left to its own retries behind a network that loses things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from openai import APIConnectionError, APIStatusError, OpenAI

from tests.integration.client import Client, open_account
from tests.integration.faults import Fate, FaultProxy
from tests.integration.house import COST_MSAT, QUESTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = pytest.mark.integration

FUNDED_MSAT = 999_000
LOST, NEVER_SENT, ANSWERED = Fate.ANSWER_LOST, Fate.REQUEST_LOST, Fate.ANSWERED


@pytest.fixture
def client(service: Service, mint: RealMint) -> Client:
    return open_account(service.base_url, mint.fund(1_000))


@pytest.fixture
def fates() -> list[Fate]:
    """What becomes of the requests; a test fills it."""
    return []


@pytest.fixture
def proxy(client: Client, fates: list[Fate]) -> Iterator[FaultProxy]:
    with FaultProxy(client.base_url, fates) as proxy:
        yield proxy


@pytest.fixture
def sdk(client: Client, proxy: FaultProxy) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{proxy.url}/v1", api_key=client.bearer, max_retries=2, timeout=30
    ) as sdk:
        yield sdk


def chat(sdk: OpenAI, **members: Any) -> str | None:
    asked: dict[str, Any] = {"model": "gpt-4o-mini", "max_tokens": 64, **members}
    messages: Any = [{"role": "user", "content": QUESTION}]
    answer = sdk.chat.completions.create(messages=messages, **asked)
    said: str | None = answer.choices[0].message.content
    return said


def test_three_attempts_whose_answers_are_all_lost_are_charged_once(
    sdk: OpenAI, proxy: FaultProxy, fates: list[Fate], client: Client
) -> None:
    fates += [LOST]

    with pytest.raises(APIConnectionError):
        chat(sdk)

    assert proxy.requests == 3
    assert client.msat() == (FUNDED_MSAT - COST_MSAT, 0)


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "mine"}], ids=["", "named"])
def test_a_retry_of_what_was_charged_is_told_so_and_not_tried_a_third_time(
    headers: dict[str, str],
    sdk: OpenAI,
    proxy: FaultProxy,
    fates: list[Fate],
    client: Client,
) -> None:
    fates += [LOST, ANSWERED]

    with pytest.raises(APIStatusError) as caught:
        chat(sdk, extra_headers=headers)

    assert caught.value.status_code == 409
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["code"] == "request_repeated"
    assert caught.value.body["charged_msat"] == COST_MSAT
    assert proxy.requests == 2
    assert client.msat() == (FUNDED_MSAT - COST_MSAT, 0)


def test_a_retry_of_what_never_arrived_is_served_and_charged_once(
    sdk: OpenAI, proxy: FaultProxy, fates: list[Fate], client: Client
) -> None:
    fates += [NEVER_SENT, NEVER_SENT, ANSWERED]

    assert chat(sdk)

    assert proxy.requests == 3
    assert client.msat() == (FUNDED_MSAT - COST_MSAT, 0)


def test_a_stream_that_is_lost_before_its_first_byte_is_charged_once(
    sdk: OpenAI, proxy: FaultProxy, fates: list[Fate], client: Client
) -> None:
    fates += [LOST, ANSWERED]

    with pytest.raises(APIStatusError):
        chat(sdk, stream=True)

    assert proxy.requests == 2
    assert client.msat() == (FUNDED_MSAT - COST_MSAT, 0)


def test_an_sdk_that_hangs_up_too_early_pays_once_and_asks_no_upstream_twice(
    sdk: OpenAI, fates: list[Fate], client: Client
) -> None:
    fates += [ANSWERED]

    with pytest.raises((APIConnectionError, APIStatusError)):
        chat(sdk, model="gpt-4o-mini+slow-2000", timeout=0.7)

    while client.msat()[1]:
        pass
    assert client.msat() == (FUNDED_MSAT - COST_MSAT, 0)


def test_two_that_ask_the_same_are_both_served(
    sdk: OpenAI, fates: list[Fate], client: Client
) -> None:
    fates += [ANSWERED, ANSWERED, NEVER_SENT, ANSWERED]

    said = [chat(sdk) for _ in range(3)]

    assert all(said)
    assert client.msat() == (FUNDED_MSAT - 3 * COST_MSAT, 0)
