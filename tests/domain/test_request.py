"""What a model reads beside the text of a request: pictures, and what no request shows."""

from __future__ import annotations

import pytest

from domain.bounds import Bounds
from domain.pricing import ModelPrice
from domain.request import TEMPLATE_TOKENS_MAX, THEIR_TOOL_TOKENS_MAX, TOOLS_TOKENS_MAX

PLAIN = ModelPrice(id="m", currency="usd")
PICTURE = {"type": "image_url"}


def bounds(document: dict[str, object], price: ModelPrice = PLAIN) -> Bounds:
    return Bounds.of_request(document, 100, price)


def pictures(number: int) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": [PICTURE] * number}]}


def test_a_picture_is_never_more_tokens_than_are_allowed_for() -> None:
    """OpenAI's 4o-mini at full detail: 2,833 tokens, and 5,667 for each of eight tiles."""
    found = bounds(pictures(1))

    assert found.prompt_tokens_max >= 2_833 + 8 * 5_667


def test_a_model_may_say_how_many_tokens_it_has_of_a_picture() -> None:
    modest = ModelPrice(id="m", currency="usd", max_image_tokens=800)

    found = bounds(pictures(2), modest)

    assert found.prompt_tokens_max == 100 + TEMPLATE_TOKENS_MAX + 2 * 800


@pytest.mark.parametrize(
    ("document", "tokens"),
    [
        ({"prompt": "raw"}, 0),
        ({"messages": []}, TEMPLATE_TOKENS_MAX),
        ({"input": "hi"}, TEMPLATE_TOKENS_MAX),
        ({"messages": [], "tools": [{"type": "function"}, {"name": "anthropic's"}]}, None),
        ({"messages": [], "functions": [{"name": "f"}]}, None),
        (
            {"messages": [], "tools": [{"type": "bash_20250124"}, {"type": 5}]},
            TEMPLATE_TOKENS_MAX + TOOLS_TOKENS_MAX + 2 * THEIR_TOOL_TOKENS_MAX,
        ),
    ],
)
def test_what_a_model_is_told_unseen_is_allowed_for(
    document: dict[str, object], tokens: int | None
) -> None:
    unseen = TEMPLATE_TOKENS_MAX + TOOLS_TOKENS_MAX if tokens is None else tokens

    assert bounds(document).prompt_tokens_max == 100 + unseen
