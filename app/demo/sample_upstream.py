"""A stand-in for an upstream: an OpenAI-compatible API with no model behind it.

It answers at once, the same thing each time, and counts words as tokens, so that every
charge can be worked out by hand. Its answers say what it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Any

import click
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import WSGIRequestHandler, make_server

FINGERPRINT = "tallystick-sample-upstream"
MODELS = ("openai/gpt-4o-mini", "gpt-4o-mini", "text-embedding-3-small")
CREATED = 1_700_000_000
BODY_BYTES_MAX = 16 * 1024 * 1024
ECHO_WORDS_MAX = 50
CHOICES_MAX = 128
VECTOR_LENGTH = 8
PREFACE = "This is the Tallystick sample upstream, not a model. You said:"

JSON = dict[str, Any]


class BadRequestError(ValueError):
    """The request is not one that an OpenAI-compatible API takes."""


def create_sample_upstream(
    models: Sequence[str] = MODELS, *, chunk_delay_s: float = 0.0
) -> Flask:
    """Return the stand-in as a WSGI application; streams pause `chunk_delay_s` a word."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX

    @app.get("/v1/models")
    def list_models() -> Response:
        return jsonify(models_document(models))

    @app.post("/v1/chat/completions", defaults={"chat": True})
    @app.post("/v1/completions", defaults={"chat": False})
    def complete(*, chat: bool) -> Response:
        completion = Completion(_body(), chat=chat)
        if completion.streams:
            events = _paced(completion.events(), chunk_delay_s)
            return Response(events, content_type="text/event-stream; charset=utf-8")
        return jsonify(completion.document())

    @app.post("/v1/embeddings")
    def embed() -> Response:
        return jsonify(embeddings_document(_body()))

    @app.errorhandler(BadRequestError)
    def bad_request(error: BadRequestError) -> tuple[Response, int]:
        return jsonify(error_document(str(error))), HTTPStatus.BAD_REQUEST

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[Response, int]:
        return jsonify(error_document(str(error.description))), error.code or 500

    return app


class Completion:
    """One answer of the stand-in, to a chat or to a legacy completion."""

    def __init__(self, body: JSON, *, chat: bool) -> None:
        text = _chat_text(body) if chat else _prompt_text(body)
        self.streams = body.get("stream") is True
        options = body.get("stream_options")
        self.tells_usage = isinstance(options, Mapping) and bool(options.get("include_usage"))
        self._chat = chat
        self._model = _text(body, "model")
        self._choices = _whole(body, "n", CHOICES_MAX) or 1
        words = [*PREFACE.split(), *text.split()[:ECHO_WORDS_MAX]]
        limits = (_whole(body, name) for name in ("max_tokens", "max_completion_tokens"))
        limit = next((limit for limit in limits if limit), len(words))
        self.words = words[:limit]
        self._finish_reason = "length" if limit < len(words) else "stop"
        self.usage = usage_document(count_tokens(text), len(self.words) * self._choices)
        self._id = f"chatcmpl-{_digest(text)}" if chat else f"cmpl-{_digest(text)}"

    def document(self) -> JSON:
        """Return the whole answer."""
        text = " ".join(self.words)
        said = (
            {"message": {"role": "assistant", "content": text}}
            if self._chat
            else {"text": text}
        )
        choices = [
            {"index": index, **said, "logprobs": None, "finish_reason": self._finish_reason}
            for index in range(self._choices)
        ]
        kind = "chat.completion" if self._chat else "text_completion"
        return {**self._head(kind), "choices": choices, "usage": self.usage}

    def events(self) -> Iterator[bytes]:
        """Yield the same answer word by word, with its usage only if it was asked for."""
        for index in range(self._choices):
            for place, word in enumerate(self.words):
                yield self._chunk(index, f" {word}" if place else word, None)
            yield self._chunk(index, "", self._finish_reason)
        if self.tells_usage:
            yield server_sent({**self._head(self._kind), "choices": [], "usage": self.usage})
        yield b"data: [DONE]\n\n"

    @property
    def _kind(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _chunk(self, index: int, text: str, finish_reason: str | None) -> bytes:
        said: JSON = (
            {"delta": {"content": text} if text else {}} if self._chat else {"text": text}
        )
        choice = {"index": index, **said, "logprobs": None, "finish_reason": finish_reason}
        # As OpenAI does: whoever asks for the usage sees it null in every other chunk.
        usage = {"usage": None} if self.tells_usage else {}
        return server_sent({**self._head(self._kind), "choices": [choice], **usage})

    def _head(self, kind: str) -> JSON:
        return {
            "id": self._id,
            "object": kind,
            "created": CREATED,
            "model": self._model,
            "system_fingerprint": FINGERPRINT,
        }


def models_document(models: Sequence[str]) -> JSON:
    entries = [
        {"id": model, "object": "model", "created": CREATED, "owned_by": FINGERPRINT}
        for model in models
    ]
    return {"object": "list", "data": entries}


def embeddings_document(body: JSON) -> JSON:
    """Return one short vector for each text; the same text has the same vector."""
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise BadRequestError("input must be a text or a list of texts")
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(text)}
        for index, text in enumerate(texts)
    ]
    tokens = sum(count_tokens(text) for text in texts)
    return {
        "object": "list",
        "data": data,
        "model": _text(body, "model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def usage_document(prompt_tokens: int, completion_tokens: int) -> JSON:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def error_document(message: str) -> JSON:
    kind = "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def server_sent(document: JSON) -> bytes:
    return f"data: {json.dumps(document, separators=(',', ':'))}\n\n".encode()


def count_tokens(text: str) -> int:
    """Count words: never more than there are bytes, as with any real vocabulary.

    >>> count_tokens("how are you?")
    3
    """
    return len(text.split())


def _paced(events: Iterator[bytes], delay_s: float) -> Iterator[bytes]:
    for event in events:
        yield event
        if delay_s:
            time.sleep(delay_s)


def _body() -> JSON:
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    return body


def _text(body: JSON, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequestError(f"{name} must be a text")
    return value


def _whole(body: JSON, name: str, maximum: int = 1_000_000) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= maximum:
        raise BadRequestError(f"{name} must be an integer from 1 to {maximum}")
    return value


def _chat_text(body: JSON) -> str:
    """Return the texts of all messages, the parts of one message joined too."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages must be a list that is not empty")
    texts: list[str] = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else [content]:
            text = part.get("text") if isinstance(part, dict) else part
            texts += [text] if isinstance(text, str) else []
    return "\n".join(texts)


def _prompt_text(body: JSON) -> str:
    prompt = body.get("prompt")
    if not isinstance(prompt, str):
        raise BadRequestError("prompt must be a text")
    return prompt


def _vector(text: str) -> list[float]:
    digest = sha256(text.encode()).digest()
    return [byte / 255 for byte in digest[:VECTOR_LENGTH]]


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:24]


class KeptAliveHandler(WSGIRequestHandler):
    """Keeps connections open, sends chunks at once, and writes no access log."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: what clients ask is nobody's business."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8001, show_default=True)
@click.option("--chunk-delay-ms", default=0, show_default=True, help="pause between words")
def main(host: str, port: int, chunk_delay_ms: int) -> None:
    """Serve the stand-in upstream until it is stopped."""
    app = create_sample_upstream(chunk_delay_s=chunk_delay_ms / 1000)
    server = make_server(host, port, app, threaded=True, request_handler=KeptAliveHandler)
    click.echo(f"{FINGERPRINT} listens on http://{host}:{server.server_port}/v1")
    server.serve_forever()


if __name__ == "__main__":
    main()
