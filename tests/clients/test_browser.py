"""A page in Chromium pays and reads what CORS allows it to, without any SDK."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from app.gateways.mint.paymentrequest import decode as decode_request
from app.gateways.mint.tokens import decode
from domain.hold import Charged
from tests.clients.books import (
    CHAT_MODEL,
    COST_MSAT,
    FUNDS_SAT,
    QUESTION,
    Customer,
    buy_key,
    of,
)
from tests.clients.browser import Browser
from tests.doubles.upstream import Behaviour
from tests.integration.purse import is_unspent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clients.books import Books
    from tests.clients.upstream import ScriptedUpstream
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

COST_SAT = -(-COST_MSAT // 1_000)
SETTLED_TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def page(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser("page", tmp_path_factory.mktemp("page")) as browser:
        yield browser


@pytest.fixture(scope="module")
def visitor(page: Browser, service: Service, mint: RealMint, books: Books) -> Customer:
    key = buy_key(service, mint, FUNDS_SAT)
    return Customer(service.base_url, key, books, page, "a page")


def test_a_page_reads_an_answer_and_its_headers(visitor: Customer) -> None:
    with visitor.spends(COST_MSAT):
        said = visitor.chat("plain")

    assert said["status"] == 200
    assert said["text"].endswith(QUESTION)
    assert said["headers"]["x-routstr-cost-msats"] == str(COST_MSAT)
    assert said["headers"]["x-request-id"] == said["headers"]["x-routstr-request-id"]


def test_a_page_reads_a_stream(visitor: Customer) -> None:
    with visitor.spends(COST_MSAT):
        said = visitor.chat("stream")

    assert said["text"].endswith(QUESTION)


def test_a_visitor_who_presses_stop_has_read_the_beginning_and_pays_once(
    visitor: Customer, upstream: ScriptedUpstream
) -> None:
    upstream.next(Behaviour(chunk_delay_s=0.3))

    with visitor.spends(COST_MSAT):
        said = visitor.chat("stop")
        held_msat = visitor.msat()[1]
        deadline_s = time.monotonic() + SETTLED_TIMEOUT_S
        while visitor.msat()[1] and time.monotonic() < deadline_s:
            time.sleep(0.05)

    assert said == {"first": "This"}
    # The stream goes on for five seconds: a page that waited for its end would find none.
    assert held_msat > 0


def test_a_page_is_told_what_is_wrong(
    visitor: Customer, service: Service, mint: RealMint
) -> None:
    with visitor.spends():
        stranger = visitor.chat("plain", key="sk-" + "0" * 64)
        short = visitor.chat("plain", key=buy_key(service, mint, 2))

    assert (stranger["status"], stranger["error"]["code"]) == (401, "invalid_api_key")
    assert (short["status"], short["error"]["code"]) == (402, "insufficient_balance")
    assert short["headers"]["x-should-retry"] == "false"


@pytest.mark.parametrize("way", ["plain", "stream", "stream at once"])
def test_a_page_pays_by_x_cashu_and_reads_its_change(
    way: str, visitor: Customer, mint: RealMint
) -> None:
    """Without the list of exposed headers a page would see neither price nor change."""
    act = "plain" if way == "plain" else "stream"
    at_once = {"X-Cashu-Change": "stream"} if way == "stream at once" else {}
    price = visitor.chat("plain", key=None)
    wanted = decode_request(price["headers"]["x-cashu"])
    assert wanted.amount is not None
    position = visitor.books.head()

    token = mint.fund(wanted.amount)
    said = visitor.chat(act, key=None, headers={"X-Cashu": token, **at_once})

    change = said["change"] if at_once else said["headers"]["x-cashu"]
    (charged,) = of(visitor.books.since(position), Charged)
    assert price["status"] == 402
    assert (said["status"], charged.cost_msat) == (200, COST_MSAT)
    assert said["text"].endswith(QUESTION)
    # A sat for the mint when the token is taken, and one when its change is made.
    assert decode(change).amount == wanted.amount - COST_SAT - 2
    assert is_unspent(change)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 200),
        ("/v1/models", "GET", 200),
        (f"/v1/models/{CHAT_MODEL}", "GET", 200),
        ("/v1/info", "GET", 200),
        ("/v1/nothing", "GET", 404),
        ("/v1/chat/completions", "DELETE", 405),
        ("/v1/wallet/refund", "POST", 401),
    ],
)
def test_every_answer_can_be_read_from_elsewhere(
    path: str, method: str, status: int, visitor: Customer
) -> None:
    seen = visitor.client.do("look", base_url=visitor.base_url, path=path, method=method)

    assert seen["status"] == status
    assert seen["headers"]["x-request-id"]
    assert json.loads(seen["body"])


def test_the_auditors_view_cannot_be_read_from_elsewhere(visitor: Customer) -> None:
    seen = visitor.client.do("look", base_url=visitor.base_url, path="/admin/")

    assert seen == {"refused": "TypeError"}


def test_a_page_manages_a_wallet(visitor: Customer, mint: RealMint) -> None:
    def ask(path: str, method: str, **document: Any) -> dict[str, Any]:
        seen = visitor.client.do(
            "look",
            base_url=visitor.base_url,
            path=path,
            method=method,
            headers={
                "Authorization": f"Bearer {visitor.key}",
                "Content-Type": "application/json",
            },
            body=json.dumps(document) if method == "POST" else None,
        )
        answer: dict[str, Any] = json.loads(seen["body"])
        return answer

    before = ask("/v1/wallet/", "GET")["balance"]
    credited = ask("/v1/wallet/topup", "POST", cashu_token=mint.fund(100))["msats"]
    after = ask("/v1/wallet/info", "GET")["balance"]

    assert (credited, after) == (99_000, before + 99_000)
