"""The official `anthropic` package for Python."""

from __future__ import annotations

import json
from typing import Any

import anthropic
from anthropic import Anthropic

from tests.clients.programs.lines import Said, serve

MAX_TOKENS = 64


def client(base_url: str, key: str, **more: Any) -> Anthropic:
    # It adds /v1 by itself, and sends the key as x-api-key.
    return Anthropic(base_url=base_url, api_key=key, **more)


def asking(model: str, question: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"model": model, "messages": messages, "max_tokens": MAX_TOKENS}


def told(message: Any) -> Said:
    usage = message.usage
    calls = [
        [block.name, json.dumps(block.input, separators=(",", ":"))]
        for block in message.content
        if block.type == "tool_use"
    ]
    return {
        "text": "".join(block.text for block in message.content if block.type == "text"),
        "tokens": [usage.input_tokens, usage.output_tokens],
        "calls": calls,
    }


def plain(
    base_url: str, key: str, model: str, question: str, headers: dict[str, str] | None = None,
    timeout_s: float = 30.0, retries: int = 2, **more: Any,
) -> Said:  # fmt: skip
    house = client(base_url, key, timeout=timeout_s, max_retries=retries)
    raw = house.messages.with_raw_response.create(
        **asking(model, question), **more, extra_headers=headers or {}
    )
    header_msat = int(raw.headers["x-routstr-cost-msats"])
    return {**told(raw.parse()), "header_msat": header_msat}


def bearer(base_url: str, key: str, model: str, question: str) -> Said:
    house = Anthropic(base_url=base_url, auth_token=key, api_key=None)
    return told(house.messages.create(**asking(model, question)))


def stream(base_url: str, key: str, model: str, question: str, **more: Any) -> Said:
    with client(base_url, key).messages.stream(**asking(model, question), **more) as events:
        pieces = list(events.text_stream)
        return {**told(events.get_final_message()), "pieces": len(pieces)}


def events(base_url: str, key: str, model: str, question: str) -> Said:
    """Read a stream as it comes, by the types that are known."""
    kinds = client(base_url, key).messages.create(**asking(model, question), stream=True)
    return {"kinds": [event.type for event in kinds]}


def count(base_url: str, key: str, model: str, question: str) -> Said:
    messages: Any = [{"role": "user", "content": question}]
    counted = client(base_url, key).messages.count_tokens(model=model, messages=messages)
    return {"tokens": counted.input_tokens}


def models(base_url: str, key: str) -> Said:
    return {"ids": [model.id for model in client(base_url, key).models.list()]}


if __name__ == "__main__":
    acts = (plain, bearer, stream, events, count, models)
    serve({act.__name__: act for act in acts}, anthropic.AnthropicError)
