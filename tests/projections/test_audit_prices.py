"""What an auditor works out a charge to be is what it was priced at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from domain.pricing import ModelPrice, MsatPerUsd
from projections.audit import total_msat
from tests.domain.test_pricing import model_prices, usages

if TYPE_CHECKING:
    from fractions import Fraction

    from domain.bounds import Usage


@given(price=model_prices(), usage=usages(), rate=st.fractions("0.01", 10**7))
def test_a_total_is_that_of_the_tariff_which_is_not_made(
    price: ModelPrice, usage: Usage, rate: Fraction
) -> None:
    in_dollars = replace(price, currency="usd")
    msat_per_usd = MsatPerUsd.from_btc_usd(rate)

    for each in (price, in_dollars):
        made_anew = each.at(msat_per_usd).total_msat(usage)
        assert total_msat(each, usage, msat_per_usd) == made_anew
