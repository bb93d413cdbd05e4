"""Messages and Responses of a model with chats alone, over real HTTP and with a real mint."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import requests

from app.gateways.mint.tokens import decode
from app.store.opening import open_store
from projections.follow import verify
from tests.doubles.upstream import UpstreamDouble
from tests.integration.client import TIMEOUT_S, Client, open_account
from tests.integration.house import COST_MSAT, QUESTION, new_address
from tests.integration.purse import is_unspent
from tests.integration.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.mint import RealMint

pytestmark = pytest.mark.integration

MODEL, FUNDED_MSAT = "gpt-4o-mini", 999_000
QUESTIONS = [{"role": "user", "content": QUESTION}]
ASKED: dict[str, dict[str, Any]] = {
    "/v1/messages": {"model": MODEL, "max_tokens": 64, "messages": QUESTIONS},
    "/v1/responses": {"model": MODEL, "max_output_tokens": 64, "input": QUESTION},
}
LASTS = {"/v1/messages": b"event: message_stop", "/v1/responses": b"event: response.completed"}
FACE_SAT = 1_000
# A sat for the token that comes, one for the change that goes.
CHANGE_SAT = FACE_SAT - 2 - -(-COST_MSAT // 1_000)
BOTH = pytest.mark.parametrize("path", ASKED)


@pytest.fixture(scope="module")
def chats() -> Iterator[UpstreamDouble]:
    with UpstreamDouble(lacks=ASKED) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def seller(
    mint: RealMint, chats: UpstreamDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("chats")
    address = new_address(f"sqlite:///{directory}/ledger.db", mint.url, chats.base_url)
    with Service(address, directory / "home", {}) as service:
        yield service
    store, _ = open_store(address.database_url)
    sound = verify(store, lambda _done, _all: None) is None and store.hold_owners() == []
    store.close()
    assert sound, "the log does not explain what is kept"


@pytest.fixture
def client(seller: Service, mint: RealMint) -> Client:
    return open_account(seller.base_url, mint.fund(FACE_SAT))


def ask(
    seller: Service, path: str, headers: dict[str, str], **members: Any
) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            seller.base_url + path,
            json={**ASKED[path], **members},
            headers=headers,
            timeout=TIMEOUT_S,
        )


def left_msat(client: Client) -> int:
    info = client.info().document
    assert info["reserved"] == 0
    return int(info["balance"])


def test_many_at_once_are_each_charged_what_the_chat_costs(
    seller: Service, client: Client
) -> None:
    headers = {"Authorization": f"Bearer {client.bearer}"}
    asked = list(product(ASKED, [False, True])) * 6

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda each: ask(seller, each[0], headers, stream=each[1]), asked)
        )

    for (path, stream), answer in zip(asked, answers, strict=True):
        assert answer.status_code == 200
        assert f'"total_msats":{COST_MSAT}' in answer.text
        assert not stream or LASTS[path] in answer.content
    assert left_msat(client) == FUNDED_MSAT - len(asked) * COST_MSAT


@BOTH
def test_a_request_that_is_sent_again_is_charged_once(
    seller: Service, client: Client, path: str
) -> None:
    headers = {"Authorization": f"Bearer {client.bearer}", "Idempotency-Key": "one"}

    statuses = [ask(seller, path, headers).status_code for _ in range(3)]

    assert statuses == [200, 409, 409]
    assert left_msat(client) == FUNDED_MSAT - COST_MSAT


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_a_token_pays_and_its_change_is_in_the_header(
    seller: Service, mint: RealMint, path: str, *, stream: bool
) -> None:
    answer = ask(seller, path, {"X-Cashu": mint.fund(FACE_SAT)}, stream=stream)

    assert answer.status_code == 200
    assert decode(answer.headers["X-Cashu"]).amount == CHANGE_SAT
    assert is_unspent(answer.headers["X-Cashu"])


@BOTH
def test_change_comes_in_the_stream_before_its_last_event(
    seller: Service, mint: RealMint, path: str
) -> None:
    headers = {"X-Cashu": mint.fund(FACE_SAT), "X-Cashu-Change": "stream"}

    answer = ask(seller, path, headers, stream=True)

    token, _, rest = f"\n{answer.text}".partition("\n: x-cashu ")[2].partition("\n\n")
    assert LASTS[path].decode() in rest
    assert decode(token).amount == CHANGE_SAT
    assert is_unspent(token)


@BOTH
def test_what_no_chat_can_say_leaves_a_token_to_its_owner(
    seller: Service, mint: RealMint, path: str
) -> None:
    token = mint.fund(FACE_SAT)

    answer = ask(seller, path, {"X-Cashu": token}, tools=[{"type": "web_search_20250305"}])

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "not_translatable"
    assert is_unspent(token)
