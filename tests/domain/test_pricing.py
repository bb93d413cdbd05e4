from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.bounds import Bounds, Usage
from domain.errors import PricingError, UnknownModelError
from domain.exact import exact
from domain.msat import Msat
from domain.price_list import fixed, from_models_json
from domain.pricing import ModelPrice, MsatPerUsd, PriceBook

if TYPE_CHECKING:
    from collections.abc import Callable

MILLION = 1_000_000
# One dollar buys a million msat: a price per million tokens reads as msat a token.
RATE = MsatPerUsd.from_btc_usd(Fraction(100_000))

prices = st.fractions(min_value=0, max_value=2, max_denominator=10**9)
counts = st.integers(min_value=0, max_value=200_000)
sizes = st.sampled_from(["hd 512x512", "512x512", "1024x1024"])


@st.composite
def model_prices(draw: Callable[..., Any]) -> ModelPrice:
    part = st.none() | prices
    return ModelPrice(
        id="m",
        currency="msat",
        prompt=draw(prices),
        completion=draw(prices),
        request=draw(prices),
        image=draw(prices),
        web_search=draw(prices),
        internal_reasoning=draw(part),
        input_cache_read=draw(part),
        input_cache_write=draw(part),
        input_cache_write_1h=draw(part),
        audio=draw(part),
        audio_output=draw(part),
        second=draw(part),
        character=draw(part),
        image_sizes=draw(st.none() | st.dictionaries(sizes, prices)),
    )


@st.composite
def usages(draw: Callable[..., int]) -> Usage:
    prompt, completion = draw(counts), draw(counts)
    cached = draw(st.integers(0, prompt))
    written = draw(st.integers(0, prompt - cached))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=draw(st.integers(0, completion)),
        images=draw(st.integers(0, 9)),
        web_searches=draw(st.integers(0, 9)),
        seconds=draw(counts),
        characters=draw(counts),
        audio_tokens=draw(st.integers(0, prompt)),
        spoken_tokens=draw(st.integers(0, completion)),
        long_cache_tokens=draw(st.integers(0, written)),
        image_size=str(draw(st.just("") | sizes)),
    )


def test_every_advertised_price_is_charged() -> None:
    price = ModelPrice(
        id="m",
        currency="msat",
        prompt=Fraction(1),
        completion=Fraction(10),
        request=Fraction(10_000),
        image=Fraction(100_000),
        web_search=Fraction(1_000_000),
        internal_reasoning=Fraction(20),
        input_cache_read=Fraction(1, 2),
        input_cache_write=Fraction(2),
    )
    usage = Usage(
        prompt_tokens=100,
        completion_tokens=50,
        cached_tokens=40,
        cache_write_tokens=10,
        reasoning_tokens=30,
        images=2,
        web_searches=3,
    )

    cost = price.cost(usage, None)

    assert cost.base == Msat(10_000 + 200_000 + 3_000_000)
    assert cost.input == Msat(50 + 20 + 20)
    assert cost.output == Msat(200 + 600)
    assert cost.total == Msat(3_210_890)


@pytest.mark.parametrize(
    ("usd_per_million", "tokens", "total_msat"),
    [
        # gpt-4o-mini at 100,000 dollars a bitcoin, worked out by hand
        (("0.15", "0.6"), (1000, 500), 450),
        (("0.15", "0.6"), (1, 0), 1),
        (("2.5", "10"), (100, 100), 1250),
        # an embedding: no price on the completion must not mean "charge it all"
        (("0.02", "0"), (1000, 0), 20),
        (("0", "0"), (1000, 1000), 0),
    ],
)
def test_cost_of_known_requests(
    usd_per_million: tuple[str, str], tokens: tuple[int, int], total_msat: int
) -> None:
    prompt, completion = (Fraction(text) / MILLION for text in usd_per_million)
    price = ModelPrice(id="m", currency="usd", prompt=prompt, completion=completion)

    cost = price.cost(Usage(prompt_tokens=tokens[0], completion_tokens=tokens[1]), RATE)

    assert cost.total == Msat(total_msat)


def test_cached_input_costs_its_own_price() -> None:
    price = ModelPrice(
        id="m",
        currency="usd",
        prompt=Fraction("1.1") / MILLION,
        input_cache_read=Fraction("0.11") / MILLION,
    )
    usage = Usage(prompt_tokens=10_000, cached_tokens=9_000)

    assert price.cost(usage, RATE).total == Msat(1100 + 990)


def test_cached_input_without_a_price_of_its_own_costs_the_prompt_price() -> None:
    price = ModelPrice(id="m", currency="msat", prompt=Fraction(3))

    assert price.cost(Usage(prompt_tokens=10, cached_tokens=9), None).total == Msat(30)


@given(price=model_prices(), usage=usages())
def test_parts_of_a_cost_add_up_to_the_exact_sum_rounded_up_once(
    price: ModelPrice, usage: Usage
) -> None:
    plain = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
    shown = usage.completion_tokens - usage.reasoning_tokens
    heard, spoken = min(usage.audio_tokens, plain), min(usage.spoken_tokens, shown)
    sum_of_products = (
        price.request
        + price.image_of_size(usage.image_size) * usage.images
        + price.web_search * usage.web_searches
        + price.prompt * (plain - heard)
        + price.component("audio") * heard
        + price.component("input_cache_read") * usage.cached_tokens
        + price.component("input_cache_write")
        * (usage.cache_write_tokens - usage.long_cache_tokens)
        + price.component("input_cache_write_1h") * usage.long_cache_tokens
        + (price.second or 0) * usage.seconds
        + (price.character or 0) * usage.characters
        + price.completion * (shown - spoken)
        + price.component("audio_output") * spoken
        + price.component("internal_reasoning") * usage.reasoning_tokens
    )

    cost = price.cost(usage, None)

    assert cost.total == Msat.ceil(sum_of_products)
    assert cost.base + cost.input + cost.output == cost.total
    assert price.at(None).total_msat(usage) == cost.total.msat


@given(
    price=model_prices(),
    usage=usages(),
    choices=st.integers(1, 4),
    spare=st.tuples(counts, counts),
    context=st.none() | st.integers(1, 400_000),
)
def test_no_honest_usage_costs_more_than_the_ceiling(
    price: ModelPrice,
    usage: Usage,
    choices: int,
    spare: tuple[int, int],
    context: int | None,
) -> None:
    bounds = Bounds(
        prompt_tokens_max=usage.prompt_tokens + spare[0],
        completion_tokens_max=-(-usage.completion_tokens // choices) + spare[1],
        choices=choices,
        images=usage.images,
        web_searches=usage.web_searches,
        context_tokens_max=context,
        seconds=usage.seconds,
        characters=usage.characters,
        image_size=usage.image_size,
        hears=usage.audio_tokens > 0,
        speaks=usage.spoken_tokens > 0,
    )
    assume(bounds.admit(usage))

    assert price.ceiling(bounds, None) >= price.cost(usage, None).total


def test_ceiling_of_plain_bounds_is_the_cost_of_using_them_up() -> None:
    price = ModelPrice(
        id="m", currency="msat", prompt=Fraction(1, 3), completion=Fraction(2, 3)
    )

    ceiling = price.ceiling(Bounds(100, 50, choices=2), None)

    assert ceiling == price.cost(Usage(prompt_tokens=100, completion_tokens=100), None).total


def test_a_full_context_is_never_paid_for_twice() -> None:
    price = ModelPrice(id="m", currency="msat", prompt=Fraction(1), completion=Fraction(4))

    ceiling = price.ceiling(Bounds(900, 500, context_tokens_max=1000), None)

    assert ceiling == Msat(500 * 4 + 500)


@pytest.mark.parametrize(
    "senseless",
    [
        {"prompt_tokens": -1},
        {"cached_tokens": 1},
        {"prompt_tokens": 1, "cached_tokens": 1, "cache_write_tokens": 1},
        {"reasoning_tokens": 1},
        {"images": -1},
        {"web_searches": -1},
        {"seconds": -1},
        {"characters": -1},
        {"audio_tokens": 1},
        {"spoken_tokens": 1},
        {"prompt_tokens": 1, "cache_write_tokens": 1, "long_cache_tokens": 2},
    ],
)
def test_a_senseless_usage_cannot_be_made(senseless: dict[str, int]) -> None:
    with pytest.raises(PricingError):
        Usage(**senseless)  # type: ignore[arg-type]  # only counts are given


def test_a_price_below_zero_cannot_be_made() -> None:
    with pytest.raises(PricingError, match="'completion' of model 'm'"):
        ModelPrice(id="m", currency="usd", completion=Fraction(-1))


def test_a_price_in_dollars_needs_a_rate() -> None:
    with pytest.raises(PricingError, match="rate"):
        ModelPrice(id="m", currency="usd").at(None)


@pytest.mark.parametrize("price", [0, -1])
def test_a_bitcoin_is_never_free(price: int) -> None:
    with pytest.raises(PricingError):
        MsatPerUsd.from_btc_usd(Fraction(price))


def test_a_rate_is_above_zero() -> None:
    with pytest.raises(PricingError):
        MsatPerUsd(Fraction(0))


def test_rate_of_a_bitcoin_at_a_hundred_thousand_dollars() -> None:
    assert MsatPerUsd.from_btc_usd(Fraction(100_000)).value == MILLION


@pytest.mark.parametrize(
    "text", ["1e999999999", "nan", "inf", "", "1_000", "1/3", "0x1", " 1", "1" * 90, "½"]
)
def test_what_is_no_plain_decimal_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="decimal number"):
        exact(text)


@pytest.mark.parametrize("value", [True, None, [], float("nan")])
def test_what_is_no_number_at_all_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="decimal number"):
        exact(value)


def book() -> PriceBook:
    return from_models_json(
        {
            "models": [
                {
                    "id": "vendor/a",
                    "alias_ids": ["a"],
                    "context_length": 1000,
                    "pricing": {
                        "prompt": "0.00000015",
                        "completion": "0.1",
                        "input_cache_read": "0.0000000333",
                    },
                },
                {"id": "vendor/b", "pricing": {"prompt": 1.5e-7, "completion": 0}},
            ]
        },
        margin=Fraction(1, 20),
    )


def test_a_model_is_found_by_id_and_by_alias() -> None:
    assert book().find("a") == book().find("vendor/a")


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(UnknownModelError, match="Model 'vendor/c' not found"):
        book().find("vendor/c")


def test_a_book_comes_back_from_json_as_it_went() -> None:
    written = json.loads(json.dumps(book().to_document()))

    read = PriceBook.from_document(written)

    assert read == book()
    assert read.version == book().version


def test_a_flat_book_comes_back_from_json_as_it_went() -> None:
    flat = fixed(Fraction(1), Fraction("0.5"), Fraction(2))

    assert PriceBook.from_document(flat.to_document()) == flat


def test_the_version_changes_with_any_price() -> None:
    other = from_models_json(
        {"models": [{"id": "vendor/a", "pricing": {"prompt": "1", "completion": "1"}}]},
        margin=Fraction(0),
    )

    assert other.version != book().version
    assert len(other.version) == 16


@pytest.mark.parametrize(
    "damaged", [{}, {"models": 1}, {"models": [1]}, {"models": [{"id": "m", "new": 1}]}]
)
def test_a_damaged_record_of_a_book_is_refused(damaged: dict[str, object]) -> None:
    with pytest.raises(PricingError, match="damaged"):
        PriceBook.from_document(damaged)


def test_tariffs_of_a_book_are_worked_out_once() -> None:
    tariffs = book().at(RATE)

    assert tariffs.find("a") is tariffs.find("vendor/a")
    assert tariffs.find("a").rate == RATE


def test_a_flat_price_applies_to_any_model_without_filling_the_memory() -> None:
    tariffs = fixed(Fraction(1), Fraction(1), Fraction(2)).at(None)

    cost = tariffs.find("one").cost(Usage(prompt_tokens=1000, completion_tokens=1000))

    assert cost.total == Msat.from_sat(1 + 1 + 2)
    assert tariffs.find("two") is tariffs.find("one")


@given(price=model_prices(), usage=usages())
def test_what_the_cache_costs_is_a_part_of_the_input(price: ModelPrice, usage: Usage) -> None:
    cost = price.cost(usage, None)

    assert (cost.cache_read + cost.cache_write).msat <= cost.input.msat


def test_what_the_cache_costs_is_told_by_itself() -> None:
    price = ModelPrice(
        id="m",
        currency="msat",
        prompt=Fraction(3),
        input_cache_read=Fraction(1, 2),
        input_cache_write=Fraction(4),
    )

    cost = price.cost(Usage(prompt_tokens=100, cached_tokens=41, cache_write_tokens=9), None)

    assert (cost.cache_read, cost.cache_write) == (Msat(20), Msat(36))
    assert cost.input == Msat(150 + 21 + 36)
