"""A request of another API as the chat that asks the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from app.translating.errors import UntranslatableError
from app.translating.library import Dialect, to_chat
from app.translating.shapes import Messages, Responses

if TYPE_CHECKING:
    from collections.abc import Mapping

SHAPES: Mapping[Dialect, type[Messages | Responses]] = {
    Dialect.MESSAGES: Messages,
    Dialect.RESPONSES: Responses,
}
UNKNOWN = re.compile(r"unknown field `([^`]*)`")
MISSING = re.compile(r"missing required field `([^`]*)`")
PLACE = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
NAME_CHARACTERS_MAX = 200
# The library reads whole numbers into so many bits, and others as binary fractions.
WHOLE_MIN, WHOLE_MAX = -(2**63), 2**64 - 1


def chat_of(dialect: Dialect, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chat that asks what `document` does; its limit is `max_completion_tokens`.

    Raises `UntranslatableError` for what a chat cannot say.
    """
    given = {name: value for name, value in document.items() if value is not None}
    if dialect is Dialect.RESPONSES:
        given["input"] = _typed(given.get("input"))
    _expect(SHAPES[dialect], given)
    harmless = SHAPES[dialect].harmless
    asked = {name: value for name, value in given.items() if name not in harmless}
    if dialect is Dialect.MESSAGES:
        return _of_messages(asked)
    asked["reasoning"] = {"effort": (asked.get("reasoning") or {}).get("effort")}
    return _for_everybody(to_chat(dialect, asked))


def _of_messages(asked: dict[str, Any]) -> dict[str, Any]:
    """Say what the library leaves out although a chat knows it."""
    if asked["messages"][-1]["role"] == "assistant":
        # A chat begins an answer of its own; it does not go on with one.
        raise UntranslatableError(f"messages[{len(asked['messages']) - 1}].role")
    if isinstance(asked.get("system"), list):
        asked["system"] = "\n\n".join(part["text"] for part in asked["system"])
    stops = asked.pop("stop_sequences", None)
    chat = _for_everybody(to_chat(Dialect.MESSAGES, asked))
    if stops:
        chat["stop"] = stops
    if chat.get("tools") and (asked.get("tool_choice") or {}).get("disable_parallel_tool_use"):
        chat["parallel_tool_calls"] = False
    return chat


def _for_everybody(chat: dict[str, Any]) -> dict[str, Any]:
    """Return a chat in the words that all upstreams know, and not OpenAI's alone."""
    for message in chat["messages"]:
        if message["role"] == "developer":
            message["role"] = "system"
        content = message.get("content")
        if isinstance(content, list) and all(part["type"] == "text" for part in content):
            # Only what is more than text has to be in parts.
            message["content"] = "\n".join(part["text"] for part in content)
    chat["messages"] = _joined(chat["messages"])
    return chat


def _joined(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put what one answer said and which tools it called into one message again."""
    joined: list[dict[str, Any]] = []
    for message in messages:
        last = joined[-1] if joined else {}
        if "tool_calls" in message and last.get("role") == "assistant":
            calls = [*last.get("tool_calls", ()), *message["tool_calls"]]
            joined[-1] = {**message, **last, "tool_calls": calls}
        else:
            joined.append(message)
    return joined


def _typed(items: object) -> object:
    """Return the items of a request, each with its type: a message may leave it out."""
    if not isinstance(items, list):
        return items
    return [
        {"type": "message", **item}
        if isinstance(item, dict) and "role" in item and "type" not in item
        else item
        for item in items
    ]


def _expect(shape: type[Messages | Responses], document: Mapping[str, Any]) -> None:
    """Raise `UntranslatableError` for whatever is not of this shape."""
    try:
        msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        raise UntranslatableError(_named(str(error))[:NAME_CHARACTERS_MAX]) from error
    for name, value in document.items():
        if _has_huge_number(value):
            raise UntranslatableError(name)


def _named(message: str) -> str:
    """Name what a message of msgspec is about.

    >>> _named("Object contains unknown field `x` - at `$.messages[0]`")
    'messages[0].x'
    >>> _named("Invalid enum value 'enabled' - at `$.thinking.type`")
    'thinking.type'
    """
    place = PLACE.search(message)
    field = UNKNOWN.search(message) or MISSING.search(message)
    parts = (found[1] for found in (place, field) if found)
    return ".".join(part for part in parts if part) or "The request"


def _has_huge_number(document: object) -> bool:
    left = [document]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, int) and not WHOLE_MIN <= value <= WHOLE_MAX:
            return True
    return False
