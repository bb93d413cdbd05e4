from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from app.web.lightning import PREFIXES
from tests.doubles.mint import FakeMint
from tests.web.conftest import bearer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.test import TestResponse

    from tests.web.conftest import House

NOBODY_PAYS = {"status": "pending", "api_key": None, "paid_at": None}


@pytest.fixture
def mint() -> Iterator[FakeMint]:
    with FakeMint(pays_invoices=False) as double:
        yield double


def ask(house: House, headers: dict[str, str] | None = None, **members: Any) -> TestResponse:
    document = {"amount_sats": 100, **members}
    return house.client.post("/lightning/invoice", json=document, headers=headers or {})


def invoice(house: House, **members: Any) -> dict[str, Any]:
    answer = ask(house, **members)
    assert answer.status_code == 200, answer.text
    given: dict[str, Any] = answer.get_json()
    return given


def status(house: House, invoice_id: str, prefix: str = "/lightning") -> dict[str, Any]:
    answer = house.client.get(f"{prefix}/invoice/{invoice_id}/status")
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = answer.get_json()
    return found


def code_of(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error"]["code"]


def test_an_invoice_is_given_in_the_shape_that_clients_know(house: House) -> None:
    given = invoice(house)

    [quote] = house.mint.mint_quotes.values()
    assert set(given) == {
        "invoice_id",
        "bolt11",
        "amount_sats",
        "expires_at",
        "payment_hash",
    }
    assert given["bolt11"] == quote.request
    assert given["amount_sats"] == 100
    assert given["expires_at"] == quote.expiry
    assert given["payment_hash"] == quote.id


def test_a_paid_invoice_opens_an_account_with_its_money(house: House) -> None:
    given = invoice(house)
    before = status(house, given["invoice_id"])
    house.mint.pay(given["payment_hash"])

    after = status(house, given["invoice_id"])

    assert before.items() >= NOBODY_PAYS.items()
    assert after["status"] == "paid"
    assert after["amount_sats"] == 100
    assert after["created_at"] <= after["paid_at"] <= after["expires_at"]
    assert house.wallet(after["api_key"])["balance"] == 100_000
    assert house.ask(after["api_key"]).status_code == 200


@pytest.mark.parametrize("prefix", PREFIXES.values())
def test_each_address_that_clients_know_is_the_same(house: House, prefix: str) -> None:
    answer = house.client.post(f"{prefix}/invoice", json={"amount_sats": 7})
    given = answer.get_json()

    assert status(house, given["invoice_id"], prefix)["amount_sats"] == 7
    found = house.client.post(f"{prefix}/recover", json={"bolt11": given["bolt11"]})
    assert found.get_json()["status"] == "pending"
    assert house.client.get(f"{prefix}/elsewhere").status_code == 404


def test_who_kept_the_invoice_only_finds_the_key(house: House) -> None:
    given = invoice(house)
    house.mint.pay(given["payment_hash"])

    for text in (given["bolt11"].upper(), f" lightning:{given['bolt11']} "):
        found = house.client.post("/lightning/recover", json={"bolt11": text}).get_json()
        assert found["status"] == "paid"
        assert house.wallet(found["api_key"])["balance"] == 100_000


def test_a_topup_credits_the_account_of_the_header_and_shows_no_key(house: House) -> None:
    key, other = house.key(1000), house.key(2000)
    before, spared = house.wallet(key)["balance"], house.wallet(other)["balance"]

    answer = ask(house, bearer(key), purpose="topup", api_key=other)
    given = answer.get_json()
    house.mint.pay(given["payment_hash"])
    found = status(house, given["invoice_id"])

    assert found["status"] == "paid"
    assert found["api_key"] is None
    assert house.wallet(key)["balance"] == before + 100_000
    assert house.wallet(other)["balance"] == spared


def test_a_topup_may_name_the_key_in_the_body(house: House) -> None:
    key = house.key(1000)
    before = house.wallet(key)["balance"]
    given = invoice(house, purpose="topup", api_key=key)

    house.mint.pay(given["payment_hash"])
    status(house, given["invoice_id"])

    assert house.wallet(key)["balance"] == before + 100_000


def test_a_topup_of_nobodys_account_is_refused(house: House) -> None:
    assert code_of(ask(house, purpose="topup")) == (401, "missing_api_key")
    unknown = ask(house, purpose="topup", api_key="sk-unknown")
    assert code_of(unknown) == (401, "invalid_api_key")
    assert code_of(ask(house, purpose="topup", api_key=5)) == (400, "invalid_value")
    assert house.mint.mint_quotes == {}


@pytest.mark.parametrize("amount", [0, -1, 1_000_001, "100", 1.5, True, None])
def test_an_amount_that_is_not_sold_is_refused(house: House, amount: object) -> None:
    answer = ask(house, amount_sats=amount)

    assert code_of(answer) == (400, "invalid_value")
    assert answer.get_json()["error"]["param"] == "amount_sats"
    assert house.mint.mint_quotes == {}


@pytest.mark.parametrize(
    "members",
    [
        {"purpose": "gift"},
        {"balance_limit": -5},
        {"balance_limit_reset": "hourly"},
        {"validity_date": "tomorrow"},
    ],
)
def test_what_is_not_offered_is_not_promised(house: House, members: dict[str, Any]) -> None:
    answer = ask(house, **members)

    assert code_of(answer) == (400, "invalid_value")
    assert answer.get_json()["error"]["param"] == next(iter(members))
    assert house.mint.mint_quotes == {}


@pytest.mark.parametrize("invoice_id", [str(UUID(int=7)), "no-invoice"])
def test_an_invoice_that_was_never_made_is_not_found(house: House, invoice_id: str) -> None:
    answer = house.client.get(f"/lightning/invoice/{invoice_id}/status")

    assert answer.status_code == 404
    assert answer.get_json()["detail"] == "Invoice not found"


def test_a_text_that_is_no_invoice_of_ours_is_not_found(house: House) -> None:
    answer = house.client.post("/lightning/recover", json={"bolt11": "lnbc1theirs"})
    empty = house.client.post("/lightning/recover", json={"bolt11": " "})

    assert answer.status_code == 404
    assert code_of(empty) == (400, "invalid_value")


def test_a_house_whose_mint_locks_no_quotes_says_so(house: House) -> None:
    house.mint.locks_quotes = False

    assert code_of(ask(house)) == (503, "lightning_unavailable")


def test_visitors_pay_by_a_page_without_any_script(house: House) -> None:
    form = house.client.get("/", headers={"Accept": "text/html"})
    answer = house.client.post("/pay/", data={"amount_sats": "21"})
    page = house.client.get(answer.headers["Location"])

    assert 'action="/pay/"' in form.text
    assert "form-action 'self'" in form.headers["Content-Security-Policy"]
    assert answer.status_code == 303
    [quote] = house.mint.mint_quotes.values()
    assert f'href="lightning:{quote.request}"' in page.text
    assert "<svg" in page.text
    assert 'http-equiv="refresh"' in page.text
    assert "<script" not in page.text
    assert not re.search(r"\s(src|style|on\w+)=", page.text)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"


def test_the_page_shows_the_key_once_the_invoice_is_paid(house: House) -> None:
    answer = house.client.post("/pay/", data={"amount_sats": "21"})
    [quote] = house.mint.mint_quotes
    house.mint.pay(quote)

    page = house.client.get(answer.headers["Location"])

    found = re.search(r"sk-[0-9a-f]{64}", page.text)
    assert found
    assert house.wallet(found[0])["balance"] == 21_000
    assert "refresh" not in page.text
    assert "<svg" not in page.text


def test_the_page_of_a_topup_shows_no_key(house: House) -> None:
    given = invoice(house, purpose="topup", api_key=house.key(1000))
    house.mint.pay(given["payment_hash"])

    page = house.client.get(f"/pay/{given['invoice_id']}")

    assert "Paid." in page.text
    assert "sk-" not in page.text


def test_an_expired_invoice_is_shown_as_such(house: House) -> None:
    house.mint.expiry = 1
    answer = house.client.post("/pay/", data={"amount_sats": "21"})

    page = house.client.get(answer.headers["Location"])

    assert "has expired" in page.text
    assert "<svg" not in page.text


@pytest.mark.parametrize("amount", ["", "0", "-5", "1000001", "9" * 5000, "٣", "1e3"])
def test_an_amount_that_is_none_is_refused_by_the_page(house: House, amount: str) -> None:
    answer = house.client.post("/pay/", data={"amount_sats": amount})

    assert answer.status_code in {400, 413}
    assert house.mint.mint_quotes == {}
