from __future__ import annotations

import json
from fractions import Fraction

import pytest

from app.cashier.costs import cost_document, cost_headers, told, usd
from domain.bounds import Usage
from domain.cost import Cost
from domain.msat import Msat
from domain.pricing import MsatPerUsd

RATE = MsatPerUsd.from_btc_usd(Fraction(100_000))
COST = Cost(
    total=Msat(1_001),
    base=Msat(1),
    input=Msat(600),
    output=Msat(400),
    cache_read=Msat(90),
    cache_write=Msat(10),
)
USAGE = Usage(prompt_tokens=70, completion_tokens=8, cached_tokens=30, cache_write_tokens=20)
WITHIN = {
    "base_msats": 1,
    "input_msats": 600,
    "output_msats": 400,
    "total_msats": 1_001,
    "cache_read_input_tokens": 30,
    "cache_creation_input_tokens": 20,
    "cache_read_msats": 90,
    "cache_creation_msats": 10,
    "total_usd": 0.001001,
}


def test_the_cost_is_told_in_full() -> None:
    document = cost_document(COST, USAGE, RATE)

    assert document == {**WITHIN, "input_tokens": 70, "output_tokens": 8}


def test_headers_tell_it_as_text() -> None:
    headers = cost_headers(COST, RATE)

    assert headers == {
        "x-routstr-cost-msats": "1001",
        "x-routstr-input-cost-msats": "600",
        "x-routstr-output-cost-msats": "400",
        "x-routstr-cost-usd": "0.001001",
    }


def test_without_a_rate_no_dollars_are_told() -> None:
    assert "total_usd" not in cost_document(COST, USAGE, None)
    assert "x-routstr-cost-usd" not in cost_headers(COST, None)


def test_without_usage_no_tokens_are_told() -> None:
    document = cost_document(COST, None, None)

    assert "input_tokens" not in document
    assert document["cache_read_input_tokens"] == 0


def test_an_answer_has_it_wherever_clients_look() -> None:
    cost = cost_document(COST, USAGE, RATE)

    document = json.loads(told({"usage": {"prompt_tokens": 70}}, cost))

    usage = {"prompt_tokens": 70, "cost": WITHIN, "cost_sats": 2}
    metadata = {"routstr": {"cost": {**cost, "sats_cost": 2}}}
    assert document == {"usage": usage, "cost": cost, "metadata": metadata}


def test_who_served_and_what_is_left_have_their_own_places() -> None:
    cost = cost_document(COST, USAGE, RATE, "main", 5_000)
    answer = {"usage": {}, "metadata": {"mine": "kept"}, "provider": "theirs"}

    document = json.loads(told(answer, cost))

    assert document["provider"] == "main"
    assert document["usage"]["remaining_balance_msats"] == 5_000
    assert document["metadata"]["mine"] == "kept"
    assert document["metadata"]["routstr"]["cost"]["remaining_balance_msats"] == 5_000
    assert document["metadata"]["routstr"]["cost"]["total_msats"] == 1_001
    assert "remaining_balance_msats" not in document["cost"]


def test_metadata_that_is_something_else_is_left_alone() -> None:
    document = json.loads(told({"metadata": "mine"}, cost_document(COST, USAGE, RATE)))

    assert document["metadata"] == "mine"


@pytest.mark.parametrize(
    ("amount_msat", "btc_usd", "text"),
    [
        (0, "100000", "0"),
        (1, "100000", "0.000001"),
        (1_000_000, "100000", "1"),
        (1, "97123.45", "0.000000971234"),
        (10**12, "97123.45", "971234.5"),
    ],
)
def test_dollars_are_decimal_text(amount_msat: int, btc_usd: str, text: str) -> None:
    rate = MsatPerUsd.from_btc_usd(Fraction(btc_usd))

    assert usd(Msat(amount_msat), rate) == text
