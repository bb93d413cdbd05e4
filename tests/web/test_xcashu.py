"""One request for one token: what it costs, what is bought, and what is sent back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from app.gateways.mint.paymentrequest import decode as decode_request
from app.gateways.mint.tokens import decode
from app.web.xcashu import HEADER_CHARACTERS_MAX
from domain.identity import hold_of_request
from tests.doubles.mint import Fault
from tests.doubles.upstream import Behaviour
from tests.web.conftest import COST_MSAT, MODELS
from tests.web.paying import (
    ASKED,
    CHANGE_SAT,
    COST_SAT,
    FACE_SAT,
    FEE_SAT,
    PATH,
    change,
    pay,
    refund,
)

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.web.conftest import House


def ask_without_credentials(
    house: House, headers: dict[str, str] | None = None, **members: Any
) -> TestResponse:
    return house.client.post(PATH, json={**ASKED, **members}, headers=headers or {})


def test_a_request_without_credentials_is_told_its_price(house: House) -> None:
    answer = ask_without_credentials(house)

    wanted = decode_request(answer.headers["X-Cashu"])
    assert answer.status_code == 402
    assert answer.headers["X-Cashu"].startswith("creqA")
    assert (wanted.unit, wanted.mints, wanted.transports) == ("sat", (house.mint.url,), ())
    assert answer.get_json()["error"]["type"] == "insufficient_quota"
    assert answer.get_json()["error"]["code"] == "payment_required"
    assert "X-Cashu" in answer.get_json()["error"]["message"]
    assert house.upstream.requests == []


def test_the_challenge_is_a_creqb_for_whoever_asks_for_one(house: House) -> None:
    plain = ask_without_credentials(house)

    compact = ask_without_credentials(house, {"X-Cashu-Format": "creqB"})

    assert compact.headers["X-Cashu"].startswith("CREQB1")
    assert decode_request(compact.headers["X-Cashu"]) == decode_request(
        plain.headers["X-Cashu"]
    )


@pytest.mark.parametrize("max_tokens", [1, 500, 999])
@pytest.mark.parametrize("fee_ppk", [0, 100, 3000])
def test_a_token_of_the_amount_asked_for_buys_the_request(
    house: House, max_tokens: int, fee_ppk: int
) -> None:
    house.mint.rotate("sat", fee_ppk)
    challenge = ask_without_credentials(house, max_tokens=max_tokens)
    amount_sat = decode_request(challenge.headers["X-Cashu"]).amount
    assert amount_sat is not None

    answer = pay(house, house.mint.fund(amount_sat), max_tokens=max_tokens)

    assert answer.status_code == 200


def test_the_price_is_that_of_the_very_request(house: House) -> None:
    amounts = [
        decode_request(
            ask_without_credentials(house, model="bare", max_tokens=n).headers["X-Cashu"]
        ).amount
        for n in (10, 100_000)
    ]

    assert amounts == [2, 203]


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"model": "nobody/none"}, "invalid_model"),
        ({"max_tokens": "many"}, "invalid_request_error"),
    ],
)
def test_what_cannot_be_priced_is_not_asked_to_be_paid_for(
    house: House, members: dict[str, Any], kind: str
) -> None:
    answer = ask_without_credentials(house, **members)

    assert answer.status_code == 400
    assert answer.get_json()["error"]["type"] == kind
    assert "X-Cashu" not in answer.headers


def test_a_mint_that_is_away_does_not_keep_strangers_from_the_price(house: House) -> None:
    house.mint.fault("keysets", Fault.SERVER_ERROR, times=20)

    answer = ask_without_credentials(house)

    assert answer.status_code == 402
    assert house.mint.calls["keysets"] <= 3


@pytest.mark.parametrize("model", [model["id"] for model in MODELS])
def test_the_listing_tells_the_smallest_token_that_buys_anything(
    house: House, model: str
) -> None:
    listed = house.client.get(f"/v1/models/{model}").get_json()

    smallest_sat = listed["min_cost_per_request"]
    answer = house.client.post(
        PATH,
        json={
            "model": model,
            "messages": [{"role": "user", "content": "?"}],
            "max_tokens": 1,
        },
        headers={"X-Cashu": house.mint.fund(smallest_sat)},
    )

    assert type(smallest_sat) is int
    assert answer.status_code == 200


def test_a_token_buys_a_request_and_its_change_comes_in_the_header(house: House) -> None:
    token = house.mint.fund(FACE_SAT)

    answer = pay(house, token)

    given_back = decode(answer.headers["X-Cashu"])
    assert answer.status_code == 200
    assert answer.get_json()["cost"]["total_msats"] == COST_MSAT
    assert (given_back.mint, given_back.unit) == (house.mint.url, "sat")
    assert given_back.amount == CHANGE_SAT
    assert answer.headers["Cache-Control"] == "no-store"
    house.spend(answer.headers["X-Cashu"])


def test_the_request_has_the_name_of_its_token(house: House) -> None:
    token = house.mint.fund(FACE_SAT)

    answer = pay(house, token)

    account_id = house.deposits.account_of(decode(token))
    expected = hold_of_request(account_id, "x-cashu")
    assert UUID(answer.headers["x-request-id"]) == expected


def test_a_token_goes_before_the_key_that_sdks_must_send(house: House) -> None:
    token = house.mint.fund(FACE_SAT)

    answer = pay(house, token, {"Authorization": "Bearer sk-none"})

    assert answer.status_code == 200


def test_no_token_reaches_the_upstream(house: House) -> None:
    token = house.mint.fund(FACE_SAT)

    pay(house, token)

    [seen] = house.upstream.requests
    assert "x-cashu" not in seen.headers
    assert token not in str(seen)


def test_change_of_little_money_is_none_at_all(house: House) -> None:
    """M24: what is worth less than the mint's fee stays; it is never below zero."""
    token = house.mint.fund(2)

    answer = pay(house, token)

    assert answer.status_code == 200
    assert "X-Cashu" not in answer.headers
    assert "x-cashu-change" not in answer.headers
    assert change(house, answer, token).status_code == 404


def test_change_of_much_money_fits_into_a_header(house: House) -> None:
    token = house.mint.fund(2**21 + FEE_SAT)

    answer = pay(house, token)

    assert decode(answer.headers["X-Cashu"]).amount == 2**21 - FEE_SAT - COST_SAT
    assert len(answer.headers["X-Cashu"]) < HEADER_CHARACTERS_MAX
    assert sum(len(name) + len(value) for name, value in answer.headers) < 16 * 1024


def test_change_has_the_unit_of_the_token(house: House) -> None:
    """M28."""
    token = house.mint.fund(1_000_000, "msat")

    answer = pay(house, token)

    given_back = decode(answer.headers["X-Cashu"])
    assert given_back.unit == "msat"
    assert 1_000_000 - COST_MSAT - 10 < given_back.amount <= 1_000_000 - COST_MSAT - 2


def test_a_token_buys_one_request_for_ever(house: House) -> None:
    token = house.mint.fund(FACE_SAT)
    first = pay(house, token)

    again = [pay(house, token, model=model) for model in ("maker/plain", "bare")]

    for answer in again:
        assert answer.status_code == 409
        assert answer.headers["x-should-retry"] == "false"
        assert answer.headers["X-Cashu"] == first.headers["X-Cashu"]
        assert answer.headers["x-request-id"] == first.headers["x-request-id"]
    assert len(house.upstream.requests) == 1


def test_change_that_was_collected_is_not_sent_again(house: House) -> None:
    """M29, M30."""
    token = house.mint.fund(FACE_SAT)
    first = pay(house, token)
    house.spend(first.headers["X-Cashu"])

    again = pay(house, token)

    assert again.status_code == 409
    assert "X-Cashu" not in again.headers
    assert change(house, first, token).status_code == 410
    assert refund(house, token).status_code == 410


def test_a_token_whose_request_still_runs_asks_for_patience(house: House) -> None:
    token = house.mint.fund(FACE_SAT)
    house.upstream.behave(Behaviour(chunk_delay_s=0.1))
    running = pay(house, token, {"X-Cashu-Change": "stream"}, stream=True)

    second, waiting = pay(house, token), change(house, running, token)
    running.close()

    assert second.status_code == 409
    assert second.headers["Retry-After"] == "2"
    assert "X-Cashu" not in second.headers
    assert waiting.status_code == 425
    assert waiting.headers["Retry-After"] == "2"
    assert len(house.upstream.requests) == 1
