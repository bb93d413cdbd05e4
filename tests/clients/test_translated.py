"""`anthropic` and `openai` on a model whose provider has chats alone, charged to the msat."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.books import (
    COST_MSAT,
    FUNDS_SAT,
    MODELS,
    PRICES,
    QUESTION,
    Books,
    Customer,
    buy_key,
    cost_msat,
)
from tests.clients.program import python_program
from tests.clients.upstream import (
    CALLED,
    MESSAGES_TOOL,
    TOKENS_IN,
    TOKENS_OUT,
    TOOL,
    ScriptedUpstream,
    streamed_tool_call,
    streaming,
    tool_call,
)
from tests.integration.house import new_address
from tests.integration.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.doubles.upstream import Behaviour
    from tests.integration.mint import RealMint

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

LACKING = {"/v1/messages", "/v1/messages/count_tokens", "/v1/responses"}
ANSWER = "This is the Tallystick sample upstream, not a model. You said: " + QUESTION
TOKENS = [4, 15]
OPENAI = {"openai Python 3": "openai-3", "openai Python 2": "openai-2"}
BROKEN = [{"choices": [{"index": 0, "delta": {"content": "Hello"}}]}, {"no": "chunk"}]


@pytest.fixture(scope="module")
def chats() -> Iterator[ScriptedUpstream]:
    """An upstream that knows of chats alone."""
    with ScriptedUpstream(LACKING) as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def _honest_chats(chats: ScriptedUpstream) -> None:
    chats.next()


@pytest.fixture(scope="module")
def seller(
    mint: RealMint, chats: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("chats")
    models = directory / "models.json"
    models.write_text(json.dumps(MODELS))
    address = new_address(f"sqlite:///{directory}/ledger.db", mint.url, chats.base_url)
    settings = {**PRICES, "MODELS_PATH": str(models)}
    with Service(address, directory / "home", settings) as service:
        yield service


@pytest.fixture(scope="module")
def ledger(seller: Service) -> Iterator[Books]:
    books = Books(seller.address.database_url)
    yield books
    sound = books.is_sound()
    books.close()
    assert sound, "the log does not explain what is kept"


@pytest.fixture(scope="module")
def reader(
    seller: Service, mint: RealMint, ledger: Books, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Customer]:
    """A customer with Anthropic's SDK."""
    key = buy_key(seller, mint, FUNDS_SAT)
    home = tmp_path_factory.mktemp("anthropic")
    with python_program("anthropic", "anthropic_sdk", home) as program:
        yield Customer(seller.base_url, key, ledger, program, "anthropic")


@pytest.fixture(scope="module", params=OPENAI)
def asker(
    request: pytest.FixtureRequest,
    seller: Service,
    mint: RealMint,
    ledger: Books,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Customer]:
    """A customer with OpenAI's SDK."""
    key = buy_key(seller, mint, FUNDS_SAT)
    home = tmp_path_factory.mktemp("openai")
    with python_program(OPENAI[request.param], "openai_sdk", home) as program:
        yield Customer(seller.base_url, key, ledger, program, request.param)


def test_a_plain_message(reader: Customer) -> None:
    with reader.spends(COST_MSAT):
        said = reader.chat("plain")

    assert (said["text"], said["tokens"]) == (ANSWER, TOKENS)
    assert said["header_msat"] == COST_MSAT


def test_a_streamed_message(reader: Customer, chats: ScriptedUpstream) -> None:
    with reader.spends(COST_MSAT):
        said = reader.chat("stream")

    assert (said["text"], said["tokens"]) == (ANSWER, TOKENS)
    assert said["pieces"] > 1
    assert chats.requests[-1].path == "/v1/chat/completions"


def test_the_events_are_those_of_a_message(reader: Customer) -> None:
    with reader.spends(COST_MSAT):
        kinds = reader.chat("events")["kinds"]

    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-4:] == ["content_block_stop", "message_delta", "ping", "message_stop"]


@pytest.mark.parametrize(
    ("act", "behaviour"),
    [("plain", tool_call()), ("stream", streamed_tool_call())],
    ids=["plain", "stream"],
)
def test_tools_are_called(
    act: str, behaviour: Behaviour, reader: Customer, chats: ScriptedUpstream
) -> None:
    chats.next(behaviour)

    with reader.spends(cost_msat(TOKENS_IN, TOKENS_OUT)):
        said = reader.chat(act, tools=[MESSAGES_TOOL])

    sent: Any = chats.requests[-1].document["tools"]
    assert said["calls"] == [CALLED]
    assert sent == [TOOL]


@pytest.mark.parametrize("act", ["plain", "stream"])
def test_a_message_that_no_chat_can_say_is_its_own_error(act: str, reader: Customer) -> None:
    with reader.spends():
        thinking = {"type": "enabled", "budget_tokens": 1024}
        raised = reader.chat(act, thinking=thinking)["raised"]

    assert (raised["class"], raised["status"]) == ("BadRequestError", 400)
    assert (raised["type"], raised["code"]) == ("invalid_request_error", "not_translatable")


def test_a_message_that_breaks_off_is_an_error(
    reader: Customer, chats: ScriptedUpstream
) -> None:
    chats.next(streaming(BROKEN, done=False))

    raised = reader.chat("stream")["raised"]

    assert raised["class"] in {"APIStatusError", "APIError", "InternalServerError"}
    assert raised["type"] == "api_error"
    assert reader.msat()[1] == 0


def test_tokens_are_not_counted(reader: Customer) -> None:
    with reader.spends(releases=1):
        raised = reader.chat("count")["raised"]

    assert (raised["class"], raised["code"]) == ("NotFoundError", "not_offered_by_upstream")


@pytest.mark.parametrize("act", ["responses", "responses_stream"])
def test_a_response(act: str, asker: Customer, chats: ScriptedUpstream) -> None:
    with asker.spends(COST_MSAT):
        said = asker.chat(act)

    assert said["text"] == ANSWER
    assert chats.requests[-1].path == "/v1/chat/completions"


def test_a_response_that_breaks_off_is_an_error(
    asker: Customer, chats: ScriptedUpstream
) -> None:
    chats.next(streaming(BROKEN, done=False))

    raised = asker.chat("responses_stream")["raised"]

    assert (raised["class"], raised["code"]) == ("APIError", "upstream_broken")
    assert asker.msat()[1] == 0
