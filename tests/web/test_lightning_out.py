"""M33, M34: what a client is told whose money leaves over Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from tests.doubles.mint import Fault
from tests.doubles.mint_items import Payment
from tests.doubles.recipient import RecipientServer
from tests.gateways.invoices import invoice_msat
from tests.gateways.traps import Trap
from tests.web.conftest import House, bearer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.test import TestResponse

SAID = "words of the recipient"


@pytest.fixture
def bob() -> Iterator[RecipientServer]:
    with RecipientServer() as bob:
        yield bob


@pytest.fixture
def allow(bob: RecipientServer) -> list[str]:
    return [bob.netloc]


def refund(house: House, key: str, named: str = "", **given: object) -> TestResponse:
    headers = {**bearer(key), **({"Idempotency-Key": named} if named else {})}
    return house.client.post("/v1/wallet/refund", json=given, headers=headers)


def code(answer: TestResponse) -> str:
    told: str = answer.get_json()["error"]["code"]
    return told


@pytest.mark.parametrize("member", ["lightning_address", "lnurl", "refund_address"])
@pytest.mark.parametrize("prefix", ["/v1/balance", "/v1/wallet"])
def test_a_balance_is_sent_to_an_address(
    house: House, bob: RecipientServer, member: str, prefix: str
) -> None:
    key = house.key()

    answer = house.client.post(
        f"{prefix}/refund", json={member: bob.address}, headers=bearer(key)
    )

    told = answer.get_json()
    assert answer.status_code == 200
    assert set(told) == {"refund_id", "status", "recipient", "sats", "fee_msats"}
    assert (told["status"], told["recipient"]) == ("paid", bob.address)
    left_msat = 999_000 - 1_000 * int(told["sats"]) - int(told["fee_msats"])
    assert house.wallet(key)["balance"] == left_msat
    assert left_msat < 12_000
    again = house.client.get(f"{prefix}/refund/{told['refund_id']}", headers=bearer(key))
    assert again.get_json() == told


def test_a_part_is_sent_that_is_asked_for(house: House, bob: RecipientServer) -> None:
    key = house.key()

    answer = refund(house, key, lightning_address=bob.address, amount_sats=100)

    assert answer.get_json()["sats"] == "100"
    assert house.wallet(key)["balance"] == 999_000 - 100_000 - int(
        answer.get_json()["fee_msats"]
    )


def test_a_request_of_the_same_name_pays_once(house: House, bob: RecipientServer) -> None:
    key = house.key()

    answers = [
        refund(house, key, "my refund", lightning_address=bob.address, amount_sats=100)
        for _ in range(2)
    ]
    other = refund(house, key, "another", lightning_address=bob.address, amount_sats=100)

    assert answers[0].get_json() == answers[1].get_json()
    assert other.get_json()["refund_id"] != answers[0].get_json()["refund_id"]
    assert len(bob.invoices) == 2


def test_a_pending_refund_is_told_until_it_is_paid(house: House, bob: RecipientServer) -> None:
    key = house.key()
    house.mint.pays(Payment.PENDING)

    first = refund(house, key, lightning_address=bob.address, amount_sats=100)
    again = refund(house, key, lightning_address=bob.address)
    house.mint.settle_pending(paid=True)
    path = f"/v1/wallet/refund/{first.get_json()['refund_id']}"
    told = house.client.get(path, headers=bearer(key)).get_json()

    assert (first.status_code, first.get_json()["status"]) == (202, "pending")
    assert again.get_json() == first.get_json()
    assert told == {**first.get_json(), "status": "paid", "fee_msats": "2000"}
    assert house.mint.calls["melt/bolt11"] == 1


def test_a_failed_refund_is_told_with_the_money_back(
    house: House, bob: RecipientServer
) -> None:
    key = house.key()
    house.mint.pays(Payment.FAILED)

    answer = refund(house, key, lightning_address=bob.address)

    assert answer.status_code == 502
    assert code(answer) == "lightning_payment_failed"
    assert answer.get_json()["error"]["status"] == "failed"
    assert house.wallet(key)["balance"] == 998_000
    path = f"/v1/wallet/refund/{answer.get_json()['error']['refund_id']}"
    assert house.client.get(path, headers=bearer(key)).get_json()["status"] == "failed"


@pytest.mark.parametrize(
    ("address", "status", "told"),
    [
        ("bob", 400, "invalid_lightning_address"),
        ("bob@127.0.0.1:{trap}", 400, "invalid_lightning_address"),
        ("bob@0x7f000001", 400, "invalid_lightning_address"),
        ("lnurlp://[::1]:{trap}/", 400, "invalid_lightning_address"),
        ("", 400, "invalid_value"),
        (7, 400, "invalid_value"),
        (["bob@pay.example"], 400, "invalid_value"),
    ],
)
def test_where_nobody_may_be_paid_nothing_is_connected_to(
    house: House, address: object, status: int, told: str
) -> None:
    key = house.key()
    with Trap() as trap:
        text = address.format(trap=trap.port) if isinstance(address, str) else address

        answer = refund(house, key, lightning_address=text)

        assert (answer.status_code, code(answer)) == (status, told)
        assert trap.visitors == 0
    assert house.wallet(key)["balance"] == 999_000


def test_a_recipient_that_lies_is_told_in_our_words(house: House, bob: RecipientServer) -> None:
    key = house.key()
    bob.bill = {"status": "ERROR", "reason": SAID}
    refused = refund(house, key, lightning_address=bob.address)
    bob.bill = {"pr": invoice_msat(1)}
    other_amount = refund(house, key, lightning_address=bob.address)
    bob.bill, bob.terms = {}, {"minSendable": 10**9, "maxSendable": 10**9}
    too_little = refund(house, key, lightning_address=bob.address)

    assert [code(each) for each in (refused, other_amount, too_little)] == [
        "lightning_recipient_failed",
        "lightning_recipient_failed",
        "amount_out_of_range",
    ]
    assert SAID not in refused.get_data(as_text=True)
    assert house.wallet(key)["balance"] == 999_000


@pytest.mark.parametrize("amount", [0, -1, "100", 1.5, True])
def test_an_amount_that_is_none_is_refused(
    house: House, bob: RecipientServer, amount: object
) -> None:
    answer = refund(house, house.key(), lightning_address=bob.address, amount_sats=amount)

    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "amount_sats")
    assert bob.asked == []


def test_more_than_there_is_is_refused(house: House, bob: RecipientServer) -> None:
    answer = refund(house, house.key(), lightning_address=bob.address, amount_sats=999)

    assert (answer.status_code, code(answer)) == (402, "insufficient_balance")


def test_a_mint_that_is_away_costs_nothing(house: House, bob: RecipientServer) -> None:
    key = house.key()
    house.mint.fault("melt/quote/bolt11", Fault.SERVER_ERROR)

    answer = refund(house, key, lightning_address=bob.address)

    assert (answer.status_code, code(answer)) == (503, "cashu_mint_unreachable")
    assert house.wallet(key)["balance"] == 999_000


@pytest.mark.parametrize("name", [str(UUID(int=7)), "nonsense"])
def test_a_refund_that_never_was_is_not_found(house: House, name: str) -> None:
    path = f"/v1/wallet/refund/{name}"

    assert house.client.get(path, headers=bearer(house.key())).status_code == 404
    assert house.client.get(path).status_code == 401


def test_a_refund_is_told_to_its_owner_only(house: House, bob: RecipientServer) -> None:
    told = refund(house, house.key(), lightning_address=bob.address).get_json()

    path = f"/v1/wallet/refund/{told['refund_id']}"
    assert house.client.get(path, headers=bearer(house.key())).status_code == 404


def test_a_key_that_is_bound_to_an_address_is_paid_there(
    house: House, bob: RecipientServer
) -> None:
    key = house.key()
    topup = {"cashu_token": house.mint.fund(8), "refund_address": bob.address}
    house.client.post("/v1/wallet/topup", json=topup, headers=bearer(key))

    told = refund(house, key).get_json()

    assert (told["status"], told["recipient"]) == ("paid", bob.address)


@pytest.mark.parametrize("payment", [Payment.FAILED, Payment.SETTLED])
def test_a_key_whose_address_cannot_be_paid_gets_a_token(
    house: House, bob: RecipientServer, payment: Payment
) -> None:
    key = house.key()
    topup = {"cashu_token": house.mint.fund(8), "refund_address": bob.address}
    house.client.post("/v1/wallet/topup", json=topup, headers=bearer(key))
    house.mint.pays(payment)
    bob.bill = {} if payment is Payment.FAILED else {"status": "ERROR", "reason": SAID}

    told = refund(house, key).get_json()

    assert set(told) == {"token", "sats"}
    assert int(told["sats"]) >= 1_000
    assert house.wallet(key)["balance"] == 0
