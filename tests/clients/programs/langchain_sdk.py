"""LangChain's `langchain-openai`, pointed at the house by its base URL."""

from __future__ import annotations

import json
from typing import Any

import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.clients.programs.lines import Said, serve

MAX_TOKENS = 64


def talker(base_url: str, key: str, model: str, **more: Any) -> ChatOpenAI:
    given: dict[str, Any] = {"max_tokens": MAX_TOKENS, "timeout": 30.0, **more}
    return ChatOpenAI(base_url=f"{base_url}/v1", api_key=key, model=model, **given)


def plain(
    base_url: str, key: str, model: str, question: str, headers: dict[str, str] | None = None,
    timeout_s: float = 30.0, retries: int = 2,
) -> Said:  # fmt: skip
    house = talker(
        base_url, key, model, default_headers=headers, timeout=timeout_s, max_retries=retries,
        include_response_headers=True,
    )  # fmt: skip
    message = house.invoke(question)
    usage: Any = message.usage_metadata
    told = message.response_metadata
    return {
        "text": message.content,
        "tokens": [usage["input_tokens"], usage["output_tokens"]],
        "cost_msat": told["token_usage"]["cost"]["total_msats"],
        "header_msat": int(told["headers"]["x-routstr-cost-msats"]),
        "request_id": told["headers"]["x-request-id"],
    }


def stream(base_url: str, key: str, model: str, question: str, *, usage: bool) -> Said:
    house = talker(base_url, key, model, stream_usage=usage or None)
    whole: Any = None
    for chunk in house.stream(question):
        whole = chunk if whole is None else whole + chunk
    told = whole.usage_metadata
    if told is None:
        return {"text": whole.content}
    return {"text": whole.content, "tokens": [told["input_tokens"], told["output_tokens"]]}


def responses(base_url: str, key: str, model: str, question: str) -> Said:
    message = talker(base_url, key, model, use_responses_api=True).invoke(question)
    usage: Any = message.usage_metadata
    return {"text": message.text, "tokens": [usage["input_tokens"], usage["output_tokens"]]}


def responses_stream(base_url: str, key: str, model: str, question: str) -> Said:
    house = talker(base_url, key, model, use_responses_api=True)
    return {"text": "".join(chunk.text for chunk in house.stream(question))}


def embeddings(base_url: str, key: str, model: str, texts: list[str]) -> Said:
    # With the check it would count tokens first, by a vocabulary that it downloads.
    house = OpenAIEmbeddings(
        base_url=f"{base_url}/v1", api_key=key, model=model, check_embedding_ctx_length=False
    )
    return {"vectors": house.embed_documents(texts)}


def tools(base_url: str, key: str, model: str, question: str, tool: dict[str, Any]) -> Said:
    message: Any = talker(base_url, key, model).bind_tools([tool]).invoke(question)
    return {"calls": calls_of(message)}


def tools_stream(
    base_url: str, key: str, model: str, question: str, tool: dict[str, Any]
) -> Said:
    house = talker(base_url, key, model).bind_tools([tool])
    whole: Any = None
    for chunk in house.stream(question):
        whole = chunk if whole is None else whole + chunk
    return {"calls": calls_of(whole)}


def calls_of(message: Any) -> list[list[str]]:
    return [
        [call["name"], json.dumps(call["args"], separators=(",", ":"))]
        for call in message.tool_calls
    ]


if __name__ == "__main__":
    acts = (plain, stream, embeddings, responses, responses_stream, tools, tools_stream)
    serve({act.__name__: act for act in acts}, openai.OpenAIError)
