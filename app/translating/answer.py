"""A chat's whole answer as the one that was asked for in another API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.translating.errors import TranslationError
from app.translating.library import Dialect, from_chat

if TYPE_CHECKING:
    from domain.bounds import Counts

# How an answer ended; whatever else an upstream says is an end like any other.
ENDS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "length",
}
FILTERED = "content_filter"
# What a Responses' answer repeats of its request, and what it is where nobody said.
REPEATED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
}


def answer_of(
    dialect: Dialect, asked: Mapping[str, Any], said: object, usage: Counts | None
) -> dict[str, Any]:
    """Return what a chat has `said` as the answer to `asked`, with what it used.

    Of several choices it is the first. Raises `TranslationError` for what is no answer.
    """
    choice = first_choice(said)
    message = choice.get("message")
    if not isinstance(said, Mapping) or not isinstance(message, Mapping):
        raise TranslationError("The upstream's answer has no message.")
    calls = _calls(message.get("tool_calls"))
    spoken: dict[str, Any] = {"role": "assistant", "content": text_of(message.get("content"))}
    if refusal := text_of(message.get("refusal")):
        spoken["refusal"] = refusal
    if calls:
        spoken["tool_calls"] = calls
        spoken["content"] = spoken["content"] or None
    end = end_of(choice) or "stop"
    tidy = {
        **head_of(said, "chat.completion"),
        "choices": [{"index": 0, "message": spoken, "finish_reason": end}],
        "usage": counts_of(usage),
    }
    answer = from_chat(dialect, tidy)
    if dialect is Dialect.MESSAGES:
        answer["content"] = _with_inputs(answer["content"], calls)
    return completed(dialect, asked, answer, is_filtered=is_filtered(choice))


def completed(
    dialect: Dialect, asked: Mapping[str, Any], answer: dict[str, Any], *, is_filtered: bool
) -> dict[str, Any]:
    """Return an answer with what its clients expect and the library does not say."""
    if dialect is Dialect.MESSAGES:
        return {**answer, **ended(answer, is_filtered=is_filtered)}
    repeated = {
        name: default if asked.get(name) is None else asked[name]
        for name, default in REPEATED.items()
    }
    if is_filtered and answer.get("incomplete_details"):
        repeated["incomplete_details"] = {"reason": FILTERED}
    return {**answer, **repeated}


def ended(answer: Mapping[str, Any], *, is_filtered: bool) -> dict[str, Any]:
    """Return how Anthropic's API says that an answer has ended, which may be not yet."""
    reason = answer.get("stop_reason")
    return {
        "stop_reason": "refusal" if is_filtered and reason else reason,
        "stop_sequence": None,
    }


def first_choice(said: object) -> Mapping[str, Any]:
    """Return the first choice of an answer or a chunk; empty if there is none."""
    choices = said.get("choices") if isinstance(said, Mapping) else None
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, Mapping) and not choice.get("index"):
            return choice
    return {}


def end_of(choice: Mapping[str, Any]) -> str | None:
    """Return how a choice ended, in a word that the library knows; None if it did not."""
    reason = choice.get("finish_reason")
    if reason is None:
        return None
    return ENDS.get(reason, "stop") if isinstance(reason, str) else "stop"


def is_filtered(choice: Mapping[str, Any]) -> bool:
    return choice.get("finish_reason") == FILTERED


def head_of(said: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the members by which an answer is known."""
    name, model, created = said.get("id"), said.get("model"), said.get("created")
    return {
        "id": name if isinstance(name, str) and name else "chatcmpl-unnamed",
        "object": kind,
        "created": created if type(created) is int and 0 <= created < 1 << 53 else 0,
        "model": model if isinstance(model, str) else "",
    }


def text_of(content: object) -> str:
    """Return a content's text, in one piece or in parts; raises `TranslationError`."""
    if content is None:
        return ""
    if not isinstance(content, str | list):
        raise TranslationError("The upstream's answer has a content that is no text.")
    parts = [content] if isinstance(content, str) else content
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    text = "".join(text for text in texts if isinstance(text, str))
    # The library reads no half of a pair of surrogates, as some upstreams cut them.
    return text.encode(errors="replace").decode()


def counts_of(usage: Counts | None) -> dict[str, Any]:
    """Return a usage as chats tell it, zeros where nobody has counted."""
    if usage is None:
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    read = {"cached_tokens": usage.cached_tokens}
    if usage.cache_write_tokens:
        read["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": read,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _calls(calls: object) -> list[dict[str, Any]]:
    """Return the calls of tools in an answer; raises `TranslationError` for a broken one."""
    found = []
    for number, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise TranslationError("The upstream's answer calls a tool without a name.")
        arguments = function.get("arguments") or "{}"
        if not isinstance(arguments, str):
            raise TranslationError("The upstream's answer calls a tool with no text.")
        name = call.get("id")
        found.append(
            {
                "id": name if isinstance(name, str) and name else f"call_{number}",
                "type": "function",
                "function": {"name": function["name"], "arguments": arguments},
            }
        )
    return found


def _with_inputs(
    blocks: list[dict[str, Any]], calls: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the blocks of an answer, the numbers in their inputs as they were written."""
    inputs = iter([_input_of(call["function"]["arguments"]) for call in calls])
    return [
        {**block, "input": next(inputs)} if block["type"] == "tool_use" else block
        for block in blocks
    ]


def _input_of(arguments: str) -> dict[str, Any]:
    """Return the input of a tool; the library makes an empty one of what it cannot read."""
    try:
        found = json.loads(arguments)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise TranslationError("The upstream's answer calls a tool with what is no object.")
    return found
