"""Prices of what is not text: sounds, voices and images by size, worked out by hand."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from domain.bounds import Bounds, Usage
from domain.errors import PricingError
from domain.msat import Msat
from domain.price_list import from_models_json
from domain.pricing import ModelPrice, MsatPerUsd, PriceBook

# One dollar buys a million msat.
RATE = MsatPerUsd.from_btc_usd(Fraction(100_000))
PRICES = {"prompt": "0", "completion": "0"}


def priced(pricing: dict[str, object], **members: object) -> ModelPrice:
    entry = {"id": "m", "pricing": {**PRICES, **pricing}, **members}
    return from_models_json({"models": [entry]}, Fraction(0)).find("m")


@pytest.mark.parametrize(
    ("pricing", "usage", "total_msat"),
    [
        # whisper-1: 0.006 dollars a minute, so 100 msat a second
        ({"second": "0.0001"}, Usage(seconds=9), 900),
        # tts-1: 15 dollars for a million characters
        ({"character": "0.000015"}, Usage(characters=4_096), 61_440),
        # gpt-4o-transcribe: 2.50 for text, 6 for sound, 10 for what was understood
        (
            {"prompt": "0.0000025", "audio": "0.000006", "completion": "0.00001"},
            Usage(prompt_tokens=14, audio_tokens=4, completion_tokens=101),
            25 + 24 + 1_010,
        ),
        # gpt-4o-mini-tts: 0.60 for text, 12 for what is spoken
        (
            {"prompt": "0.0000006", "audio_output": "0.000012"},
            Usage(prompt_tokens=10, completion_tokens=200, spoken_tokens=200),
            6 + 2_400,
        ),
        # claude: 3 dollars in, 3.75 for a write of five minutes, 6 for one of an hour
        (
            {
                "prompt": "0.000003",
                "input_cache_read": "0.0000003",
                "input_cache_write": "0.00000375",
                "input_cache_write_1h": "0.000006",
            },
            Usage(
                prompt_tokens=1_000,
                cached_tokens=100,
                cache_write_tokens=800,
                long_cache_tokens=400,
            ),
            300 + 30 + 1_500 + 2_400,
        ),
        # a write of an hour costs what any write costs where nobody says otherwise
        (
            {"prompt": "0.000003", "input_cache_write": "0.000004"},
            Usage(prompt_tokens=10, cache_write_tokens=10, long_cache_tokens=10),
            40,
        ),
    ],
)
def test_cost_of_known_requests(
    pricing: dict[str, object], usage: Usage, total_msat: int
) -> None:
    assert priced(pricing).cost(usage, RATE).total == Msat(total_msat)


SIZES = {"1024x1024": "0.04", "hd 1024x1024": "0.08", "hd 1024x1792": "0.12"}


@pytest.mark.parametrize(
    ("image", "size", "each_msat"),
    [
        ("0", "1024x1024", 40_000),
        ("0", "hd 1024x1024", 80_000),
        ("0", "standard 1024x1024", 40_000),
        ("0", "hd 1024x1792", 120_000),
        # one that is not listed is never cheaper than it may be
        ("0", "9x9", 120_000),
        ("0", "", 120_000),
        ("0.05", "", 50_000),
        ("0.05", "hd 9x9", 50_000),
        ("0.05", "1024x1024", 40_000),
    ],
)
def test_an_image_costs_what_its_size_costs(image: str, size: str, each_msat: int) -> None:
    price = priced({"image": image, "image_sizes": SIZES})

    cost = price.cost(Usage(images=2, image_size=size), RATE)

    assert cost.total == cost.base == Msat(2 * each_msat)
    assert price.ceiling(Bounds(0, 0, images=2, image_size=size), RATE) >= cost.total


def test_the_house_earns_on_every_price() -> None:
    entry = {"id": "m", "pricing": {**PRICES, "second": "1", "image_sizes": {"1x1": "2"}}}

    price = from_models_json({"models": [entry]}, Fraction(1, 2)).find("m")

    assert (price.second, price.image_sizes) == (Fraction(3, 2), {"1x1": Fraction(3)})


@pytest.mark.parametrize(
    ("pricing", "fault"),
    [
        ({"image_sizes": 5}, "image_sizes"),
        ({"image_sizes": {}}, "image_sizes"),
        ({"image_sizes": {"1x1": "-1"}}, "1x1"),
        ({"image_sizes": {"1x1": "dear"}}, "1x1"),
        ({"second": "-1"}, "second"),
    ],
)
def test_a_senseless_price_is_named(pricing: dict[str, object], fault: str) -> None:
    with pytest.raises(PricingError, match=fault):
        priced(pricing)


def test_a_size_without_a_price_is_not_listed() -> None:
    price = priced({"image_sizes": {"1x1": None, "2x2": "1"}})

    assert price.image_sizes == {"2x2": Fraction(1)}


def test_no_size_costs_less_than_nothing() -> None:
    with pytest.raises(PricingError, match="'1x1' of model 'm' is below zero"):
        ModelPrice(id="m", currency="usd", image_sizes={"1x1": Fraction(-1)})


def test_a_book_of_every_price_comes_back_from_json_as_it_went() -> None:
    pricing: dict[str, Any] = {"second": "0.0001", "audio": "0.3", "image_sizes": SIZES}
    price = priced(pricing, top_provider={"max_seconds": 1_500})
    book = PriceBook({"m": price})

    read = PriceBook.from_document(json.loads(json.dumps(book.to_document())))

    assert read == book
    assert read.find("m").max_seconds == 1_500
    assert read.version == book.version


def test_prices_nobody_gives_leave_the_version_of_a_book_as_it_was() -> None:
    """The version of 2026-11, before there were any: charges of then name it."""
    book = PriceBook({"m": ModelPrice(id="m", currency="usd", prompt=Fraction(1, 4))})

    assert set(book.to_document()["models"][0]) == {  # type: ignore[index]  # a JSON list
        "id", "currency", "prompt", "completion", "request", "image", "web_search",
    }  # fmt: skip


ASKED = Usage(prompt_tokens=10, completion_tokens=5, upstream_usd="0.00014", markup="1.05525")


def test_what_the_upstream_asks_is_charged_with_the_margin() -> None:
    price = priced({"prompt": "0.000001", "completion": "0.000002"})

    cost = price.cost(ASKED, RATE)

    # 140 msat and 5.525 %, rounded up once; the list says 10 in and 10 out.
    assert cost.total == Msat(148)
    assert (cost.base, cost.input, cost.output) == (Msat(0), Msat(74), Msat(74))
    assert price.at(RATE).total_msat(ASKED) == 148


def test_what_the_upstream_asks_for_a_free_model_is_of_no_part() -> None:
    cost = priced({}).cost(ASKED, RATE)

    assert (cost.total, cost.base, cost.input, cost.output) == (
        Msat(148), Msat(0), Msat(0), Msat(148),
    )  # fmt: skip


def test_what_the_upstream_asks_needs_a_rate() -> None:
    price = ModelPrice(id="m", currency="msat", prompt=Fraction(1))

    with pytest.raises(PricingError, match="rate"):
        price.cost(ASKED, None)


@pytest.mark.parametrize("text", ["much", "1/3", "nan"])
def test_what_the_upstream_asks_is_a_decimal_number(text: str) -> None:
    usage = Usage(upstream_usd=text, markup="1")

    with pytest.raises(PricingError, match="decimal"):
        priced({}).at(RATE).total_msat(usage)
