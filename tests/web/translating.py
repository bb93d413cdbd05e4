"""Asking for messages and responses of a model that has chats alone, and reading them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import QUESTION, bearer

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from domain.event import Event
    from tests.web.conftest import House

MESSAGES, COUNT_TOKENS = "/v1/messages", "/v1/messages/count_tokens"
RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"
LACKING = {MESSAGES, COUNT_TOKENS, RESPONSES}
CREDIT_MSAT = 999_000
ASKED: dict[str, dict[str, Any]] = {
    MESSAGES: {"model": "maker/plain", "messages": QUESTION, "max_tokens": 50},
    RESPONSES: {"model": "maker/plain", "input": QUESTION, "max_output_tokens": 50},
}
BOTH = pytest.mark.parametrize("path", ASKED)
ANSWER = "This is the Tallystick sample upstream, not a model. You said: how are you today?"
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
DONE = b"data: [DONE]\n\n"
SSE = {"content-type": "text/event-stream"}


def ask(house: House, key: str, path: str, **members: Any) -> TestResponse:
    document = {**ASKED[path], **members}
    return house.client.post(path, json=document, headers=bearer(key))


def log_of(house: House) -> list[Event]:
    return [placed.entry.event for page in house.store.log(0) for placed in page]


def paid_msat(house: House, key: str) -> int:
    wallet = house.wallet(key)
    assert wallet["reserved"] == 0
    return CREDIT_MSAT - int(wallet["balance"])


def events(answer: TestResponse) -> list[dict[str, Any]]:
    """Return the JSON of each event, whose name is its type."""
    found = []
    for part in answer.get_data(as_text=True).strip().split("\n\n"):
        *names, data = part.split("\n")
        document = json.loads(data.removeprefix("data: "))
        assert names in ([f"event: {document.get('type')}"], ["event: cost"], [])
        found.append(document)
    return found


def text_of(path: str, document: dict[str, Any]) -> str:
    if path == MESSAGES:
        return "".join(part["text"] for part in document["content"])
    return "".join(part["text"] for item in document["output"] for part in item["content"])


def streamed_text(told: list[dict[str, Any]]) -> str:
    deltas = [event["delta"] for event in told if event["type"].endswith(".delta")]
    blocks = [e["delta"]["text"] for e in told if e["type"] == "content_block_delta"]
    return "".join(deltas + blocks)


def chunk(delta: dict[str, Any], **members: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    document = {"id": "c1", "model": "m", "choices": [choice], **members}
    return b"data: " + json.dumps(document).encode() + b"\n\n"
