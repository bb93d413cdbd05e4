"""What upstreams say was used, in each dialect that is known."""

from __future__ import annotations

import pytest

from app.cashier.usage import estimate, usage_of
from domain.bounds import Usage

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (USAGE, Usage(12, 3)),
        ({"prompt_tokens": 8, "total_tokens": 8}, Usage(8, 0)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(100, 50, cached_tokens=64, cache_write_tokens=10, reasoning_tokens=30),
        ),
        (
            {
                "input_tokens": 100,
                "output_tokens": 50,
                "input_tokens_details": {"cached_tokens": 64},
                "output_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(100, 50, cached_tokens=64, reasoning_tokens=30),
        ),
        (
            {"prompt_tokens": 100, "completion_tokens": 5, "prompt_cache_hit_tokens": 90},
            Usage(100, 5, cached_tokens=90),
        ),
        (
            {
                "input_tokens": 10,
                "output_tokens": 5,
                "cache_read_input_tokens": 70,
                "cache_creation_input_tokens": 20,
                "server_tool_use": {"web_search_requests": 2},
            },
            Usage(100, 5, cached_tokens=70, cache_write_tokens=20, web_searches=2),
        ),
        (
            {"prompt_tokens": 100, "completion_tokens": 5, "cache_read_input_tokens": 70},
            Usage(100, 5, cached_tokens=70),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 20},
                "num_search_queries": 1,
            },
            Usage(10, 25, reasoning_tokens=20, web_searches=1),
        ),
        ({"prompt_tokens": 1, "completion_tokens": None, "extra": {}}, Usage(1, 0)),
        (
            # a cache that is written for an hour, as Anthropic tells it
            {
                "input_tokens": 1,
                "output_tokens": 2,
                "cache_creation_input_tokens": 30,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 10,
                    "ephemeral_1h_input_tokens": 20,
                },
            },
            Usage(31, 2, cache_write_tokens=30, long_cache_tokens=20),
        ),
        (
            # a transcription by tokens, of which some were heard
            {
                "type": "tokens",
                "total_tokens": 115,
                "input_tokens": 14,
                "input_token_details": {"text_tokens": 10, "audio_tokens": 4},
                "output_tokens": 101,
            },
            Usage(14, 101, audio_tokens=4),
        ),
        (
            # a chat that hears and speaks
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 60},
                "completion_tokens_details": {"audio_tokens": 40},
            },
            Usage(100, 50, cached_tokens=10, audio_tokens=60, spoken_tokens=40),
        ),
        ({"type": "duration", "seconds": 9}, Usage(seconds=9)),
        ({"type": "duration", "seconds": 8.2}, Usage(seconds=9)),
        # what is told of a part never exceeds the whole
        (
            {"prompt_tokens": 3, "prompt_tokens_details": {"audio_tokens": 5}},
            Usage(3, audio_tokens=3),
        ),
        # OpenRouter, by its own key and by one of ours
        ({**USAGE, "cost": 0.00014}, Usage(12, 3, upstream_usd="0.00014")),
        (
            {
                **USAGE,
                "cost": 0.00001,
                "is_byok": True,
                "cost_details": {"upstream_inference_cost": 0.0002},
            },
            Usage(12, 3, upstream_usd="0.00021"),
        ),
        (
            {**USAGE, "cost": 0.1, "cost_details": {"upstream_inference_cost": 9}},
            Usage(12, 3, upstream_usd="0.1"),
        ),
        # a node of Routstr
        (
            {**USAGE, "cost": {"total_msats": 7, "total_usd": 0.5}},
            Usage(12, 3, upstream_usd="0.5"),
        ),
        ({**USAGE, "cost": 1e-30}, Usage(12, 3, upstream_usd="0.000000000000000001")),
    ],
)
def test_each_dialect_is_read(usage: dict[str, object], expected: Usage) -> None:
    assert usage_of({"usage": usage}) == expected


@pytest.mark.parametrize("hostile", [-1, True, -1.5, "x", [], {}, 10**12, float("nan")])
@pytest.mark.parametrize(
    "name", ["prompt_tokens", "completion_tokens", "total_tokens", "seconds"]
)
def test_a_hostile_count_is_never_charged(name: str, hostile: object) -> None:
    assert usage_of({"usage": {**USAGE, name: hostile}}) is None


def test_a_hostile_count_inside_the_details_is_never_charged() -> None:
    assert (
        usage_of({"usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": -5}}}) is None
    )


@pytest.mark.parametrize("document", [None, [], 5, {}, {"usage": None}, {"usage": {}}])
def test_no_usage_is_none(document: object) -> None:
    assert usage_of(document) is None


def test_an_estimate_rounds_up_and_says_so() -> None:
    assert estimate(9, 5) == Usage(3, 2, estimated=True)


@pytest.mark.parametrize("hostile", [1.0, "5"])
def test_a_count_is_a_whole_number(hostile: object) -> None:
    assert usage_of({"usage": {**USAGE, "prompt_tokens": hostile}}) is None


@pytest.mark.parametrize("cost", [0, -1, True, "much", float("nan"), 10**9, None, [], {}])
def test_a_price_that_is_none_or_nothing_is_not_believed(cost: object) -> None:
    assert usage_of({"usage": {**USAGE, "cost": cost}}) == Usage(12, 3)
