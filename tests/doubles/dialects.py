"""What an upstream says besides chats: Anthropic's messages, sounds and voices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = "I am a double"
ANSWER_TOKENS = 4
CACHED_TOKENS, WRITTEN_TOKENS = 5, 3

dialects = Blueprint("dialects", __name__)


def words(message: dict[str, Any]) -> int:
    content = message["content"]
    parts = content if isinstance(content, list) else [{"text": content}]
    return sum(len(str(part.get("text", "")).split()) for part in parts)


def input_tokens(body: dict[str, Any]) -> int:
    return sum(words(message) for message in body["messages"])


@dialects.post("/v1/messages")
def messages() -> Response:
    body = request.get_json(force=True)
    usage = {
        "input_tokens": input_tokens(body),
        "cache_read_input_tokens": CACHED_TOKENS,
        "cache_creation_input_tokens": WRITTEN_TOKENS,
        "cache_creation": {
            "ephemeral_5m_input_tokens": WRITTEN_TOKENS - 1,
            "ephemeral_1h_input_tokens": 1,
        },
        "output_tokens": 1,
    }
    answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
    if body.get("stream") is True:
        return Response(events(answer, usage), content_type="text/event-stream")
    content = [{"type": "text", "text": ANSWER}]
    usage["output_tokens"] = ANSWER_TOKENS
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    return jsonify({**answer, "content": content, **end, "usage": usage})


def events(answer: dict[str, Any], usage: dict[str, Any]) -> Iterator[bytes]:
    yield named("message_start", message={**answer, "content": [], "usage": usage})
    block = {"type": "text", "text": ""}
    yield named("content_block_start", index=0, content_block=block)
    yield named("ping")
    for word in ANSWER.split(" "):
        delta = {"type": "text_delta", "text": word if word == "I" else f" {word}"}
        yield named("content_block_delta", index=0, delta=delta)
    yield named("content_block_stop", index=0)
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield named("message_delta", delta=end, usage={"output_tokens": ANSWER_TOKENS})
    yield named("message_stop")


def named(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


@dialects.post("/v1/messages/count_tokens")
def count_tokens() -> Response:
    return jsonify({"input_tokens": input_tokens(request.get_json(force=True))})
