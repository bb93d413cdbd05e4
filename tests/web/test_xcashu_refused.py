"""One request for one token that is not served: nothing of the token is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.gateways.mint.tokens import decode
from app.web.xcashu import HEADER_CHARACTERS_MAX
from tests.doubles.mint import FakeMint
from tests.doubles.upstream import Behaviour
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


def test_a_token_that_is_too_small_comes_back_as_it_was(house: House) -> None:
    token = house.mint.fund(2)

    answer = pay(house, token, max_tokens=900)

    told = answer.get_json()
    assert answer.status_code == 402
    assert answer.headers["X-Cashu"] == token
    assert told["detail"] == {
        "reason": "Insufficient balance",
        "amount_required_msat": 3000,
        "model": "maker/plain",
        "type": "minimum_balance_required",
    }
    assert told["error"]["type"] == told["error"]["code"] == "minimum_balance_required"
    assert house.mint.calls["swap"] == 0
    assert house.deposits.worth(decode(token)).msat == 1000


@pytest.mark.parametrize(
    "members", [{"model": "nobody/none"}, {"max_tokens": -1}, {"stream": "yes"}]
)
def test_a_request_that_is_none_leaves_the_token_to_its_owner(
    house: House, members: dict[str, Any]
) -> None:
    token = house.mint.fund(FACE_SAT)

    answer = pay(house, token, **members)

    assert answer.status_code == 400
    assert answer.headers["X-Cashu"] == token
    assert house.mint.calls["swap"] == 0


def test_what_is_no_token_is_not_sent_back(house: House) -> None:
    answer = pay(house, "cashuBnonsense")

    assert answer.status_code == 401
    assert answer.get_json()["detail"] == "Invalid authentication token format"
    assert "X-Cashu" not in answer.headers


def test_a_token_of_another_mint_is_refused_and_comes_back(house: House) -> None:
    """NUT-24 asks for a 400."""
    with FakeMint("other") as other:
        token = other.fund(FACE_SAT)

        answer = pay(house, token)

        assert other.calls == {}
    assert answer.status_code == 400
    assert answer.headers["X-Cashu"] == token


def test_a_spent_token_is_not_sent_back_as_money(house: House) -> None:
    """M29."""
    token = house.mint.fund(FACE_SAT)
    house.spend(token)

    answers = [pay(house, token) for _ in range(2)]

    for answer in answers:
        assert answer.status_code == 400
        assert answer.get_json()["error"]["code"] == "cashu_token_already_spent"
        assert "X-Cashu" not in answer.headers
        assert change(house, answer, token).status_code == 404


def test_a_token_in_somebodys_account_is_not_sent_back(house: House) -> None:
    """M29."""
    token = house.mint.fund(FACE_SAT)
    house.client.post("/v1/wallet/create", json={"initial_balance_token": token})

    answer = pay(house, token)

    assert answer.status_code == 400
    assert "X-Cashu" not in answer.headers


def test_a_token_too_long_for_a_header_is_not_sent_back_in_one(house: House) -> None:
    token = house.mint.fund(2**62 - 1)
    assert len(token) > HEADER_CHARACTERS_MAX

    answer = pay(house, token, model="nobody/none")

    assert answer.status_code == 400
    assert "X-Cashu" not in answer.headers


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (Behaviour(status=500), 500),
        (Behaviour(status=429), 429),
        (Behaviour(status=402), 502),
        (Behaviour(hangs_up_unanswered=True), 502),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_upstream_did_not_serve_is_all_paid_back(
    house: House, behaviour: Behaviour, status: int, *, stream: bool
) -> None:
    """M24, M25: no tax on an error, and nothing is kept."""
    house.upstream.behave(behaviour)
    token = house.mint.fund(FACE_SAT)

    answer = pay(house, token, stream=stream)

    told = answer.get_json()
    assert answer.status_code == status
    assert worth_sat(answer) == ALL_BACK_SAT
    assert answer.headers["x-should-retry"] == "false"
    assert told["error"]["refund_token"] == answer.headers["X-Cashu"]
    assert told["detail"]["error"] == told["error"]
    assert refund(house, token).get_json()["token"] == answer.headers["X-Cashu"]


def test_an_upstream_out_of_reach_costs_nothing(house: House) -> None:
    """M25."""
    house.upstream._server.socket.close()
    token = house.mint.fund(FACE_SAT)

    answer = pay(house, token)

    assert answer.status_code == 502
    assert worth_sat(answer) == ALL_BACK_SAT


@pytest.mark.parametrize(
    ("behaviour", "members", "status"),
    [
        (Behaviour(body=b""), {}, 200),
        (Behaviour(chunks=[b"data: [DONE]\n\n"]), {"stream": True}, 200),
        (Behaviour(drops_after_chunks=0), {"stream": True}, 502),
    ],
)
def test_an_answer_without_anything_in_it_is_all_paid_back(
    house: House, behaviour: Behaviour, members: dict[str, Any], status: int
) -> None:
    """M26."""
    house.upstream.behave(behaviour)

    answer = pay(house, house.mint.fund(FACE_SAT), **members)

    assert answer.status_code == status
    assert worth_sat(answer) == ALL_BACK_SAT


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_usage_still_has_change(house: House, *, stream: bool) -> None:
    """M26."""
    house.upstream.behave(Behaviour(omits_usage=True))

    answer = pay(house, house.mint.fund(FACE_SAT), stream=stream)

    assert answer.status_code == 200
    assert worth_sat(answer) == CHANGE_SAT


@pytest.mark.parametrize(
    ("path", "members"),
    [("/v1/completions", {"prompt": "one two"}), ("/v1/embeddings", {"input": "one two"})],
)
def test_the_other_paid_routes_have_change_too(
    house: House, path: str, members: dict[str, str]
) -> None:
    """M26."""
    answer = house.client.post(
        path,
        json={"model": "maker/plain", "max_tokens": 50, **members},
        headers={"X-Cashu": house.mint.fund(FACE_SAT)},
    )

    assert answer.status_code == 200
    assert worth_sat(answer) == CHANGE_SAT
