"""What a request has cost, told wherever existing clients look for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from projections.follow import verify
from tests.doubles.dialects import named
from tests.doubles.upstream import Behaviour
from tests.web.conftest import COST_MSAT, bearer
from tests.web.paying import ALL_BACK_SAT, pay

if TYPE_CHECKING:
    from tests.web.conftest import House

CREDIT_MSAT = 999_000
LEFT_MSAT = CREDIT_MSAT - COST_MSAT
INVITED = {"stream": True, "stream_options": {"include_usage": True}}
USAGE = {"input_tokens": 4, "output_tokens": 15, "total_tokens": 19}
SAID = [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]
SSE = {"content-type": "text/event-stream"}
HEADERS = {
    "x-routstr-cost-msats": str(COST_MSAT),
    "x-routstr-input-cost-msats": "4",
    "x-routstr-output-cost-msats": "30",
    "x-routstr-cost-usd": "0.000034",
}


def check(document: dict[str, Any], usage: dict[str, Any]) -> None:
    """Look for the cost and the balance of a known request in each of its places."""
    assert usage["cost"]["total_msats"] == COST_MSAT
    assert usage["cost_sats"] == 1
    assert usage["remaining_balance_msats"] == LEFT_MSAT
    assert document["cost"]["total_msats"] == COST_MSAT
    assert (document["cost"]["input_tokens"], document["cost"]["output_tokens"]) == (4, 15)
    noted = document["metadata"]["routstr"]["cost"]
    assert (noted["total_msats"], noted["sats_cost"]) == (COST_MSAT, 1)
    assert noted["remaining_balance_msats"] == LEFT_MSAT
    assert document["provider"] == "test"


def last_chunk(body: bytes) -> tuple[dict[str, Any], bytes]:
    *_, chunk, end = body.decode().strip().split("\n\n")
    found: dict[str, Any] = json.loads(chunk.partition("data: ")[2])
    return found, end.encode()


def test_an_answer_tells_it_in_its_body_and_its_headers(house: House) -> None:
    key = house.key()

    answer = house.ask(key)

    check(answer.get_json(), answer.get_json()["usage"])
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert house.wallet(key)["balance"] == LEFT_MSAT


def test_a_stream_that_was_asked_for_usage_tells_it_last(house: House) -> None:
    chunk, end = last_chunk(house.ask(house.key(), **INVITED).data)

    assert chunk["choices"] == []
    assert end == b"data: [DONE]"
    check(chunk, chunk["usage"])


def test_a_usage_chunk_is_made_where_the_upstream_sent_it_with_a_word(house: House) -> None:
    delta = {"choices": [{"index": 0, "delta": {"content": "Hi"}}], "model": "m", "id": "c"}
    usage = {"prompt_tokens": 4, "completion_tokens": 15}
    chunks = [
        f"data: {json.dumps({**delta, 'usage': usage})}\n\n".encode(),
        b"data: [DONE]\n\n",
    ]
    house.upstream.behave(Behaviour(headers=SSE, chunks=chunks))

    chunk, _ = last_chunk(house.ask(house.key(), **INVITED).data)

    check(chunk, chunk["usage"])


def test_responses_tell_it(house: House) -> None:
    key = house.key()
    document = {"output": SAID, "usage": USAGE, "metadata": {"mine": "1"}}
    house.upstream.behave(Behaviour(status=200, body=json.dumps(document).encode()))
    asked = {"model": "maker/plain", "input": "hi", "max_output_tokens": 50}

    plain = house.client.post("/v1/responses", json=asked, headers=bearer(key)).get_json()

    check(plain, plain["usage"])
    assert plain["metadata"]["mine"] == "1"


def test_a_streamed_response_tells_it_in_its_last_event(house: House) -> None:
    response = {"output": SAID, "usage": USAGE}
    chunks = [
        named("response.output_text.delta", delta="Hi"),
        named("response.completed", response=response),
    ]
    house.upstream.behave(Behaviour(status=200, headers=SSE, chunks=chunks))
    asked = {"model": "maker/plain", "input": "hi", "max_output_tokens": 50, "stream": True}

    answer = house.client.post("/v1/responses", json=asked, headers=bearer(house.key()))

    last = json.loads(answer.data.strip().split(b"data: ")[-1])
    check(last, last["response"]["usage"])


def test_messages_tell_it(house: House) -> None:
    content = [{"type": "text", "text": "Hi"}]
    body = json.dumps({"type": "message", "content": content, "usage": USAGE}).encode()
    house.upstream.behave(Behaviour(status=200, body=body))
    asked = {"model": "maker/plain", "messages": [], "max_tokens": 50}

    plain = house.client.post("/v1/messages", json=asked, headers=bearer(house.key()))

    check(plain.get_json(), plain.get_json()["usage"])
    assert {name: plain.headers[name] for name in HEADERS} == HEADERS


def test_an_embedding_tells_it(house: House) -> None:
    key = house.key()

    answer = house.client.post(
        "/v1/embeddings", json={"model": "maker/plain", "input": "a b"}, headers=bearer(key)
    ).get_json()

    assert answer["usage"]["cost"]["total_msats"] == 2
    assert answer["usage"]["remaining_balance_msats"] == CREDIT_MSAT - 2


def test_a_ticket_is_told_what_comes_back(house: House) -> None:
    answer = pay(house, house.mint.fund(1000))

    left_msat = answer.get_json()["usage"]["remaining_balance_msats"]
    assert left_msat == 1000 * (ALL_BACK_SAT + 1) - COST_MSAT


def test_an_answer_that_is_free_tells_nothing(house: House) -> None:
    house.upstream.behave(Behaviour(status=200, body=b'{"choices": []}'))

    answer = house.ask(house.key())

    assert "cost" not in answer.get_json()
    assert "x-routstr-cost-msats" not in answer.headers


def asks(usd: object, **usage: object) -> Behaviour:
    """Return an upstream that says what it asks for an answer."""
    counts = {"prompt_tokens": 4, "completion_tokens": 15, "cost": usd, **usage}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}}
    return Behaviour(
        status=200, body=json.dumps({"choices": [choice], "usage": counts}).encode()
    )


@pytest.mark.parametrize(
    ("behaviour", "cost_msat"),
    [
        # 50 millionths of a dollar are 50 msat, and a tenth on top
        (asks(0.00005), 55),
        (asks(0.0000501), 56),
        (asks(0.00001, is_byok=True, cost_details={"upstream_inference_cost": 0.00003}), 44),
        # nothing, nonsense and more than was held: the list decides
        (asks(0), COST_MSAT),
        (asks(-1), COST_MSAT),
        (asks("dear"), COST_MSAT),
        (asks(5.0), COST_MSAT),
    ],
)
def test_what_the_upstream_asks_is_charged_within_the_hold(
    house: House, behaviour: Behaviour, cost_msat: int
) -> None:
    key = house.key()
    house.upstream.behave(behaviour)

    answer = house.ask(key)

    assert answer.get_json()["cost"]["total_msats"] == cost_msat
    assert house.wallet(key)["balance"] == CREDIT_MSAT - cost_msat
    assert verify(house.store, lambda *_: None) is None


def test_the_receipt_says_what_the_upstream_has_asked(house: House) -> None:
    key = house.key()
    house.upstream.behave(asks(0.00005))
    request_id = house.ask(key).headers["x-request-id"]

    answer = house.client.get(f"/v1/receipts/{request_id}", headers=bearer(key))

    usage = answer.get_json()["receipt"]["usage"]
    assert (usage["upstream_usd"], usage["markup"]) == ("0.00005", "1.1")
