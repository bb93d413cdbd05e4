from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import NegativeAmountError
from domain.msat import MSAT_PER_UNIT, ZERO, Msat

if TYPE_CHECKING:
    from fractions import Fraction

AMOUNTS = st.integers(0, 10**15)


def test_less_than_nothing_cannot_exist() -> None:
    with pytest.raises(NegativeAmountError) as below:
        Msat(3) - Msat(5)

    assert below.value.amount_msat == -2


@given(AMOUNTS, AMOUNTS)
def test_what_was_added_can_be_taken_away(one: int, other: int) -> None:
    assert Msat(one) + Msat(other) - Msat(other) == Msat(one)


@given(st.fractions(0, 10**9))
def test_a_cost_is_rounded_up_by_less_than_one_msat(cost: Fraction) -> None:
    assert 0 <= Msat.ceil(cost).msat - cost < 1


@given(AMOUNTS)
def test_what_is_paid_out_is_rounded_down(amount_msat: int) -> None:
    assert 0 <= amount_msat - Msat.from_sat(Msat(amount_msat).to_sat()).msat < 1000


def test_only_zero_is_nothing() -> None:
    assert not ZERO
    assert Msat(1)
    assert Msat(1) > ZERO


def test_units_are_worth_what_they_say() -> None:
    assert MSAT_PER_UNIT == {"sat": 1_000, "msat": 1}
