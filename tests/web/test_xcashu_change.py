"""The change of a token that paid for one request: in a stream, and fetched afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.gateways.mint.tokens import decode
from app.web.xcashu import KEPT_BYTES_MAX
from tests.doubles.mint import Fault
from tests.doubles.upstream import Behaviour
from tests.web.conftest import COST_MSAT, bearer
from tests.web.paying import (
    ALL_BACK_SAT,
    CHANGE_SAT,
    FACE_SAT,
    change,
    pay,
    refund,
    worth_sat,
)

if TYPE_CHECKING:
    from tests.web.conftest import House


def test_a_stream_is_kept_back_so_that_its_change_is_in_the_header(house: House) -> None:
    answer = pay(house, house.mint.fund(FACE_SAT), stream=True)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-routstr-cost-msats"] == str(COST_MSAT)
    assert answer.headers["x-routstr-cost-usd"] == "0.000034"
    assert answer.data.endswith(b"data: [DONE]\n\n")
    assert b"cashu" not in answer.data
    assert worth_sat(answer) == CHANGE_SAT


@pytest.mark.parametrize("usage", [False, True])
def test_a_stream_that_is_not_kept_back_brings_its_change_at_its_end(
    house: House, *, usage: bool
) -> None:
    token = house.mint.fund(FACE_SAT)

    answer = pay(
        house,
        token,
        {"X-Cashu-Change": "stream"},
        stream=True,
        stream_options={"include_usage": usage},
    )

    assert "X-Cashu" not in answer.headers
    *events, comment, done, _ = answer.get_data(as_text=True).split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert done == "data: [DONE]"
    finish = chunks[-2 if usage else -1]
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert comment == f": x-cashu {finish['cashu']}"
    assert decode(finish["cashu"]).amount == CHANGE_SAT
    assert change(house, answer, token).get_json()["token"] == finish["cashu"]
    assert "event:" not in answer.get_data(as_text=True)


def test_a_client_that_left_finds_its_change_later(house: House) -> None:
    """M27."""
    house.upstream.behave(Behaviour(chunk_delay_s=0.005))
    token = house.mint.fund(FACE_SAT)
    answer = pay(house, token, {"X-Cashu-Change": "stream"}, stream=True)
    next(answer.iter_encoded())

    answer.close()

    assert house.open_holds() == 0
    found = change(house, answer, token)
    assert found.status_code == 200
    assert decode(found.get_json()["token"]).amount == CHANGE_SAT
    assert refund(house, token).get_json() == found.get_json()


def test_a_stream_cut_short_is_charged_for_what_came_and_its_change_is_there(
    house: House,
) -> None:
    house.upstream.behave(Behaviour(drops_after_chunks=4))

    answer = pay(house, house.mint.fund(FACE_SAT), stream=True)

    assert answer.status_code == 200
    assert b"upstream_broken" in answer.data
    assert worth_sat(answer) == CHANGE_SAT


def test_a_very_long_stream_is_not_kept_back(house: House) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "x" * 2**20}}]}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 15}}
    events = [f"data: {json.dumps(each)}\n\n".encode() for each in (chunk, last, usage)]
    long = [*events[:1] * (KEPT_BYTES_MAX // 2**20 + 1), *events[1:], b"data: [DONE]\n\n"]
    house.upstream.behave(Behaviour(chunks=long))

    answer = pay(house, house.mint.fund(FACE_SAT), stream=True)

    assert answer.status_code == 200
    assert "X-Cashu" not in answer.headers
    assert len(answer.data) > KEPT_BYTES_MAX
    assert answer.data.count(b"data: ") == len(long) - 1
    *_, comment, done, _ = answer.data[-20_000:].split(b"\n\n")
    assert done == b"data: [DONE]"
    assert decode(comment.decode().removeprefix(": x-cashu ")).amount == CHANGE_SAT


@pytest.mark.parametrize("way", ["X-Cashu", "Authorization", "/v1/wallet", "/v1/balance"])
def test_change_lost_on_the_way_is_told_again(house: House, way: str) -> None:
    """M27."""
    token = house.mint.fund(FACE_SAT)
    answer = pay(house, token)
    path = f"/v1/change/{answer.headers['x-request-id']}"

    if way.startswith("/"):
        found = house.client.post(f"{way}/refund", headers={"X-Cashu": token})
    else:
        headers = {"X-Cashu": token} if way == "X-Cashu" else bearer(token)
        found = house.client.get(path, headers=headers)

    assert found.status_code == 200
    assert found.get_json() == {
        "token": answer.headers["X-Cashu"],
        "sats": str(CHANGE_SAT),
    }
    assert found.headers["X-Cashu"] == answer.headers["X-Cashu"]
    assert found.headers["Cache-Control"] == "no-store"


def test_the_id_of_a_request_alone_opens_nothing(house: House) -> None:
    token, other = house.mint.fund(FACE_SAT), house.mint.fund(FACE_SAT)
    path = f"/v1/change/{pay(house, token).headers['x-request-id']}"
    pay(house, other)

    nobody = house.client.get(path)
    stranger = house.client.get(path, headers={"X-Cashu": other})
    key = house.client.get(path, headers=bearer(house.key()))

    assert (nobody.status_code, stranger.status_code, key.status_code) == (401, 404, 401)
    assert stranger.get_json()["detail"] == "Refund not found"


def test_a_token_that_never_came_has_no_change(house: House) -> None:
    token = house.mint.fund(FACE_SAT)

    unknown = house.client.get(f"/v1/change/{uuid4()}", headers={"X-Cashu": token})
    refunded = refund(house, token)

    assert (unknown.status_code, refunded.status_code) == (404, 404)
    assert refunded.get_json()["detail"] == "Refund not found"
    assert house.mint.calls["swap"] == 0


def test_change_the_mint_cannot_make_now_does_not_hold_up_the_answer(house: House) -> None:
    """M25, M27: pending for as long as the mint is away, and no longer."""
    token = house.mint.fund(FACE_SAT)
    # It takes the token, and then it makes no change.
    house.mint.fault("swap", Fault.DELAY)
    house.mint.fault("swap", Fault.SERVER_ERROR, times=100)
    answer = pay(house, token)
    meanwhile = change(house, answer, token)
    house.mint._faults.clear()
    afterwards = change(house, answer, token)

    assert answer.status_code == 200
    assert "X-Cashu" not in answer.headers
    assert answer.headers["x-cashu-change"] == "pending"
    assert meanwhile.status_code == 425
    assert meanwhile.headers["Retry-After"] == "2"
    assert meanwhile.get_json()["detail"] == "Refund is pending; retry shortly."
    assert decode(afterwards.get_json()["token"]).amount == CHANGE_SAT


def test_a_mint_that_is_away_before_anything_leaves_the_token_to_its_owner(
    house: House,
) -> None:
    token = house.mint.fund(FACE_SAT)
    house.mint.fault("keysets", Fault.SERVER_ERROR, times=20)

    answer = pay(house, token)

    assert answer.status_code == 503
    assert answer.get_json()["error"]["code"] == "cashu_mint_unreachable"
    assert answer.headers["X-Cashu"] == token


def test_a_token_whose_deposit_is_unknown_is_neither_sent_back_nor_lost(house: House) -> None:
    """M25: the same token again, or the change, goes on from where the mint fell silent."""
    token = house.mint.fund(FACE_SAT)
    house.mint.fault("swap", Fault.DROP_RESPONSE)
    house.mint.fault("restore", Fault.SERVER_ERROR, times=20)
    answer = pay(house, token)
    house.mint._faults.clear()

    found = refund(house, token)
    again = pay(house, token)

    assert answer.status_code == 503
    assert answer.get_json()["error"]["code"] == "cashu_deposit_pending"
    assert "X-Cashu" not in answer.headers
    assert answer.headers["x-cashu-change"] == "pending"
    assert decode(found.get_json()["token"]).amount == ALL_BACK_SAT
    # Its money was given back, so that it buys nothing more.
    assert again.status_code == 402
    assert again.headers["X-Cashu"] == found.get_json()["token"]
    assert house.upstream.requests == []


def test_browsers_may_read_the_change(house: House) -> None:
    answer = pay(house, house.mint.fund(FACE_SAT), {"Origin": "https://chat.example"})

    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert {"x-cashu", "x-cashu-change", "x-request-id"} <= set(exposed.split(", "))
