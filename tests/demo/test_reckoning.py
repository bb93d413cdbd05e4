"""The tour's own sums are right, and owe nothing to the ledger's."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from app.demo.reckoning import (
    Deal,
    NoPriceError,
    PriceTag,
    Used,
    as_decimal,
    charge_msat,
    mint_fee_sat,
)
from app.demo.stage import MODELS_PATH
from domain.bounds import Usage
from domain.price_list import from_models_json
from domain.pricing import MsatPerUsd

if TYPE_CHECKING:
    from pathlib import Path

DEAL = Deal(Fraction("1.005"), Fraction("1.05"), Fraction(100_000))


def priced(directory: Path, **pricing: str) -> PriceTag:
    entry = {"id": "sample", "alias_ids": ["another-name"], "pricing": pricing}
    path = directory / "models.json"
    path.write_text(json.dumps({"models": [entry]}))
    return PriceTag.of(path, "another-name")


def test_tokens_cost_their_price_with_both_fees_at_the_rate(tmp_path: Path) -> None:
    price = priced(tmp_path, prompt="0.00000015", completion="0.0000006")

    exact = DEAL.msat(price.usd(Used(prompt=5, completion=16)))

    assert exact == Fraction("10.9218375")
    assert charge_msat(exact) == 11


def test_cached_and_reasoning_tokens_cost_their_own_price(tmp_path: Path) -> None:
    price = priced(
        tmp_path,
        prompt="2",
        completion="10",
        request="1",
        input_cache_read="1",
        internal_reasoning="20",
    )

    cost_usd = price.usd(Used(prompt=10, completion=4, cached=6, reasoning=1))

    assert cost_usd == 1 + 4 * 2 + 6 * 1 + 3 * 10 + 1 * 20


def test_a_reasoning_price_of_nothing_means_the_price_of_other_tokens(tmp_path: Path) -> None:
    price = priced(tmp_path, prompt="2", completion="10", internal_reasoning="0")

    assert price.usd(Used(prompt=0, completion=4, reasoning=4)) == 40


def test_a_model_without_a_price_is_said_to_have_none() -> None:
    with pytest.raises(NoPriceError, match="nobody/sells-it"):
        PriceTag.of(MODELS_PATH, "nobody/sells-it")


def test_every_model_of_the_example_costs_what_the_house_charges_for_it() -> None:
    document = json.loads(MODELS_PATH.read_text())
    book = from_models_json(document, DEAL.exchange_fee * DEAL.provider_fee - 1)
    rate = MsatPerUsd.from_btc_usd(DEAL.btc_usd)
    used = Used(prompt=1_234, completion=567, cached=1_000, reasoning=67)
    usage = Usage(
        prompt_tokens=1_234, completion_tokens=567, cached_tokens=1_000, reasoning_tokens=67
    )

    computed = {
        name: charge_msat(DEAL.msat(PriceTag.of(MODELS_PATH, name).usd(used)))
        for name in book.models
    }

    assert computed == {
        name: price.cost(usage, rate).total.msat for name, price in book.models.items()
    }


@pytest.mark.parametrize(
    ("proofs", "fee_ppk", "fee_sat"),
    [(0, 100, 0), (1, 100, 1), (10, 100, 1), (11, 100, 2), (7, 0, 0), (3, 1_000, 3)],
)
def test_a_mint_rounds_its_fee_up_once_a_swap(proofs: int, fee_ppk: int, fee_sat: int) -> None:
    assert mint_fee_sat(proofs, fee_ppk) == fee_sat


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0.000010350", "0.00001035"),
        ("1234567.5", "1,234,567.5"),
        ("0", "0"),
        ("0.0000000000009", "0"),
    ],
)
def test_numbers_are_written_without_an_exponent(number: str, text: str) -> None:
    assert as_decimal(Fraction(number)) == text
