"""Every SDK does with the house what it does with OpenAI, and is charged to the msat."""

from __future__ import annotations

import io
import wave
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.books import (
    CHARACTER_MSAT,
    CHAT_MODEL,
    COST_MSAT,
    EMBEDDING_MODEL,
    IMAGE_MODEL,
    IMAGE_MSAT,
    LISTENING_MODEL,
    MODEL,
    MODEL_IDS,
    QUESTION,
    REQUEST_MSAT,
    SECOND_MSAT,
    SPEAKING_MODEL,
    Customer,
    buy_key,
    cost_msat,
)
from tests.clients.sdks import SDKS, sdks
from tests.clients.upstream import (
    CALLED,
    SPOKEN,
    TOKENS_IN,
    TOKENS_OUT,
    TOOL,
    answering,
    response,
    streamed_response,
    streamed_tool_call,
    tool_call,
)
from tests.doubles.dialects import PICTURE, SECONDS, SOUND, TEXT

if TYPE_CHECKING:
    from tests.clients.upstream import ScriptedUpstream
    from tests.doubles.upstream import Behaviour
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]


ANSWER = "This is the Tallystick sample upstream, not a model. You said: " + QUESTION
NO_KEY = "sk-" + "0" * 64


def wave_of(seconds: int) -> bytes:
    """Return a recording of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setparams((1, 1, 8_000, 0, "NONE", ""))
        recording.writeframes(b"\x80" * 8_000 * seconds)
    return file.getvalue()


@sdks("version")
def test_it_is_the_release_that_is_meant(customer: Customer) -> None:
    said = customer.client.do("version")

    assert said["version"].partition(".")[0] == SDKS[customer.name].release


@sdks()
def test_a_plain_chat(customer: Customer) -> None:
    with customer.spends(COST_MSAT):
        said = customer.chat("plain")

    assert said["text"] == ANSWER
    assert said["tokens"] == [4, 15]
    assert said["cost_msat"] == said["header_msat"] == COST_MSAT
    receipt = customer.receipt(said["request_id"])
    assert (receipt["charged_msat"], receipt["model"]) == (COST_MSAT, CHAT_MODEL)


@sdks()
def test_a_streamed_chat(customer: Customer) -> None:
    with customer.spends(COST_MSAT):
        said = customer.chat("stream", usage=True)

    assert said["text"] == ANSWER
    assert said["tokens"] == [4, 15]
    if SDKS[customer.name].tells_cost_of_streams:
        assert said["cost_msat"] == COST_MSAT


@sdks("usage")
def test_a_streamed_chat_that_asks_for_no_usage(customer: Customer) -> None:
    """An uninvited chunk without choices would end the loop that everybody writes."""
    with customer.spends(COST_MSAT):
        said = customer.chat("stream", usage=False)

    assert said == {"text": ANSWER}


@sdks()
def test_an_unknown_key_is_its_own_error(customer: Customer) -> None:
    with customer.spends():
        raised = customer.chat("plain", key=NO_KEY)["raised"]

    assert raised["class"] == SDKS[customer.name].unauthorized
    assert (raised["status"], raised["code"]) == (401, "invalid_api_key")
    assert raised["type"] == "invalid_request_error"


@sdks()
@pytest.mark.parametrize("act", ["plain", "stream"])
def test_too_little_money_is_its_own_error(
    act: str, customer: Customer, service: Service, mint: RealMint, upstream: ScriptedUpstream
) -> None:
    poor = buy_key(service, mint, 2)
    asked = len(upstream.requests)
    given = {"usage": True} if act == "stream" else {}

    with customer.spends():
        raised = customer.chat(act, key=poor, **given)["raised"]

    assert raised["class"] == SDKS[customer.name].unpaid
    assert (raised["status"], raised["code"]) == (402, "insufficient_balance")
    assert raised["type"] == "insufficient_quota"
    assert "1000" in raised["message"]
    assert len(upstream.requests) == asked


@sdks("models")
def test_models_are_listed(customer: Customer) -> None:
    with customer.spends():
        listed = customer.do("models")["ids"]
        found = customer.do("model", model=CHAT_MODEL)["ids"]

    assert listed == MODEL_IDS
    assert found == [CHAT_MODEL]


@sdks("models")
def test_a_model_that_is_not_sold_is_its_own_error(customer: Customer) -> None:
    with customer.spends():
        unlisted = customer.do("model", model="nobody/nothing")["raised"]
        unsold = customer.do("plain", model="nobody/nothing", question=QUESTION)["raised"]

    assert (unlisted["class"], unlisted["status"]) == ("NotFoundError", 404)
    assert (unsold["class"], unsold["status"]) == ("BadRequestError", 400)
    assert {unlisted["code"], unsold["code"]} == {"model_not_found"}


@sdks("embeddings")
def test_embeddings(customer: Customer) -> None:
    texts = ["one two three", "four"]

    with customer.spends(cost_msat(4, 0)):
        vectors = customer.do("embeddings", model=EMBEDDING_MODEL, texts=texts)["vectors"]

    assert [len(vector) for vector in vectors] == [8, 8]
    assert vectors[0] != vectors[1]


@sdks("media")
def test_a_recording_is_sent_as_a_form_and_charged_by_the_second(customer: Customer) -> None:
    recording = b64encode(wave_of(SECONDS)).decode()

    with customer.spends(REQUEST_MSAT + SECONDS * SECOND_MSAT):
        said = customer.do("listen", model=LISTENING_MODEL, recording=recording)

    assert said["text"] == TEXT


@sdks("media")
def test_a_voice_arrives_whole_and_is_charged_by_the_character(customer: Customer) -> None:
    text = "a tally stick"

    with customer.spends(REQUEST_MSAT + len(text) * CHARACTER_MSAT):
        said = customer.do("speak", model=SPEAKING_MODEL, text=text)

    assert b64decode(said["sound"]) == b"".join(SOUND)


@sdks("media")
def test_a_picture_is_sent_as_a_form(customer: Customer) -> None:
    with customer.spends(REQUEST_MSAT + 2 * IMAGE_MSAT):
        said = customer.do("edit", model=IMAGE_MODEL, prompt="split it", count=2)

    assert said["images"] == [PICTURE["b64_json"]] * 2


@sdks("media")
def test_images(customer: Customer, upstream: ScriptedUpstream) -> None:
    upstream.next(answering({"created": 1, "data": [{"b64_json": "AAAA"}] * 2}))

    with customer.spends(REQUEST_MSAT + 2 * IMAGE_MSAT):
        said = customer.do("images", model=IMAGE_MODEL, prompt="a tally stick", count=2)

    assert said["images"] == ["AAAA"] * 2


@sdks("responses")
@pytest.mark.parametrize(
    ("act", "behaviour"),
    [("responses", response()), ("responses_stream", streamed_response())],
    ids=["plain", "stream"],
)
def test_responses(
    act: str, behaviour: Behaviour, customer: Customer, upstream: ScriptedUpstream
) -> None:
    upstream.next(behaviour)

    with customer.spends(cost_msat(TOKENS_IN, TOKENS_OUT)):
        said = customer.chat(act)

    assert said["text"] == SPOKEN
    assert upstream.requests[-1].path == "/v1/responses"


@sdks()
@pytest.mark.parametrize(
    ("act", "behaviour"),
    [("tools", tool_call()), ("tools_stream", streamed_tool_call())],
    ids=["plain", "stream"],
)
def test_tools_pass_through(
    act: str, behaviour: Behaviour, customer: Customer, upstream: ScriptedUpstream
) -> None:
    upstream.next(behaviour)

    with customer.spends(cost_msat(TOKENS_IN, TOKENS_OUT)):
        said = customer.chat(act, tool=TOOL)

    assert said["calls"] == [CALLED]
    sent: Any = upstream.requests[-1].document["tools"]
    assert sent[0]["function"]["name"] == TOOL["function"]["name"]
    assert sent[0]["function"]["parameters"]["required"] == ["place"]
    assert upstream.requests[-1].document["model"] in {MODEL, CHAT_MODEL}
