"""A token of a foreign mint at the doors: what is told of it, and what is handed back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.gateways.mint.tokens import decode
from tests.doubles.mint import FakeMint
from tests.doubles.mint_items import Payment
from tests.web.conftest import bearer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.conftest import House

PLACES = ["/v1/balance", "/v1/wallet"]


@pytest.fixture
def mint() -> Iterator[FakeMint]:
    with FakeMint(pays_invoices=False) as double:
        yield double


@pytest.fixture
def theirs(mint: FakeMint) -> Iterator[FakeMint]:
    with FakeMint("theirs") as double:
        double.peers.append(mint)
        yield double


@pytest.fixture
def foreign_urls(theirs: FakeMint) -> tuple[str, ...]:
    return (theirs.url,)


@pytest.mark.parametrize("place", PLACES)
def test_a_key_is_made_of_a_foreign_token_and_its_cost_is_told(
    house: House, theirs: FakeMint, place: str
) -> None:
    token = theirs.fund(200)

    answer = house.client.post(f"{place}/create", json={"initial_balance_token": token})

    given = answer.get_json()
    assert answer.status_code == 200, answer.text
    assert (given["balance"], given["fee_msats"], given["change_msats"]) == (
        196_000,
        2_000,
        2_000,
    )
    assert (decode(given["change"]).mint, decode(given["change"]).amount) == (theirs.url, 2)
    again = house.client.post(f"{place}/create", json={"initial_balance_token": token})
    assert again.get_json() == given


def test_a_topup_tells_the_same(house: House, mint: FakeMint, theirs: FakeMint) -> None:
    key = house.client.post(
        "/v1/wallet/create", json={"initial_balance_token": mint.fund(10)}
    ).get_json()["api_key"]

    answer = house.client.post(
        "/v1/wallet/topup", json={"cashu_token": theirs.fund(200)}, headers=bearer(key)
    )

    assert answer.get_json()["msats"] == 196_000
    assert answer.get_json()["fee_msats"] == 2_000
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("place", PLACES)
def test_whoever_used_a_foreign_token_as_a_key_gets_its_change(
    house: House, theirs: FakeMint, place: str
) -> None:
    token = theirs.fund(200)
    asked = {"cashu_token": token}
    before = house.client.post(f"{place}/foreign-change", json=asked)
    info = house.client.get(f"{place}/info", headers=bearer(token)).get_json()

    answer = house.client.post(f"{place}/foreign-change", json=asked)

    assert before.status_code == 404
    assert info["balance"] == 196_000
    assert decode(answer.get_json()["token"]).amount == 2
    assert answer.headers["Cache-Control"] == "no-store"


def test_what_is_no_token_has_no_change(house: House, mint: FakeMint) -> None:
    codes = [
        house.client.post("/v1/wallet/foreign-change", json=body).status_code
        for body in ({}, {"cashu_token": "cashuB"}, {"cashu_token": mint.fund(8)})
    ]

    assert codes == [400, 400, 404]


def test_one_request_can_be_paid_by_a_foreign_token(house: House, theirs: FakeMint) -> None:
    asked = {"model": "plain", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}

    answer = house.client.post(
        "/v1/chat/completions", json=asked, headers={"X-Cashu": theirs.fund(200)}
    )

    assert answer.status_code == 200, answer.text
    change = decode(answer.headers["X-Cashu"])
    assert change.mint == house.mint.url
    assert 190 <= change.amount < 196


def test_a_foreign_token_whose_mint_does_not_pay_comes_back(
    house: House, theirs: FakeMint
) -> None:
    token = theirs.fund(200)
    theirs.pays(Payment.FAILED)
    asked = {"model": "plain", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}

    answer = house.client.post("/v1/chat/completions", json=asked, headers={"X-Cashu": token})

    error = answer.get_json()["error"]
    assert (answer.status_code, error["code"]) == (422, "cashu_foreign_mint_swap_failed")
    assert error["type"] == "mint_error"
    assert answer.headers["X-Cashu"] == token


def test_a_foreign_mint_that_is_away_is_told_as_such(house: House, theirs: FakeMint) -> None:
    token = theirs.fund(200)
    theirs.__exit__()

    answer = house.client.post("/v1/wallet/create", json={"initial_balance_token": token})

    error = answer.get_json()["error"]
    assert (answer.status_code, error["code"]) == (503, "cashu_source_mint_unreachable")
    assert answer.headers["Retry-After"] == "5"
    theirs.__enter__()
