"""Pay per request over real HTTP, with a real mint, and with processes that die at it."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
from openai import OpenAI

from app.gateways.mint.paymentrequest import decode as decode_request
from app.gateways.mint.tokens import Token, decode, encode
from tests.integration.client import TIMEOUT_S, chat_body
from tests.integration.driver import Driver, Errand
from tests.integration.fuse import (
    REPLY,
    UPSTREAM_ASKED,
    UPSTREAM_END,
    after,
    before,
)
from tests.integration.house import COST_MSAT, QUESTION, Address, House, build, new_address
from tests.integration.purse import is_unspent, take_home
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionMessageParam

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint
    from tests.integration.service import Service
    from tests.store.places import Place

pytestmark = pytest.mark.integration

MODEL = "gpt-4o-mini"
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
# Each proof costs a tenth of a sat: a sat for the token, and another one for its change.
FACE_SAT, ALL_BACK_SAT = 1_000, 998
COST_SAT = -(-COST_MSAT // 1_000)
CHANGE_SAT = ALL_BACK_SAT - COST_SAT


def ask(service: Service, headers: dict[str, str], *, stream: bool = False) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            f"{service.base_url}/v1/chat/completions",
            json=chat_body(stream=stream, model=MODEL, question=QUESTION),
            headers=headers,
            timeout=TIMEOUT_S,
        )


def sdk(service: Service) -> OpenAI:
    return OpenAI(base_url=f"{service.base_url}/v1", api_key="none", max_retries=0)


def test_a_stranger_is_told_the_price_and_pays_it(service: Service, mint: RealMint) -> None:
    """NUT-24 from end to end: ask, read the payment request, pay, take the change home."""
    challenge = ask(service, {})
    wanted = decode_request(challenge.headers["X-Cashu"])
    assert wanted.amount is not None

    answer = ask(service, {"X-Cashu": mint.fund(wanted.amount)})

    assert challenge.status_code == 402
    assert (wanted.unit, wanted.mints) == ("sat", (mint.url,))
    assert answer.status_code == 200
    assert 0 < decode(answer.headers["X-Cashu"]).amount <= wanted.amount - COST_SAT
    assert is_unspent(answer.headers["X-Cashu"])


@pytest.mark.parametrize("stream", [False, True])
def test_change_comes_in_the_header(service: Service, mint: RealMint, *, stream: bool) -> None:
    token = mint.fund(FACE_SAT)

    answer = ask(service, {"X-Cashu": token}, stream=stream)

    assert answer.status_code == 200
    assert decode(answer.headers["X-Cashu"]).amount == CHANGE_SAT
    assert is_unspent(answer.headers["X-Cashu"])


def test_the_sdk_hands_on_the_change_of_a_stream(service: Service, mint: RealMint) -> None:
    token = mint.fund(FACE_SAT)

    with sdk(service) as client:
        chunks = list(
            client.chat.completions.create(
                model=MODEL,
                messages=MESSAGES,
                max_tokens=64,
                stream=True,
                extra_headers={"X-Cashu": token, "X-Cashu-Change": "stream"},
            )
        )

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    change = getattr(chunks[-1], "cashu", "")
    assert text.endswith(QUESTION)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert decode(change).amount == CHANGE_SAT
    assert is_unspent(change)


def test_the_sdk_reads_the_change_of_a_plain_answer(service: Service, mint: RealMint) -> None:
    with sdk(service) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=MODEL,
            messages=MESSAGES,
            max_tokens=64,
            extra_headers={"X-Cashu": mint.fund(FACE_SAT)},
        )

    assert raw.parse().choices[0].message.content
    assert decode(raw.headers["X-Cashu"]).amount == CHANGE_SAT


def test_a_token_of_a_hundred_proofs_fits_through_the_door(
    service: Service, mint: RealMint
) -> None:
    proofs = [proof for _ in range(50) for proof in decode(mint.fund(3)).proofs]
    token = encode(Token(mint.url, "sat", tuple(proofs)))

    answer = ask(service, {"X-Cashu": token})

    assert len(proofs) == 100
    assert len(token) > 20_000
    assert answer.status_code == 200
    assert decode(answer.headers["X-Cashu"]).amount == 150 - 10 - COST_SAT - 1


def test_change_is_fetched_from_whichever_worker_until_it_is_collected(
    service: Service, mint: RealMint
) -> None:
    token = mint.fund(FACE_SAT)
    answer = ask(service, {"X-Cashu": token})
    path = f"{service.base_url}/v1/change/{answer.headers['x-request-id']}"

    found = [
        requests.get(path, headers={"X-Cashu": token}, timeout=TIMEOUT_S) for _ in range(8)
    ]
    take_home(answer.headers["X-Cashu"])
    late = requests.get(path, headers={"X-Cashu": token}, timeout=TIMEOUT_S)

    assert {each.json()["token"] for each in found} == {answer.headers["X-Cashu"]}
    assert late.status_code == 410


def test_tickets_at_once_are_each_served_and_each_have_their_change(
    service: Service, mint: RealMint
) -> None:
    """The house has no money of its own for change; every token pays for its own."""
    tokens = [mint.fund(FACE_SAT) for _ in range(12)]

    with ThreadPoolExecutor(len(tokens)) as threads:
        answers = list(threads.map(lambda token: ask(service, {"X-Cashu": token}), tokens))

    assert {answer.status_code for answer in answers} == {200}
    changes = {answer.headers["X-Cashu"] for answer in answers}
    assert len(changes) == len(tokens)
    assert {decode(change).amount for change in changes} == {CHANGE_SAT}
    assert all(is_unspent(change) for change in changes)


def test_one_token_sent_at_once_to_all_workers_buys_one_request(
    service: Service, mint: RealMint
) -> None:
    token = mint.fund(FACE_SAT)

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: ask(service, {"X-Cashu": token}), range(16)))

    statuses = sorted(answer.status_code for answer in answers)
    changes = {answer.headers["X-Cashu"] for answer in answers if "X-Cashu" in answer.headers}
    assert statuses == [200, *[409] * 15]
    assert len(changes) == 1
    assert decode(changes.pop()).amount == CHANGE_SAT


@pytest.fixture
def address(sqlite_place: Place, mint: RealMint, upstream: UpstreamDouble) -> Address:
    return new_address(f"sqlite:///{sqlite_place.where}", mint.url, upstream.base_url)


@pytest.fixture
def house(address: Address) -> Iterator[House]:
    """A process that lives, and recovers from the death of another."""
    house = build(address)
    yield house
    house.close()


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with Driver() as driver:
        yield driver


@pytest.mark.parametrize(
    ("place", "count", "change_sat"),
    [
        pytest.param(after("Receive"), 1, ALL_BACK_SAT, id="after the receipt is recorded"),
        pytest.param(after("swap"), 1, ALL_BACK_SAT, id="when the token has been swapped"),
        pytest.param(after("Credit"), 1, ALL_BACK_SAT, id="after the credit is recorded"),
        pytest.param(after("Hold"), 1, ALL_BACK_SAT, id="after the hold is recorded"),
        pytest.param(UPSTREAM_ASKED, 1, ALL_BACK_SAT, id="before the upstream is asked"),
        pytest.param(UPSTREAM_END, 1, ALL_BACK_SAT, id="before the charge is recorded"),
        pytest.param(after("Charge"), 1, CHANGE_SAT, id="before the change is begun"),
        pytest.param(before("Start"), 1, CHANGE_SAT, id="before the change is recorded"),
        pytest.param(after("Start"), 1, CHANGE_SAT, id="after the change is recorded"),
        pytest.param(after("swap"), 2, CHANGE_SAT, id="when the change has been made"),
        pytest.param(after("Issue"), 1, CHANGE_SAT, id="after the change's token is recorded"),
        pytest.param(REPLY, 1, CHANGE_SAT, id="before the reply"),
    ],
)
def test_a_ticket_whose_process_died_gives_back_all_that_was_not_charged(
    place: str, count: int, change_sat: int, driver: Driver, address: Address, house: House,
    mint: RealMint,
) -> None:  # fmt: skip
    """M25, M27: whoever shows the token again has its change, wherever the process died."""
    token = mint.fund(FACE_SAT)
    outcome = driver.run(address, Errand("ticket", place, count, token=token))
    assert outcome.code == -signal.SIGKILL, "the place was never reached"

    house.recover()
    change = house.tickets.change(house.tickets.read(token))

    assert change.amount == change_sat
    assert is_unspent(change.token)
    assert_sound(house)
    assert_nothing_is_left_to_do(house)
    assert take_home(change.token).amount == change_sat - 1
