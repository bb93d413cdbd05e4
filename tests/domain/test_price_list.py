from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bounds import Bounds
from domain.errors import PricingError
from domain.msat import Msat
from domain.price_list import as_json_floats, from_models_json, sats_pricing
from domain.pricing import ModelPrice, MsatPerUsd

RATE = MsatPerUsd.from_btc_usd(Fraction(100_000))
EXAMPLE = Path(__file__).parents[2] / "models.example.json"


def models(*entries: object) -> dict[str, object]:
    return {"models": list(entries)}


def entry(**members: object) -> dict[str, object]:
    return {"id": "m", "pricing": {"prompt": "1", "completion": "2"}, **members}


def test_prices_are_read_exactly_and_raised_by_the_margin() -> None:
    document = json.loads('{"data": [{"id": "m", "pricing": {"prompt": 1.5e-07,'
                          ' "completion": "0.0000006"}}]}')  # fmt: skip

    price = from_models_json(document, margin=Fraction(1, 20)).find("m")

    assert price.prompt == Fraction("0.00000015") * Fraction("1.05")
    assert price.completion == Fraction("0.0000006") * Fraction("1.05")


def test_limits_are_read_from_the_model_and_its_provider() -> None:
    top = {"context_length": 8, "max_completion_tokens": 4}

    first = from_models_json(models(entry(context_length=9, top_provider=top)), Fraction(0))
    second = from_models_json(models(entry(context_length=0, top_provider=top)), Fraction(0))

    assert (first.find("m").context_length, first.find("m").max_completion_tokens) == (9, 4)
    assert second.find("m").context_length == 8


def test_reasoning_priced_zero_costs_as_much_as_the_completion() -> None:
    pricing = {"prompt": "1", "completion": "2", "internal_reasoning": "0"}

    price = from_models_json(models(entry(pricing=pricing)), Fraction(0)).find("m")

    assert price.component("internal_reasoning") == 2


def test_all_names_of_a_model_are_read() -> None:
    book = from_models_json(
        models(entry(canonical_slug="m-2026", alias_ids=["n", "m"])), Fraction(0)
    )

    assert book.aliases == {"m-2026": "m", "n": "m"}


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([1], "Model number 1, field 'id'"),
        ({}, "no list 'models'"),
        (models({"id": ""}), "Model number 1, field 'id'"),
        (models({"id": "m"}), "Model 'm', field 'pricing': is missing"),
        (models(entry(pricing={"prompt": "1"})), "'pricing.completion': is missing"),
        (models(entry(pricing={"prompt": "-1", "completion": 0})), "is below zero"),
        (models(entry(pricing={"prompt": "x", "completion": 0})), "not a decimal number"),
        (models(entry(pricing={"prompt": True, "completion": 0})), "not a decimal number"),
        (models(entry(context_length=1.5)), "'context_length': is not a whole number"),
        (models(entry(context_length=-1)), "'context_length': is not a whole number"),
        (models(entry(), entry()), "occurs twice"),
        (models(entry(alias_ids="n")), "is not a list"),
        (models(entry(alias_ids=[1])), "no text"),
        (models(entry(alias_ids=["n"]), entry(id="n")), "another model's name"),
        (models(entry(alias_ids=["x"]), entry(id="n", alias_ids=["x"])), "another model's"),
    ],
)
def test_a_fault_names_the_model_and_the_field(document: object, fault: str) -> None:
    with pytest.raises(PricingError, match=fault):
        from_models_json(document, Fraction(0))


def test_all_faults_are_told_at_once() -> None:
    document = models({"id": "a"}, {"id": "b"})

    with pytest.raises(PricingError) as raised:
        from_models_json(document, Fraction(0))

    assert len(str(raised.value).splitlines()) == 2


def test_a_margin_may_not_eat_the_price() -> None:
    with pytest.raises(PricingError, match="margin"):
        from_models_json(models(), Fraction(-1))


def test_the_example_list_is_sound() -> None:
    document = json.loads(EXAMPLE.read_text())

    book = from_models_json(document, Fraction(0))

    assert book.find("gpt-4o-mini").prompt == Fraction("0.00000015")
    assert book.find("text-embedding-3-small").completion == 0
    assert len(book.models) >= 12


@pytest.mark.parametrize(
    ("context", "written", "max_cost_sat"),
    [
        (1000, 200, 800 * 1 + 200 * 4),
        (1000, None, 1000 * 4),
        (1000, 1000, 1000 * 4),
        (None, 200, 800 * 1 + 200 * 4),
        (None, None, 1_000_000 * 1 + 32_000 * 4),
    ],
)
def test_max_cost_follows_the_model_limits(
    context: int | None, written: int | None, max_cost_sat: int
) -> None:
    price = ModelPrice(
        id="m",
        currency="msat",
        prompt=Fraction(1000),
        completion=Fraction(4000),
        request=Fraction(7000),
        context_length=context,
        max_completion_tokens=written,
    )

    shown = sats_pricing(price, None)

    assert shown["max_cost"] == max_cost_sat + 7
    assert shown["prompt"] == shown["input_cache_read"] == 1


@given(
    prompt=st.integers(0, 9),
    completion=st.integers(0, 9),
    written=st.none() | st.integers(1, 60),
)
def test_what_a_client_is_told_to_send_covers_the_hold(
    prompt: int, completion: int, written: int | None
) -> None:
    price = ModelPrice(
        id="m",
        currency="msat",
        prompt=Fraction(prompt),
        completion=Fraction(completion),
        context_length=50,
        max_completion_tokens=written,
    )

    held = price.ceiling(Bounds.of_request({}, 1000, price), None)

    assert held <= Msat.ceil(sats_pricing(price, None)["max_cost"] * 1000)


@pytest.mark.parametrize(
    "members", [{"max_image_tokens": 800}, {"top_provider": {"max_image_tokens": 800}}]
)
def test_a_list_says_how_many_tokens_a_picture_is(members: dict[str, object]) -> None:
    book = from_models_json(models(entry(**members)), Fraction(0))

    assert book.find("m").max_image_tokens == 800


def test_the_listing_shows_floats() -> None:
    shown = as_json_floats(sats_pricing(ModelPrice(id="m", currency="usd"), RATE))

    assert set(map(type, shown.values())) == {float}
    assert {"prompt", "image", "max_cost", "max_prompt_cost"} <= shown.keys()


@pytest.mark.parametrize(
    ("pricing", "members", "max_cost_sat"),
    [
        # the longest recording: 1,500 seconds, or two hours where nobody says
        ({"second": "0.0001"}, {"max_seconds": 1_500}, 150),
        ({"second": "0.0001"}, {}, 720),
        # 4,096 characters at 15 dollars a million
        ({"character": "0.000015"}, {}, Fraction("61.44")),
        ({"image_sizes": {"1x1": "0.04", "2x2": "0.08"}}, {}, 80),
        ({"image": "0.05", "request": "0.001"}, {}, 51),
    ],
)
def test_what_is_no_text_costs_at_most_what_is_held_for_it(
    pricing: dict[str, object], members: dict[str, object], max_cost_sat: object
) -> None:
    prices = {"prompt": "0", "completion": "0", **pricing}
    book = from_models_json(
        {"models": [{"id": "m", "pricing": prices, **members}]}, Fraction(0)
    )

    found = sats_pricing(book.find("m"), MsatPerUsd.from_btc_usd(Fraction(100_000)))

    assert found["max_cost"] == max_cost_sat
