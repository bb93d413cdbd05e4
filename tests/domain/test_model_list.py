from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from domain.catalogue import MODELS_MAX
from domain.errors import PricingError
from domain.model_list import DESCRIPTION_MAX, Merged, merged, read_models
from domain.price_list import from_models_json

FIVE = Fraction(5)


def model(name: str = "gpt-x", /, prompt: str = "1", completion: str = "2", **more: Any) -> Any:
    return {"id": name, "pricing": {"prompt": prompt, "completion": completion}, **more}


def kept(name: str = "gpt-x", /, prompt: str = "1", completion: str = "2", **more: Any) -> Any:
    whole = {"alias_ids": [], "forwarded_model_id": name}
    return {**model(name, prompt, completion), **whole, **more}


def prices_of(found: Merged) -> dict[str, str]:
    return {each["id"]: each["pricing"]["prompt"] for each in found.models}


def test_an_operators_list_is_kept_as_it_is_known_here() -> None:
    entry = model(
        "openai/gpt-x",
        name="GPT X",
        created=1_700_000_000,
        description="d" * 1000,
        context_length=1000,
        architecture={
            "modality": "text->text",
            "input_modalities": ["text", 7],
            "output_modalities": [],
            "tokenizer": "GPT",
        },
        top_provider={
            "context_length": 900,
            "max_completion_tokens": None,
            "is_moderated": True,
        },
        canonical_slug="openai/gpt-x-2026",
        alias_ids=["gpt-x"],
        forwarded_model_id="gpt-x-raw",
        supported_parameters=["tools"],
        owned_by="somebody",
    )

    (found,) = read_models({"models": [entry]})

    assert found == {
        "id": "openai/gpt-x",
        "pricing": {"prompt": "1", "completion": "2"},
        "alias_ids": ["gpt-x", "openai/gpt-x-2026"],
        "name": "GPT X",
        "canonical_slug": "openai/gpt-x-2026",
        "description": "d" * DESCRIPTION_MAX,
        "created": 1_700_000_000,
        "context_length": 1000,
        "top_provider": {"context_length": 900},
        "architecture": {"input_modalities": ["text"], "modality": "text->text"},
        "forwarded_model_id": "gpt-x-raw",
    }
    assert set(from_models_json([found], Fraction(0)).aliases) == {"gpt-x", "openai/gpt-x-2026"}


def test_every_price_of_a_model_is_kept() -> None:
    pricing = {
        "prompt": 1e-6,
        "completion": "0.000002",
        "request": 0,
        "image": None,
        "image_sizes": {"1024x1024": "0.04"},
        "discount": 0.5,
    }

    (found,) = read_models([{"id": "gpt-x", "pricing": pricing}])

    assert found["pricing"] == {
        "prompt": "1e-06",
        "completion": "0.000002",
        "request": "0",
        "image_sizes": {"1024x1024": "0.04"},
    }


def test_what_an_operator_has_switched_off_is_left_out() -> None:
    found = read_models([model(), model("gpt-y", enabled=False), model("gpt-z", enabled=True)])

    assert [each["id"] for each in found] == ["gpt-x", "gpt-z"]


FAULTS = {
    "no list": ({}, "no list"),
    "no price": ([{"id": "gpt-x"}], "pricing"),
    "twice": ([model(), model()], "twice"),
    "too dear": ([model(prompt="1001")], "too high"),
    "no object": (["gpt-x"], "'id'"),
    "too many": ([model(str(n)) for n in range(MODELS_MAX + 1)], str(MODELS_MAX)),
}


@pytest.mark.parametrize(("document", "words"), FAULTS.values(), ids=FAULTS)
def test_a_list_of_an_operator_is_right_or_refused(document: Any, words: str) -> None:
    with pytest.raises(PricingError, match=words):
        read_models(document)


def test_a_first_list_is_taken_as_it_is() -> None:
    found = merged((), {"data": [model(), model("gpt-y", "3")]})

    assert found == Merged((kept(), kept("gpt-y", "3")))


def test_prices_follow_the_providers_own() -> None:
    found = merged((kept(), kept("gpt-y")), [model(prompt="1.5"), model("gpt-y")], (), FIVE)

    assert prices_of(found) == {"gpt-x": "1.5", "gpt-y": "1"}
    assert found.held_back == ()


JUMPS = {
    "up": model(prompt="5.1"),
    "down": model(completion="0.39"),
    "to nothing": model(prompt="0"),
}


@pytest.mark.parametrize("entry", JUMPS.values(), ids=JUMPS)
def test_a_price_that_jumps_is_held_back(entry: Any) -> None:
    found = merged((kept(),), [{**entry, "name": "X"}], (), FIVE)

    assert found == Merged((kept(name="X"),), held_back=("gpt-x",))


def test_what_was_free_does_not_cost_something_unasked() -> None:
    found = merged((kept(prompt="0"),), [model(prompt="0.1")], (), FIVE)

    assert (prices_of(found), found.held_back) == ({"gpt-x": "0"}, ("gpt-x",))


def test_something_beside_the_words_may_begin_to_cost() -> None:
    entry = model()
    entry["pricing"]["web_search"] = "0.01"

    found = merged((kept(),), [entry], (), FIVE)

    assert found.models[0]["pricing"]["web_search"] == "0.01"


def test_a_jump_that_somebody_has_looked_at_is_taken() -> None:
    found = merged((kept(),), [model(prompt="100")])

    assert (prices_of(found), found.held_back) == ({"gpt-x": "100"}, ())


def test_a_model_keeps_the_names_it_is_known_by_here() -> None:
    ours = kept("mini", forwarded_model_id="openai/gpt-x", alias_ids=["small"])
    entry = model("openai/gpt-x", prompt="1.5", alias_ids=["other"], canonical_slug="slug")

    found = merged((ours,), [entry])

    assert found.models == ({**ours, "pricing": {"prompt": "1.5", "completion": "2"}},)


def test_an_upstream_gives_no_model_the_name_of_another() -> None:
    """OpenRouter's free variants have the slug of the model that is paid for."""
    entries = [
        model("x:free", canonical_slug="x", alias_ids=["y", 7, "fresh"]),
        model("x", canonical_slug="fresh"),
        model("y"),
    ]

    found = merged((), entries)

    assert [each["alias_ids"] for each in found.models] == [["fresh"], [], []]
    assert all("canonical_slug" not in each for each in found.models)


def test_only_what_is_asked_for_is_taken() -> None:
    entries = [model("openai/x"), model("openai/y"), model("other/z")]

    found = merged((kept("other/z"),), entries, ("openai/*",))

    assert set(prices_of(found)) == {"openai/x", "openai/y"}
    assert found.gone == ("other/z",)


def test_what_is_listed_no_longer_is_gone() -> None:
    found = merged((kept("a"), kept("b"), kept("c")), [model("a"), model("b")])

    assert (set(prices_of(found)), found.gone) == ({"a", "b"}, ("c",))


def test_a_list_that_lacks_most_of_what_there_was_is_not_believed() -> None:
    with pytest.raises(PricingError, match="lacks 2 of 3"):
        merged((kept("a"), kept("b"), kept("c")), [model("a"), model("d")])


def test_a_list_without_prices_changes_nothing() -> None:
    """OpenAI's own."""
    entries = [{"id": "gpt-x", "object": "model"}, {"id": "new"}]

    assert merged((kept(), kept("b")), {"object": "list", "data": entries}) == Merged(
        (kept(), kept("b")), ignored=1
    )


ODD = [
    "text",
    {"id": 7},
    {"id": ""},
    model("x" * 201),
    model("twice"),
    model("below", prompt="-1"),
    model("absurd", completion="1e30"),
    model("words", prompt="cheap"),
    {"id": "half", "pricing": {"prompt": "1"}},
    {"id": "sizes", "pricing": {**model()["pricing"], "image_sizes": {"big": "dear"}}},
    {"id": "listed", "pricing": ["1"]},
]


def test_entries_that_make_no_sense_are_left_out() -> None:
    found = merged((), [model("twice"), *ODD, model("good")])

    assert set(prices_of(found)) == {"twice", "good"}
    assert found.ignored == 8


def test_a_model_whose_price_is_not_told_any_more_keeps_it() -> None:
    """OpenRouter says -1 for what it cannot say."""
    found = merged((kept("a"), kept("b")), [model("a", prompt="-1"), model("b", prompt="1.1")])

    assert prices_of(found) == {"a": "1", "b": "1.1"}
    assert found.ignored == 0


@pytest.mark.parametrize("document", [None, 7, {"data": {}}, [model()] * (MODELS_MAX + 1)])
def test_what_is_no_list_is_refused(document: Any) -> None:
    with pytest.raises(PricingError):
        merged((), document)
