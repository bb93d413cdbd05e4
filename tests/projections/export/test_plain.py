from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.posting import (
    EARNED,
    REFUNDS_IN_FLIGHT,
    SHORTFALL,
    TOKENS_OUTSTANDING,
    available,
    held,
    mint,
)
from projections.export.plain import EQUITY, is_ours, opening_legs, plain_name, safe, sat, usd
from tests.domain.given import ALICE

ACCOUNT = re.compile(
    r"(Assets|Liabilities|Income|Expenses|Equity)(:[A-Z0-9][A-Za-z0-9-]*)+", re.ASCII
)


@pytest.mark.parametrize(
    ("account", "name"),
    [
        (available(ALICE), "Liabilities:Client:00000000-0000-4000-8000-000000000001:Available"),
        (held(ALICE), "Liabilities:Client:00000000-0000-4000-8000-000000000001:Held"),
        (EARNED, "Income:Earned"),
        (SHORTFALL, "Expenses:Shortfall"),
        (REFUNDS_IN_FLIGHT, "Liabilities:Refunds:InFlight"),
        (TOKENS_OUTSTANDING, "Liabilities:Tokens:Outstanding"),
        (EQUITY, "Equity:Opening-Balances"),
        ("house:of_tomorrow", "Equity:House-of-tomorrow"),
    ],
)
def test_every_account_has_a_name_that_accountants_know(account: str, name: str) -> None:
    assert plain_name(account) == name


@given(st.text(max_size=60), st.text(max_size=60))
def test_two_mints_never_share_a_name_and_each_is_one(one: str, other: str) -> None:
    names = {plain_name(mint(f"https://{url}")) for url in (one, other)}

    assert len(names) == len({one, other})
    assert all(ACCOUNT.fullmatch(name) for name in names)


def test_what_we_have_or_lost_is_ours_and_nothing_else() -> None:
    assert is_ours(mint("https://m"))
    assert is_ours(SHORTFALL)
    assert not is_ours(EARNED)
    assert not is_ours(available(ALICE))


@given(st.integers())
def test_an_amount_in_sat_says_every_msat(amount_msat: int) -> None:
    text = sat(amount_msat)

    assert re.fullmatch(r"-?\d+\.\d{3}", text)
    assert int(text.replace(".", "")) == amount_msat


def test_dollars_are_exact_or_not_told() -> None:
    assert usd(1, "61234.56") == "0.0000006123456"
    assert usd(1, "") == ""


@given(st.text())
def test_safe_text_holds_nothing_that_a_program_could_read(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.~/:@+%-]*", safe(text))


def test_balances_brought_forward_add_up_to_zero() -> None:
    whole = dict(opening_legs({EARNED: 5, SHORTFALL: -2, mint("x"): -3, held(ALICE): 0}))
    part = dict(opening_legs({EARNED: 5}))

    assert whole == {EARNED: -5, SHORTFALL: 2, mint("x"): 3}
    assert part == {EARNED: -5, EQUITY: 5}
