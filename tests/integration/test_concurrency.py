"""Many at once, over both workers: nobody is served twice, nobody pays twice."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pytest

from domain.bounds import Bounds
from tests.integration.client import Client, Reply, chat_body, open_account
from tests.integration.house import COST_MSAT, PRICES, QUESTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = pytest.mark.integration

# It tells no usage, and so costs all that is held: what is held for one is spent for good.
EATS_ITS_HOLD = "gpt-4o-mini+nousage"


def at_once(calls: Iterable[Callable[[], Reply]]) -> list[Reply]:
    calls = list(calls)
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


def hold_msat(model: str) -> int:
    """Return what the house holds for one request."""
    document = chat_body(stream=False, model=model, question=QUESTION)
    tariff = PRICES.at(None).find(model)
    size = len(msgspec.json.encode(document))
    return tariff.ceiling(Bounds.of_request(document, size, tariff.price)).msat


def test_of_200_at_once_exactly_those_are_served_whom_the_balance_covers(
    service: Service, mint: RealMint
) -> None:
    each_msat = hold_msat(EATS_ITS_HOLD)
    client = open_account(service.base_url, mint.fund(-(-10 * each_msat // 1_000) + 1))
    given_msat, _ = client.msat()
    assert 10 * each_msat <= given_msat < 11 * each_msat

    replies = at_once([lambda: client.chat(model=EATS_ITS_HOLD)] * 200)

    assert Counter(reply.status for reply in replies) == {200: 10, 402: 190}
    refused = [reply for reply in replies if reply.status == 402]
    assert {reply.error["code"] for reply in refused} == {"insufficient_balance"}
    assert client.msat() == (given_msat - 10 * each_msat, 0)


def test_of_50_at_once_on_a_child_exactly_those_are_served_that_its_limit_covers(
    service: Service, mint: RealMint
) -> None:
    """M18: over both workers, while its parent spends too."""
    each_msat = hold_msat(EATS_ITS_HOLD)
    parent = open_account(service.base_url, mint.fund(-(-40 * each_msat // 1_000)))
    made = parent.post("/v1/wallet/child-key", {"balance_limit": 10 * each_msat})
    child = Client(service.base_url, made.document["api_keys"][0])
    given_msat, _ = parent.msat()

    replies = at_once(
        [
            *[lambda: child.chat(model=EATS_ITS_HOLD)] * 50,
            *[lambda: parent.chat(model=EATS_ITS_HOLD)] * 10,
        ]
    )

    assert Counter(reply.status for reply in replies[:50]) == {200: 10, 402: 40}
    refused = [reply for reply in replies[:50] if reply.status == 402]
    assert {reply.error["code"] for reply in refused} == {"balance_limit_exceeded"}
    assert {reply.status for reply in replies[50:]} == {200}
    told = child.info().document
    assert (told["total_requests"], told["total_spent"]) == (10, 10 * each_msat)
    assert told["balance_limit_left"] == 0
    assert parent.msat() == (given_msat - 20 * each_msat, 0)


def test_one_token_presented_50_times_at_once_is_one_deposit(
    service: Service, mint: RealMint
) -> None:
    client = Client(service.base_url, mint.fund(1_000))

    replies = at_once([client.info] * 50)

    assert {reply.status for reply in replies} == {200}
    assert {reply.body for reply in replies} == {replies[0].body}
    assert replies[0].document["balance"] == 999_000
    assert client.msat() == (999_000, 0)


def test_one_token_bought_a_key_with_50_times_at_once_is_one_key(
    service: Service, mint: RealMint
) -> None:
    token = mint.fund(1_000)
    nobody = Client(service.base_url, "none")

    replies = at_once(
        [lambda: nobody.post("/v1/balance/create", {"initial_balance_token": token})] * 50
    )

    assert {reply.status for reply in replies} == {200}
    assert {reply.body for reply in replies} == {replies[0].body}
    assert replies[0].document["balance"] == 999_000


def test_topups_and_requests_at_once_add_up_exactly(service: Service, mint: RealMint) -> None:
    client = open_account(service.base_url, mint.fund(1_000))
    tokens = [mint.fund(64) for _ in range(10)]

    replies = at_once(
        [*[partial(client.topup, token) for token in tokens], *[client.chat] * 20]
    )

    assert {reply.status for reply in replies} == {200}
    assert client.msat() == (999_000 + 10 * 63_000 - 20 * COST_MSAT, 0)


def test_64_clients_at_once_are_all_served_and_all_billed(
    service: Service, mint: RealMint
) -> None:
    accounts = [open_account(service.base_url, mint.fund(256)) for _ in range(8)]
    calls: list[Callable[[], Reply]] = [
        partial(client.chat, stream=stream)
        for client in accounts
        for stream in (True, False) * 4
    ]
    assert len(calls) == 64

    replies = at_once(calls * 3)

    assert {reply.status for reply in replies} == {200}
    assert all(reply.is_whole_stream for reply in replies[::2])
    assert {client.msat() for client in accounts} == {(255_000 - 24 * COST_MSAT, 0)}
