from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.identity import account_of_key
from domain.key import Changes
from tests.web.conftest import bearer
from tests.web.holders import (
    ADDRESS,
    FUNDED_MSAT,
    code_of,
    post,
    seconds_from_now,
)

if TYPE_CHECKING:
    from tests.web.conftest import House


def test_a_key_is_bound_when_it_is_made(house: House) -> None:
    expiry = seconds_from_now(days=30)
    document = {
        "initial_balance_token": house.mint.fund(1000),
        "balance_limit": 10_000,
        "balance_limit_reset": "monthly",
        "validity_date": seconds_from_now(days=3),
        "refund_address": ADDRESS,
        "key_expiry_time": expiry,
    }

    answers = [house.client.post("/v1/wallet/create", json=document) for _ in range(2)]

    key = answers[0].get_json()["api_key"]
    told = house.info(key)
    assert {answer.status_code for answer in answers} == {200}
    assert (told["balance_limit"], told["balance_limit_reset"]) == (10_000, "monthly")
    assert told["validity_date"] == document["validity_date"]
    assert (told["refund_address"], told["key_expiry_time"]) == (ADDRESS, expiry)
    assert len(house.store.history(account_of_key(key))) == 1


def test_a_refund_address_stands_nowhere_in_the_store(house: House) -> None:
    key = house.key()
    token = {"cashu_token": house.mint.fund(8), "refund_lnurl": ADDRESS}

    assert post(house, "topup", key, token).status_code == 200

    assert house.info(key)["refund_address"] == ADDRESS
    with house.store.snapshot() as query:
        rows = query("SELECT CAST(state AS TEXT) FROM stored_events")
        rows += query("SELECT refund_to FROM api_key")
    assert ADDRESS not in str(rows)
    assert "pay.example" not in house.store.path.read_bytes().decode("latin-1")


def test_headers_bind_what_a_token_opens_by_its_first_use(house: House) -> None:
    expiry = seconds_from_now(days=1)
    token = house.mint.fund(1000)
    sent = {**bearer(token), "Refund-LNURL": ADDRESS, "Key-Expiry-Time": str(expiry)}

    house.client.get("/v1/wallet/info", headers=sent)
    house.client.get("/v1/wallet/info", headers={**sent, "Key-Expiry-Time": "1"})

    told = house.info(token)
    assert (told["refund_address"], told["key_expiry_time"]) == (ADDRESS, expiry)


def test_what_ends_can_be_put_off_and_taken_back(house: House) -> None:
    key = house.key()

    def topped_up(**document: object) -> dict[str, Any]:
        token = {"cashu_token": house.mint.fund(8)}
        assert post(house, "topup", key, {**token, **document}).status_code == 200
        return house.info(key)

    ended = topped_up(key_expiry_time=seconds_from_now(days=-1))
    assert code_of(house.ask(key)) == (403, "key_expired")
    # Topping up after the end takes the money, and leaves the end where it was.
    assert topped_up()["balance"] == ended["balance"] + 7_000
    assert code_of(house.ask(key)) == (403, "key_expired")
    assert topped_up(key_expiry_time=0, refund_address="")["key_expiry_time"] is None
    assert house.ask(key).status_code == 200


def test_a_key_that_was_bound_elsewhere_is_bound_here(house: House) -> None:
    key = house.key()
    assert house.ask(key).status_code == 200
    account_id = account_of_key(key)

    # As another worker does, whose bearer this one does not know of.
    house.ledger.set_key(account_id, account_id, Changes(limit_msat=1))

    assert code_of(house.ask(key)) == (402, "balance_limit_exceeded")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("balance_limit", -1),
        ("balance_limit", "many"),
        ("balance_limit", 1.5),
        ("balance_limit", True),
        ("balance_limit_reset", "hourly"),
        ("balance_limit_reset", 7),
        ("validity_date", "soon"),
        ("validity_date", 99_999_999_999),
        ("key_expiry_time", []),
        ("refund_address", "nobody"),
        ("refund_address", 7),
        ("refund_lnurl", "ada@127.0.0.1"),
        ("allowed_models", 7),
        ("allowed_models", [7]),
        ("allowed_models", ["bare"] * 101),
    ],
)
def test_what_cannot_bind_a_key_is_named_before_money_moves(
    house: House, name: str, value: object
) -> None:
    document = {"initial_balance_token": house.mint.fund(8), name: value}

    answer = house.client.post("/v1/wallet/create", json=document)

    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == name
    assert house.mint.calls["swap"] == 0


def test_a_model_that_is_not_sold_binds_no_key(house: House) -> None:
    answer = post(house, "child-key", house.key(), {"allowed_models": ["nowhere"]})

    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == "model"


@pytest.mark.parametrize(
    ("document", "sat"),
    [({"sats": 100}, 100), ({"msats": "100999"}, 100), ({"amount": 100}, 100)],
)
def test_a_part_can_be_refunded(house: House, document: dict[str, Any], sat: int) -> None:
    key = house.key()

    answer = post(house, "refund", key, document)

    told = answer.get_json()
    assert answer.status_code == 200
    assert told["token"].startswith("cashuB")
    assert int(told["sats"]) in range(sat - 2, sat + 1)
    assert house.info(key)["balance"] == FUNDED_MSAT - sat * 1000


def test_a_part_that_is_named_is_refunded_once(house: House) -> None:
    """M30: the token of a refund is found by its name, not as the newest there is."""
    key = house.key()
    ask = {"amount": 60, "unit": "sat"}

    first = post(house, "refund", key, ask, Idempotency_Key="one")
    other = post(house, "refund", key, ask, Idempotency_Key="two")
    again = post(house, "refund", key, ask, Idempotency_Key="one")

    assert again.get_json() == first.get_json() != other.get_json()
    assert house.info(key)["balance"] == FUNDED_MSAT - 120_000


def test_a_part_that_is_more_than_all_is_refused(house: House) -> None:
    key = house.key()

    answers = [
        post(house, "refund", key, document)
        for document in ({"sats": 1_000}, {"msats": 999}, {"sats": 1, "msats": 1}, {"sats": 0})
    ]
    odd = post(house, "refund", key, {"amount": 1, "unit": "eur"})

    assert [answer.status_code for answer in answers] == [402, 400, 400, 400]
    assert odd.status_code == 400
    assert house.info(key)["balance"] == FUNDED_MSAT


def test_a_donation_is_the_houses_and_is_given_once(house: House) -> None:
    key = house.key()

    answers = [
        post(house, "donate", key, {"msats": 9_000}, Idempotency_Key="gift").get_json()
        for _ in range(2)
    ]
    rest = post(house, "donate", key).get_json()
    nothing = post(house, "donate", key)

    assert answers[0] == answers[1]
    assert answers[0] == {
        "message": "Thanks!",
        "donated_msats": 9_000,
        "balance": FUNDED_MSAT - 9_000,
    }
    assert rest["donated_msats"] == FUNDED_MSAT - 9_000
    assert code_of(nothing) == (402, "insufficient_balance")


def test_a_token_can_be_donated_without_a_key(house: House) -> None:
    token = house.mint.fund(8)

    answers = [
        house.client.post("/v1/balance/donate", query_string={"token": token, "ref": "me"})
        for _ in range(2)
    ]
    bad = house.client.post("/v1/balance/donate", query_string={"token": "cashuB-no"})
    none = house.client.post("/v1/balance/donate", json={"token": ""})

    assert [answer.get_json() for answer in answers] == ["Thanks!", "Thanks!"]
    assert house.info(token)["balance"] == 0
    assert bad.get_json()["detail"] == "Invalid token format"
    assert none.status_code == 400


def test_an_invoice_opens_a_key_that_is_bound(house: House) -> None:
    asked = house.client.post(
        "/lightning/invoice", json={"amount_sats": 500, "balance_limit": 60}
    ).get_json()
    house.mint.pay(asked["payment_hash"])

    status = house.client.get(f"/lightning/invoice/{asked['invoice_id']}/status").get_json()

    assert house.info(status["api_key"])["balance_limit"] == 60
    assert code_of(house.ask(status["api_key"], max_tokens=90)) == (
        402,
        "balance_limit_exceeded",
    )
