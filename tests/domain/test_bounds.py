from __future__ import annotations

from fractions import Fraction

import pytest

from domain.bounds import (
    EDITED_TOKENS_MAX,
    IMAGE_TOKENS_MAX,
    SECONDS_MAX_DEFAULT,
    Bounds,
    Usage,
)
from domain.errors import InvalidBoundError
from domain.pricing import ModelPrice
from domain.request import (
    TEMPLATE_TOKENS_MAX,
    WEB_SEARCHES_MAX,
)

PLAIN = ModelPrice(id="m", currency="usd")
LIMITED = ModelPrice(id="m", currency="usd", context_length=10_000, max_completion_tokens=2_000)


def bounds(document: dict[str, object], price: ModelPrice = PLAIN, size: int = 100) -> Bounds:
    return Bounds.of_request(document, size, price)


def message(*parts: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def test_the_length_of_the_body_bounds_the_prompt() -> None:
    assert bounds({}).prompt_tokens_max == 100


def test_the_context_bounds_prompt_and_answer() -> None:
    found = bounds({"max_tokens": 50_000}, LIMITED, size=50_000)

    assert found.prompt_tokens_max == found.completion_tokens_max == 10_000
    assert found.context_tokens_max == 10_000


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_each_name_of_the_limit_is_obeyed(name: str) -> None:
    assert bounds({name: 5}).completion_tokens_max == 5


def test_the_larger_of_two_limits_is_the_bound() -> None:
    assert bounds({"max_tokens": 5, "max_completion_tokens": 7}).completion_tokens_max == 7


def test_without_a_limit_the_model_sets_it() -> None:
    only_context = ModelPrice(id="m", currency="usd", context_length=300)

    assert bounds({"max_tokens": None}, LIMITED).completion_tokens_max == 2_000
    assert bounds({}, only_context).completion_tokens_max == 300
    assert bounds({}).completion_tokens_max == 32_000


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n", "best_of"])
@pytest.mark.parametrize("value", [0, -1, 10**9, 1.0, "5", True, [], {}])
def test_a_senseless_limit_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(InvalidBoundError, match=f"^{name} must be an integer"):
        bounds({name: value})


@pytest.mark.parametrize(
    ("document", "choices"),
    [
        ({}, 1),
        ({"n": 3}, 3),
        ({"n": 2, "best_of": 5}, 5),
        ({"prompt": ["a", "b"], "n": 2}, 4),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": []}, 1),
        ({"input": ["a", "b", "c"]}, 3),
        ({"input": [{"role": "user"}]}, 1),
    ],
)
def test_every_answer_that_is_paid_for_counts(
    document: dict[str, object], choices: int
) -> None:
    assert bounds(document).choices == choices


def test_each_of_several_prompts_has_a_context_of_its_own() -> None:
    found = bounds({"input": ["a"] * 3}, LIMITED, size=50_000)

    assert found.prompt_tokens_max == 30_000
    assert found.context_tokens_max is None


def test_pictures_are_counted_and_allowed_for() -> None:
    found = bounds(message({"type": "text"}, {"type": "image_url"}, {"type": "input_image"}))

    assert found.images == 2
    assert found.prompt_tokens_max == 100 + TEMPLATE_TOKENS_MAX + 2 * IMAGE_TOKENS_MAX


@pytest.mark.parametrize(
    "document", [message({"type": "file"}), {"previous_response_id": "resp_1"}]
)
def test_what_does_not_show_its_size_may_fill_the_context(document: dict[str, object]) -> None:
    assert bounds(document, LIMITED).prompt_tokens_max == 10_000


@pytest.mark.parametrize(
    ("document", "searches"),
    [
        ({}, 0),
        ({"web_search_options": {}}, 1),
        ({"plugins": [{"id": "web"}]}, 1),
        ({"tools": [{"type": "function"}, 1]}, 0),
        ({"tools": [{"type": "web_search_preview"}]}, WEB_SEARCHES_MAX),
        ({"tools": [{"type": "web_search_20250305", "max_uses": 3}]}, 3),
    ],
)
def test_invited_searches_are_counted(document: dict[str, object], searches: int) -> None:
    assert bounds(document).web_searches == searches


@pytest.mark.parametrize(
    ("document", "ordered"),
    [
        ({"web_search_options": {}}, 1),
        ({"plugins": [{"id": "web"}]}, 1),
        ({"plugins": [{"id": "file-parser"}, "web"]}, 0),
        ({"tools": [{"type": "web_search"}]}, 0),
    ],
)
def test_what_is_searched_in_any_case_is_told_from_what_a_model_may_search(
    document: dict[str, object], ordered: int
) -> None:
    assert bounds(document).ordered == ordered


@pytest.mark.parametrize(
    "hostile",
    [
        {"messages": 1},
        {"messages": [1, None, {"content": 5}, {"content": [1, {"type": 2}, {}]}]},
        {"tools": "x", "input": {"a": 1}},
    ],
)
def test_a_senseless_body_does_not_break_the_bounds(hostile: dict[str, object]) -> None:
    assert bounds(hostile).images == 0


@pytest.mark.parametrize(
    "usage",
    [
        Usage(prompt_tokens=101),
        Usage(completion_tokens=11),
        Usage(images=1),
        Usage(web_searches=1),
    ],
)
def test_more_than_the_bounds_is_not_admitted(usage: Usage) -> None:
    found = bounds({"max_tokens": 10})

    assert found.admit(Usage(prompt_tokens=100, completion_tokens=10))
    assert not found.admit(usage)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "image_url", "image_url": {"url": "https://x.example/y.png"}},
        {"type": "function_call_output", "output": [{"type": "input_image"}]},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot"}},
        {"role": "user", "content": [{"type": "input_image"}]},
    ],
)
def test_pictures_are_found_wherever_an_input_can_have_them(item: dict[str, object]) -> None:
    assert bounds({"input": [item]}).images == 1


@pytest.mark.parametrize(
    "document",
    [
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"type": "function_call_output", "output": [{"type": "input_file"}]}]},
        {"plugins": [{"id": "web"}]},
        {"web_search_options": {"search_context_size": "low"}},
    ],
)
def test_what_is_read_but_not_sent_may_fill_the_context(document: dict[str, object]) -> None:
    assert bounds(document, LIMITED).prompt_tokens_max == 10_000


def test_calls_of_tools_bound_the_searches() -> None:
    tools = [{"type": "web_search"}]

    assert bounds({"tools": tools, "max_tool_calls": 2}).web_searches == 2
    assert bounds({"tools": tools, "max_tool_calls": 99}).web_searches == WEB_SEARCHES_MAX


@pytest.mark.parametrize(("members", "images"), [({}, 1), ({"n": 1}, 1), ({"n": 10}, 10)])
def test_images_that_are_made_are_counted_by_n(members: dict[str, object], images: int) -> None:
    found = Bounds.of_request({"prompt": "a cat", **members}, 100, LIMITED, "images")

    assert (found.images, found.choices) == (images, images)
    assert found.prompt_tokens_max == 100


@pytest.mark.parametrize("number", [0, -1, 11, 10**9, 1.0, "2", True])
def test_a_senseless_number_of_images_is_refused(number: object) -> None:
    with pytest.raises(InvalidBoundError, match=r"^n must be an integer"):
        Bounds.of_request({"prompt": "a cat", "n": number}, 100, PLAIN, "images")


def test_a_verdict_has_no_words() -> None:
    found = Bounds.of_request({"input": ["a", "b"]}, 100, PLAIN, "verdict")

    assert found.completion_tokens_max == 0
    assert found.prompt_tokens_max == 100


@pytest.mark.parametrize(
    ("document", "turns"),
    [
        ({"tools": [{"type": "web_search"}]}, 1 + WEB_SEARCHES_MAX),
        ({"tools": [{"type": "web_search_20250305", "max_uses": 3}]}, 4),
        ({"tools": [{"type": "web_fetch_20250910", "max_uses": 2}]}, 3),
        ({"tools": [{"type": "web_search"}], "max_tool_calls": 1}, 2),
    ],
)
def test_each_use_of_a_tool_of_the_upstream_reads_the_context_again(
    document: dict[str, object], turns: int
) -> None:
    found = bounds(document, LIMITED)

    assert found.prompt_tokens_max == turns * 10_000
    assert found.context_tokens_max is None
    assert found.admit(Usage(prompt_tokens=turns * 10_000, completion_tokens=2_000))


def test_pictures_that_a_tool_has_put_out_are_found_inside_of_its_part() -> None:
    result = {"type": "tool_result", "content": [{"type": "image"}, {"type": "text"}]}

    assert bounds(message(result)).images == 1


def test_to_count_tokens_uses_none() -> None:
    assert Bounds.of_request({"messages": []}, 5_000, LIMITED, "count") == Bounds(0, 0)


@pytest.mark.parametrize(
    ("members", "size"),
    [
        ({}, ""),
        ({"size": "1024x1024"}, "1024x1024"),
        ({"size": "1024x1792", "quality": "hd"}, "hd 1024x1792"),
        ({"size": "auto", "quality": "auto"}, ""),
        ({"size": "x" * 21, "quality": "<b>"}, ""),
        ({"size": 7, "quality": ["hd"]}, "7"),
    ],
)
def test_the_size_of_images_is_named_as_price_lists_do(
    members: dict[str, object], size: str
) -> None:
    assert Bounds.of_request(members, 100, PLAIN, "images").image_size == size


def test_an_edit_reads_its_pictures_closely() -> None:
    document = {"image[]": [{"type": "file"}] * 2, "mask": [{"type": "file"}], "n": 2}

    found = Bounds.of_request(document, 100, PLAIN, "images")

    assert found.prompt_tokens_max == 100 + 3 * EDITED_TOKENS_MAX
    assert (found.images, found.context_tokens_max) == (2, None)


@pytest.mark.parametrize(
    ("price", "spoken"),
    [(PLAIN, 1_000 + 20 * 12), (LIMITED, 1_240)],
)
def test_a_voice_is_bounded_by_its_characters(price: ModelPrice, spoken: int) -> None:
    found = Bounds.of_request({"input": "how are you?"}, 100, price, "speech")

    assert (found.characters, found.completion_tokens_max) == (12, spoken)
    assert found.prompt_tokens_max == 100


def test_a_voice_says_no_more_than_its_model_can() -> None:
    found = Bounds.of_request({"input": "x" * 4_096}, 5_000, LIMITED, "speech")

    assert found.completion_tokens_max == 2_000


def test_a_voice_that_has_nothing_to_say_has_no_characters() -> None:
    assert Bounds.of_request({"input": 5}, 100, PLAIN, "speech").characters == 0


@pytest.mark.parametrize(
    ("file", "limit", "seconds"),
    [
        ({"seconds_max": 30}, None, 30),
        ({"seconds_max": 10**9}, None, SECONDS_MAX_DEFAULT),
        ({"seconds_max": 10**9}, 1_500, 1_500),
        ({"seconds_max": 30}, 1_500, 30),
        ({}, 1_500, 1_500),
        (None, None, SECONDS_MAX_DEFAULT),
    ],
)
def test_a_recording_is_as_long_as_it_shows_or_its_model_takes(
    file: object, limit: int | None, seconds: int
) -> None:
    price = ModelPrice(id="m", currency="usd", max_seconds=limit)

    found = Bounds.of_request({"file": file}, 100, price, "recording")

    assert found.seconds == seconds
    assert found.prompt_tokens_max == 100 + 50 * seconds


@pytest.mark.parametrize(
    "usage", [Usage(seconds=1), Usage(characters=1), Usage(image_size="hd 1x1")]
)
def test_a_chat_is_not_charged_for_sounds(usage: Usage) -> None:
    assert not bounds({}).admit(usage)


@pytest.mark.parametrize(
    ("document", "hears", "speaks"),
    [
        (message({"type": "text"}), False, False),
        (message({"type": "input_audio"}), True, False),
        (message({"type": "file"}), True, False),
        ({"previous_response_id": "resp_1"}, True, False),
        ({"modalities": ["text", "audio"]}, False, True),
        ({"modalities": "audio"}, False, False),
    ],
)
def test_only_who_sends_or_wants_sounds_pays_for_them(
    document: dict[str, object],
    hears: bool,  # noqa: FBT001  # what is expected
    speaks: bool,  # noqa: FBT001  # what is expected
) -> None:
    found = bounds(document)

    assert (found.hears, found.speaks) == (hears, speaks)
    assert found.admit(Usage(prompt_tokens=1, audio_tokens=1)) is hears
    assert found.admit(Usage(completion_tokens=1, spoken_tokens=1)) is speaks


def test_a_chat_without_sounds_is_held_at_the_price_of_text() -> None:
    price = ModelPrice(
        id="m",
        currency="msat",
        prompt=Fraction(1),
        audio=Fraction(40),
        audio_output=Fraction(80),
    )
    plain: dict[str, object] = {"max_tokens": 10}
    spoken = {**plain, "modalities": ["audio"]}

    assert price.ceiling(bounds(plain), None).msat == 100
    assert price.ceiling(bounds(spoken), None).msat == 100 + 800
    heard = bounds(message({"type": "input_audio"}))
    assert price.ceiling(heard, None).msat == 40 * (100 + TEMPLATE_TOKENS_MAX)
