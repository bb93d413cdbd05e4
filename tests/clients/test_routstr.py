"""Routstr's clients move over without a changed line: each does here what it depends on."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from app.gateways.mint.tokens import decode
from domain.deposit import Credited
from domain.hold import Charged, Held, Released
from domain.refund import Issued
from tests.clients.books import (
    COST_MSAT,
    FEE_SAT,
    MODEL,
    MODEL_IDS,
    QUESTION,
    Account,
    buy_key,
    of,
)
from tests.clients.browser import Browser
from tests.clients.program import Program, node_program, python_program
from tests.doubles.upstream import Behaviour
from tests.integration.purse import is_unspent, take_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.clients.books import Books
    from tests.clients.upstream import ScriptedUpstream
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = [pytest.mark.clients, pytest.mark.timeout(240)]

ASKED = {"model": MODEL, "question": QUESTION}
COST_SAT = -(-COST_MSAT // 1_000)
WAIT_S = 30.0


@pytest.fixture(scope="module")
def chat(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser("chat", tmp_path_factory.mktemp("chat")) as page:
        yield page


@pytest.fixture(scope="module")
def sdk(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with node_program("routstr-sdk", tmp_path_factory.mktemp("routstr")) as program:
        yield program


@pytest.fixture(scope="module")
def otrta(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    home = tmp_path_factory.mktemp("otrta")
    with python_program("openai-3", "otrta", home) as program:
        yield program


@pytest.fixture(scope="module")
def base(service: Service) -> str:
    return f"{service.base_url}/"


def test_the_chat_finds_models_and_prices_at_the_root(chat: Browser, base: str) -> None:
    said = chat.do("discover", base=base)

    assert said["ids"] == MODEL_IDS
    assert all(cost > 0 for cost in said["max_cost_sat"])


def test_the_chat_talks_by_a_token_and_takes_the_rest_home(
    chat: Browser, base: str, mint: RealMint, books: Books
) -> None:
    """Its requests name no bound: the token is of the price that the listing calls the most."""
    (max_cost_sat, *_) = chat.do("discover", base=base)["max_cost_sat"]
    face_sat = int(max_cost_sat) + 10
    position = books.head()

    said = chat.do("talk", base=base, **ASKED, tokens=[mint.fund(face_sat)])
    balance = chat.do("balance", base=base, token=said["token"])
    left = chat.do("leave", base=base, token=said["token"])["token"]

    events = books.since(position)
    (credited,), (charged,) = of(events, Credited), of(events, Charged)
    assert said["statuses"] == [200]
    assert said["text"].endswith(QUESTION)
    assert charged.cost_msat == COST_MSAT
    assert balance == {
        "status": 200,
        "same_key": True,
        "balance_msat": credited.credited_msat - COST_MSAT,
    }
    assert decode(left).amount == face_sat - FEE_SAT - COST_SAT - FEE_SAT
    assert is_unspent(left)


def test_the_chat_makes_a_new_token_when_the_first_is_short(
    chat: Browser, base: str, mint: RealMint, books: Books
) -> None:
    tokens = [mint.fund(2), mint.fund(1_000)]
    position = books.head()

    said = chat.do("talk", base=base, **ASKED, tokens=tokens, more={"max_tokens": 64})

    events = books.since(position)
    assert said["statuses"] == [402, 200]
    assert [event.cost_msat for event in of(events, Charged)] == [COST_MSAT]
    assert len(of(events, Held)) == 1


def test_the_chat_drops_a_token_that_is_worth_nothing(
    chat: Browser, base: str, mint: RealMint
) -> None:
    tokens = ["sk-nobody", mint.fund(1_000)]

    said = chat.do("talk", base=base, **ASKED, tokens=tokens, more={"max_tokens": 64})

    assert said["statuses"] == [401, 200]


def test_the_sdk_sizes_its_tokens_by_the_listing(sdk: Program, base: str) -> None:
    said = sdk.do("sizes", base=base)

    assert said["complete"]
    assert all(cost > 0 for cost in said["max_cost_sat"])


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_sdk_tops_up_when_it_is_short_and_tries_again(
    sdk: Program, base: str, mint: RealMint, service: Service, books: Books, *, stream: bool
) -> None:
    account = Account(service.base_url, buy_key(service, mint, 2), books)
    position = books.head()

    said = sdk.do(
        "spend", base=base, key=account.key, tokens=[mint.fund(500)], **ASKED, stream=stream
    )

    events = books.since(position, account.account_id)
    assert said["statuses"] == [402, 200]
    assert said["credited"] == [499_000]
    assert said["cost_msat"] == COST_MSAT
    assert said["same_key"]
    assert said["spent_msat"] == COST_MSAT - 499_000
    assert [event.cost_msat for event in of(events, Charged)] == [COST_MSAT]
    assert account.msat() == (1_000 + 499_000 - COST_MSAT, 0)


def test_the_sdk_knows_the_errors_of_a_top_up(
    sdk: Program, base: str, mint: RealMint, service: Service
) -> None:
    key, other = buy_key(service, mint, 100), buy_key(service, mint, 100)
    token = mint.fund(100)

    first = sdk.do("topup", base=base, key=key, token=token)
    again = sdk.do("topup", base=base, key=other, token=token)
    spoiled = sdk.do("topup", base=base, key=key, token="cashuBnonsense")
    unknown = sdk.do("topup", base=base, key="sk-nobody", token=token)

    assert (first["status"], first["msats"]) == (200, 99_000)
    assert (again["status"], again["type"]) == (400, "token_already_spent")
    assert (spoiled["status"], spoiled["type"]) == (400, "invalid_token")
    assert (unknown["status"], unknown["code"]) == (401, "invalid_api_key")
    assert "Key not found" in unknown["message"]


def test_the_sdk_takes_what_is_left_and_asks_again_without_harm(
    sdk: Program, base: str, mint: RealMint, service: Service
) -> None:
    key = buy_key(service, mint, 100)

    first = sdk.do("refund", base=base, key=key)
    again = sdk.do("refund", base=base, key=key)
    take_home(first["token"])
    nothing = sdk.do("refund", base=base, key=key)

    assert (first["status"], first["sats"]) == (200, "98")
    assert again == first
    assert nothing["status"] == 400
    assert "No balance to refund" in nothing["detail"]


def test_the_sdk_does_not_take_the_upstreams_poverty_for_its_own(
    sdk: Program, base: str, mint: RealMint, service: Service, upstream: ScriptedUpstream
) -> None:
    body = b'{"error":{"type":"insufficient_quota","code":"insufficient_balance"}}'
    upstream.next(Behaviour(status=402, body=body))

    said = sdk.do("fail", base=base, key=buy_key(service, mint, 1_000), **ASKED)

    assert said["status"] == 502
    assert said["type"] == "upstream_error"
    assert said["code"] != "insufficient_balance"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_sdk_pays_by_token_and_reads_its_change(
    sdk: Program, base: str, mint: RealMint, books: Books, *, stream: bool
) -> None:
    position = books.head()

    said = sdk.do("pay", base=base, token=mint.fund(1_000), **ASKED, stream=stream)

    (charged,) = of(books.since(position), Charged)
    assert (said["status"], said["refunds"]) == (200, [])
    assert said["cost_msat"] == charged.cost_msat == COST_MSAT
    assert decode(said["change"]).amount == 1_000 - FEE_SAT - COST_SAT - FEE_SAT
    assert is_unspent(said["change"])


def test_the_sdk_asks_for_its_change_until_the_mint_is_back(
    sdk: Program, base: str, mint: RealMint, books: Books, upstream: ScriptedUpstream,
    service: Service,
) -> None:  # fmt: skip
    """The mint dies while the request is served: the answer comes, and the change later."""
    upstream.next(Behaviour(answer_delay_s=3.0))
    token, asked, position = mint.fund(1_000), len(upstream.requests), books.head()

    with ThreadPoolExecutor(1) as thread:
        paying = thread.submit(sdk.do, "pay", base=base, token=token, **ASKED)
        wait_until(lambda: len(upstream.requests) > asked)
        with dead(mint):
            wait_until(lambda: of(books.since(position), Charged) != [])
            wait_until(lambda: told_to_come_again(service))
        said = paying.result()

    events = books.since(position)
    assert said["status"] == 200
    assert said["refunds"][-1] == 200
    assert set(said["refunds"][:-1]) <= {425, 503}
    assert len(said["refunds"]) > 1
    assert said["same_in_header"]
    assert [event.cost_msat for event in of(events, Charged)] == [COST_MSAT]
    assert len(of(events, Issued)) == 1
    assert decode(said["change"]).amount == 1_000 - FEE_SAT - COST_SAT - FEE_SAT
    assert is_unspent(said["change"])


def test_the_sdk_buys_a_key_over_lightning(
    sdk: Program, base: str, service: Service, books: Books
) -> None:
    """The mint's pretended Lightning pays every invoice by itself."""
    said = sdk.do("lightning", base=base, amount_sat=500)
    account = Account(service.base_url, said["key"], books)

    assert said["amount_sat"] == 500
    assert said["recovered"] == said["key"]
    assert account.msat() == (500_000, 0)
    with account.spends(COST_MSAT):
        spent = sdk.do("spend", base=base, key=said["key"], tokens=[], **ASKED)
    assert spent["statuses"] == [200]


def test_otrta_reads_the_listing(otrta: Program, service: Service) -> None:
    said = otrta.do("models", base_url=service.base_url)

    assert list(said["min_cost_sat"]) == MODEL_IDS


def test_otrta_pays_each_request_by_the_change_of_the_last(
    otrta: Program, service: Service, mint: RealMint, books: Books
) -> None:
    position = books.head()
    token = mint.fund(100)

    said = otrta.do("pay", base_url=service.base_url, **ASKED, token=token, times=5)

    events = books.since(position)
    assert said["statuses"] == [200] * 5
    assert [event.cost_msat for event in of(events, Charged)] == [COST_MSAT] * 5
    assert decode(said["money"]).amount == 100 - 5 * (FEE_SAT + COST_SAT + FEE_SAT)
    assert is_unspent(said["money"])


def test_otrta_is_given_back_what_is_too_little(
    otrta: Program, service: Service, mint: RealMint, books: Books
) -> None:
    position, token = books.head(), mint.fund(2)

    said = otrta.do("pay", base_url=service.base_url, **ASKED, token=token, times=1)

    assert said == {"statuses": [402], "money": token}
    assert books.since(position) == []


def test_otrta_is_given_back_what_bought_nothing(
    otrta: Program, service: Service, mint: RealMint, books: Books, upstream: ScriptedUpstream
) -> None:
    upstream.next(*[Behaviour(status=500)] * 4)
    position, token = books.head(), mint.fund(100)

    said = otrta.do("pay", base_url=service.base_url, **ASKED, token=token, times=1)

    events = books.since(position)
    assert said["statuses"] == [500]
    assert (of(events, Charged), len(of(events, Released))) == ([], 1)
    assert decode(said["money"]).amount == 100 - 2 * FEE_SAT
    assert is_unspent(said["money"])


def told_to_come_again(service: Service) -> bool:
    """Tell whether somebody who asked for a refund was told to ask again."""
    lines = [line for line in service.log.splitlines() if '"/v1/wallet/refund"' in line]
    return any(json.loads(line)["status"] in {425, 503} for line in lines)


def wait_until(comes: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not comes():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.05)


@contextmanager
def dead(mint: RealMint) -> Iterator[None]:
    """Let a mint be dead while the block lasts; its books outlive it."""
    mint.kill()
    try:
        yield
    finally:
        mint.start()
