"""The SDKs: how each is started, what it can do, and what it calls its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.clients.browser import Browser
from tests.clients.program import Client, node_program, python_program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Sdk:
    """An SDK: how it is started, what it can do besides chats, how it calls errors."""

    start: Callable[[Path], Client]
    can: frozenset[str]
    release: str = ""
    unauthorized: str = "AuthenticationError"
    unpaid: str = "APIStatusError"
    repeated: str = "ConflictError"
    broken: str = "APIError"
    tells_cost_of_streams: bool = True


OPENAI = frozenset({"version", "models", "embeddings", "media", "responses", "usage", "waits"})
SDKS = {
    "openai Python 3": Sdk(
        lambda home: python_program("openai-3", "openai_sdk", home), OPENAI, release="3"
    ),
    "openai Python 2": Sdk(
        lambda home: python_program("openai-2", "openai_sdk", home), OPENAI, release="2"
    ),
    "openai JavaScript": Sdk(
        lambda home: node_program("openai", home), OPENAI, release="7", unpaid="APIError"
    ),
    "openai in Chromium": Sdk(
        lambda home: Browser("openai", home), OPENAI, release="7", unpaid="APIError"
    ),
    "AI SDK": Sdk(
        lambda home: node_program("aisdk", home),
        frozenset({"embeddings"}),
        unauthorized="AI_APICallError",
        unpaid="AI_APICallError",
        broken="AI_StreamProviderError",
        tells_cost_of_streams=False,
    ),
    "LangChain": Sdk(
        lambda home: python_program("langchain", "langchain_sdk", home),
        frozenset({"embeddings", "responses", "usage", "waits"}),
        unauthorized="OpenAIAuthenticationError",
        tells_cost_of_streams=False,
    ),
}


def sdks(ability: str = "") -> pytest.MarkDecorator:
    """Return the SDKs that have an ability, for a test to be run with each."""
    able = [name for name, each in SDKS.items() if not ability or ability in each.can]
    return pytest.mark.parametrize("customer", able, indirect=True)
