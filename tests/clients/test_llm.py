"""The `llm` command, told of the house in its list of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.clients import environments
from tests.clients.books import (
    CHAT_MODEL,
    COST_MSAT,
    FUNDS_SAT,
    MODEL_IDS,
    QUESTION,
    Account,
    buy_key,
    cost_msat,
)
from tests.clients.commands import Command
from tests.clients.upstream import (
    SPOKEN,
    TOKENS_IN,
    TOKENS_OUT,
    streamed_response,
    streamed_tool_call,
)

if TYPE_CHECKING:
    from tests.clients.books import Books
    from tests.clients.upstream import ScriptedUpstream
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

MODELS = """\
- model_id: house
  model_name: {model}
  api_base: {base_url}/v1
  api_key_name: house
  supports_tools: true
"""
TOOL = 'def weather(place: str) -> str:\n    "Tell the weather."\n    return "sunny"\n'
LIMIT = ("-o", "max_tokens", "64")


@dataclass(frozen=True)
class Talker(Account):
    """Somebody with a funded key and `llm`."""

    llm: Command


@pytest.fixture(scope="module")
def talker(
    service: Service, mint: RealMint, books: Books, tmp_path_factory: pytest.TempPathFactory
) -> Talker:
    home = tmp_path_factory.mktemp("llm")
    models = MODELS.format(model=CHAT_MODEL, base_url=service.base_url)
    (home / "extra-openai-models.yaml").write_text(models)
    program = environments.python("llm").parent / "llm"
    llm = Command((program,), home, {"LLM_USER_PATH": str(home)})
    key = buy_key(service, mint, FUNDS_SAT)
    llm.must("keys", "set", "house", "--value", key)
    return Talker(service.base_url, key, books, llm)


@pytest.mark.parametrize("way", ["--no-stream", "--async", "--usage"])
def test_a_chat(way: str, talker: Talker) -> None:
    with talker.spends(COST_MSAT):
        done = talker.llm.run("-m", "house", *LIMIT, way, QUESTION)

    assert done.out.strip().endswith(QUESTION)
    if way == "--usage":
        assert "4 input, 15 output" in done.err


def test_any_endpoint_can_be_asked_without_being_told_of(
    talker: Talker, upstream: ScriptedUpstream
) -> None:
    endpoint = ("openai", "endpoint", f"{talker.base_url}/v1", "--key", talker.key)
    asked = ("-m", CHAT_MODEL, *LIMIT, QUESTION)
    upstream.next(streamed_response())

    with talker.spends(cost_msat(TOKENS_IN, TOKENS_OUT)):
        said = talker.llm.must(*endpoint, "--responses", *asked)
        listed = talker.llm.must(*endpoint, "--models")

    assert said.strip() == SPOKEN
    assert set(MODEL_IDS) <= set(listed.split())


def test_a_conversation_goes_on(talker: Talker) -> None:
    said = "This is the Tallystick sample upstream, not a model. You said: one two"
    words = len(said.split()) + len(["one", "two", "three"])

    with talker.spends(cost_msat(2, 13), cost_msat(words, 11 + words)):
        talker.llm.must("-m", "house", *LIMIT, "one two")
        again = talker.llm.must("-m", "house", *LIMIT, "--continue", "three")

    assert again.strip().endswith("three")


def test_a_tool_is_called_and_its_answer_goes_back(
    talker: Talker, upstream: ScriptedUpstream
) -> None:
    upstream.next(streamed_tool_call())
    asked = len(upstream.requests)

    # What the tool said is the last word of what the sample upstream repeats.
    with talker.spends(cost_msat(TOKENS_IN, TOKENS_OUT), cost_msat(5, 16)):
        said = talker.llm.must("-m", "house", *LIMIT, "--functions", TOOL, QUESTION)

    assert said.strip().endswith("sunny")
    assert len(upstream.requests) == asked + 2


def test_errors_are_its_own(talker: Talker, service: Service, mint: RealMint) -> None:
    with talker.spends():
        stranger = talker.llm.run("-m", "house", "--key", "sk-" + "0" * 64, QUESTION)
        poor = buy_key(service, mint, 2)
        short = talker.llm.run("-m", "house", "--key", poor, *LIMIT, QUESTION)

    assert (stranger.code, short.code) == (1, 1)
    assert "Key not found" in stranger.err
    assert "Insufficient" in short.err
    assert "Traceback" not in stranger.err + short.err
