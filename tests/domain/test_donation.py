from __future__ import annotations

import pytest

from domain.donation import Donate, Donated
from domain.errors import InsufficientFundsError, UnknownAccountError
from tests.domain.given import ALICE, BOB, LATER, deposited, fold, made, name

GIFT = name(700)


def test_a_donation_takes_what_is_available() -> None:
    rows = fold(*deposited())

    entry = made(Donate(GIFT, ALICE), rows)

    assert entry.event == Donated(at=LATER, account_id=ALICE, amount_msat=100_000)
    assert rows.accounts.rows[ALICE].available_msat == 0


def test_a_part_can_be_given_and_only_once() -> None:
    rows = fold(*deposited())

    first = made(Donate(GIFT, ALICE, 60_000), rows)
    again = made(Donate(GIFT, ALICE, 60_000), rows, first)

    assert again == first
    assert rows.accounts.rows[ALICE].available_msat == 40_000


@pytest.mark.parametrize("amount_msat", [0, 100_001])
def test_nobody_gives_what_he_has_not(amount_msat: int) -> None:
    with pytest.raises(InsufficientFundsError) as short:
        made(Donate(GIFT, ALICE, amount_msat), fold(*deposited()))

    assert short.value.required_msat == max(1, amount_msat)
    assert short.value.available_msat == 100_000


def test_nobody_gives_twice_from_an_empty_account() -> None:
    rows = fold(*deposited())
    first = made(Donate(GIFT, ALICE), rows)

    assert made(Donate(GIFT, ALICE), rows, first) == first
    with pytest.raises(InsufficientFundsError):
        made(Donate(name(701), ALICE), rows)


def test_nobody_gives_without_an_account() -> None:
    with pytest.raises(UnknownAccountError):
        made(Donate(GIFT, BOB), fold(*deposited()))
