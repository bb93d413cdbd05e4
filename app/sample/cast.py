"""Who and what a sample is about: the models and their prices, the mints, the clients."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from domain.hold import Metered
from domain.price_list import from_models_json
from domain.purse import Purse

if TYPE_CHECKING:
    from random import Random

HOT = 5
"""Clients that make a third of all requests, as resellers and agents do."""
HOT_SHARE = 0.33
ROUTE = "https://upstream.example/v1"
ESTIMATED_SHARE = 0.01
CACHED_SHARE = 0.2
TOKENS_MAX = 30_000


class Model(NamedTuple):
    """A model, its prices in USD a token, and what a usual request of it reads and writes."""

    id: str
    prompt_usd: str
    completion_usd: str
    cached_usd: str
    weight: int
    prompt_tokens: int
    completion_tokens: int


MODELS = (
    Model("openai/gpt-4o-mini", "0.00000015", "0.0000006", "0.000000075", 30, 900, 350),
    Model("meta-llama/llama-3.3-70b", "0.00000012", "0.0000003", "0.00000012", 18, 1100, 420),
    Model("google/gemini-2.5-flash", "0.0000003", "0.0000025", "0.000000075", 16, 1400, 500),
    Model("deepseek/deepseek-chat", "0.00000028", "0.00000088", "0.00000007", 14, 1300, 600),
    Model("openai/gpt-4o", "0.0000025", "0.00001", "0.00000125", 8, 800, 300),
    Model("anthropic/claude-sonnet-4", "0.000003", "0.000015", "0.0000003", 7, 1800, 450),
    Model("qwen/qwen3-coder", "0.00000022", "0.00000095", "0.00000022", 5, 3200, 700),
    Model("mistralai/mistral-small", "0.00000005", "0.0000001", "0.00000005", 2, 700, 260),
)
WEIGHTS = [model.weight for model in MODELS]
PURSES = (
    Purse("https://mint.sample.example", "sat", "00aa11bb22cc33dd", {}),
    Purse("https://ecash.sample.example/Bitcoin", "sat", "00ee44ff55aa66bb", {}),
    Purse("https://fees.sample.example", "sat", "00cc77dd88ee99ff", {"00cc77dd88ee99ff": 100}),
)
PURSE_WEIGHTS = (60, 30, 10)
TOP_UPS_SAT = (21, 50, 64, 100, 210, 500)
HOT_TOP_UP_SAT = 5_000

BOOK = from_models_json(
    {
        "models": [
            {
                "id": model.id,
                "name": model.id,
                "context_length": 128_000,
                "pricing": {
                    "prompt": model.prompt_usd,
                    "completion": model.completion_usd,
                    "input_cache_read": model.cached_usd,
                },
            }
            for model in MODELS
        ]
    },
    Fraction(1, 20),
)


class Clients:
    """The accounts of a sample: a few hot ones, and more and more others as time goes on."""

    def __init__(self, chance: Random, count: int) -> None:
        self._chance = chance
        self._ids = [new_id(chance) for _ in range(max(count, HOT + 1))]

    def one(self, known_share: float) -> tuple[UUID, bool]:
        """Return who asks, of the share that is known so far, and whether it is a hot one."""
        if self._chance.random() < HOT_SHARE:
            return self._ids[self._chance.randrange(HOT)], True
        # Squared, so that some come again and again and many hardly ever.
        known = int((len(self._ids) - HOT) * known_share)
        return self._ids[HOT + int(known * self._chance.random() ** 2)], False

    def purse(self, account_id: UUID) -> Purse:
        """Return where a client has its ecash, which is always the same mint."""
        place = account_id.int % sum(PURSE_WEIGHTS)
        for purse, weight in zip(PURSES, PURSE_WEIGHTS, strict=True):
            if place < weight:
                return purse
            place -= weight
        return PURSES[0]


def new_id(chance: Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)


def usage_of(chance: Random, model: Model) -> Metered:
    """Return what a request of `model` happens to use."""
    prompt = min(int(chance.lognormvariate(0, 0.8) * model.prompt_tokens) + 1, TOKENS_MAX)
    completion = min(int(chance.lognormvariate(0, 0.9) * model.completion_tokens), TOKENS_MAX)
    cached = int(prompt * chance.random()) if chance.random() < CACHED_SHARE else 0
    return Metered(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        estimated=chance.random() < ESTIMATED_SHARE,
    )
