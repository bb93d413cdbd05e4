"""Which mint makes an invoice, and what of its answer a client is shown."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import MintDownError, NoLightningError, TooManyInvoicesError
from app.cashier.invoice import OPENED_MAX, VALID_MAX
from tests.cashier.test_invoice import QUOTE_PATH, invoice

if TYPE_CHECKING:
    from tests.cashier.conftest import Build, OpenMint
    from tests.cashier.house import House, MoodyMint


@pytest.fixture
def mint(open_mint: OpenMint) -> MoodyMint:
    return open_mint(pays_invoices=False)


def test_a_mint_that_locks_no_quotes_is_passed_over(
    build: Build, mint: MoodyMint, open_mint: OpenMint
) -> None:
    mint.locks_quotes = False
    second = open_mint("second", pays_invoices=False)

    _, bill = invoice(build(mint, second))

    assert bill.mint == second.url
    with pytest.raises(NoLightningError):
        invoice(build(mint, anew=True))


def test_a_mint_that_is_away_is_passed_over(
    build: Build, mint: MoodyMint, open_mint: OpenMint
) -> None:
    house = build(mint, open_mint("second", pays_invoices=False))
    mint.go_away()

    assert invoice(house)[1].mint == house.moody[1].url
    house.moody[1].go_away()
    with pytest.raises(MintDownError):
        invoice(house)


def test_without_any_mint_no_invoice_is_made(house: House, mint: MoodyMint) -> None:
    mint.go_away()

    with pytest.raises(MintDownError):
        invoice(house)
    assert house.log() == []


def test_a_mint_that_will_not_make_the_invoice_says_so(house: House, mint: MoodyMint) -> None:
    mint.refuse(QUOTE_PATH, 11006)

    with pytest.raises(NoLightningError):
        invoice(house)
    assert house.log() == []


def test_a_quote_over_another_amount_is_not_shown_to_the_client(
    house: House, mint: MoodyMint, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = mint._mint_quote
    monkeypatch.setattr(mint, "_mint_quote", lambda body: given(body) | {"amount": 1})

    with pytest.raises(MintDownError):
        invoice(house)


def test_an_endless_invoice_is_not_shown_to_the_client(
    house: House, mint: MoodyMint, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = mint._mint_quote
    monkeypatch.setattr(mint, "_mint_quote", lambda body: given(body) | {"request": "l" * 3000})

    with pytest.raises(MintDownError):
        invoice(house)


@pytest.mark.parametrize(
    ("expiry", "hours"), [(None, 1), (0, 1), (1, 0), (10**15, VALID_MAX.days * 24)]
)
def test_a_mint_that_names_no_sensible_expiry_is_given_one(
    house: House, mint: MoodyMint, expiry: int | None, hours: int
) -> None:
    mint.expiry = expiry

    invoice_id, bill = invoice(house)

    opened = house.events(invoice_id)[0].at
    left = bill.expires_at - opened
    assert abs(left - timedelta(hours=hours)) < timedelta(seconds=5)


def test_more_invoices_than_a_mint_would_bear_are_refused_for_a_minute(house: House) -> None:
    for _ in range(OPENED_MAX):
        house.invoices._count_one()

    with pytest.raises(TooManyInvoicesError):
        invoice(house)
    house.passed_s += 60
    assert invoice(house)
