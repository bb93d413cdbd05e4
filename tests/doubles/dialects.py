"""What an upstream says besides chats: Anthropic's messages, sounds and voices."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, jsonify, request

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
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(map(is_message, messages)):
        abort(HTTPStatus.BAD_REQUEST)
    return sum(map(words, messages))


def is_message(message: object) -> bool:
    content = message.get("content") if isinstance(message, dict) else None
    parts = content if isinstance(content, list) else []
    return isinstance(content, str | list) and all(isinstance(part, dict) for part in parts)


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


TEXT = "what was said"
SECONDS = 9
HEARD = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 10, "audio_tokens": 4},
    "output_tokens": 3,
    "total_tokens": 17,
}
SOUND = [b"ID3", b"\xff\xfb\x90" * 100, b"\x00" * 10]
PICTURE = {"b64_json": "AAAA"}


@dialects.post("/v1/audio/transcriptions")
@dialects.post("/v1/audio/translations")
def transcribe() -> Response:
    """Answer with seconds where the model is a whisper, else with tokens."""
    usage = {"type": "duration", "seconds": SECONDS}
    if not request.form["model"].startswith("whisper"):
        usage = dict(HEARD)
    assert request.files["file"].read()
    if request.form.get("stream") == "true":
        return Response(said(usage), content_type="text/event-stream")
    if request.form.get("response_format") == "text":
        return Response(TEXT, content_type="text/plain")
    if request.form.get("response_format") == "verbose_json":
        return jsonify({"text": TEXT, "duration": 8.47})
    return jsonify({"text": TEXT, "usage": usage})


def said(usage: dict[str, Any]) -> Iterator[bytes]:
    for word in ("what", " was", " said"):
        yield data(type="transcript.text.delta", delta=word)
    yield data(type="transcript.text.done", text=TEXT, usage=usage)


def data(**members: Any) -> bytes:
    return f"data: {json.dumps(members, separators=(',', ':'))}\n\n".encode()


@dialects.post("/v1/audio/speech")
def speak() -> Response:
    body = request.get_json(force=True)
    if body.get("stream_format") == "sse":
        usage = {"input_tokens": 3, "output_tokens": 20, "total_tokens": 23}
        delta = data(type="speech.audio.delta", audio="AAAA")
        done = data(type="speech.audio.done", usage=usage)
        return Response(iter([delta, delta, done]), content_type="text/event-stream")
    return Response(iter(SOUND), content_type="audio/mpeg")


@dialects.post("/v1/images/edits")
@dialects.post("/v1/images/variations")
def change_images() -> Response:
    assert request.files.getlist("image") or request.files.getlist("image[]")
    return jsonify({"created": 1, "data": [PICTURE] * int(request.form.get("n", 1))})
