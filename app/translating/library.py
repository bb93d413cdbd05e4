"""The library that says in one API what was said in another; only this module knows it."""

from __future__ import annotations

import json
import re
from enum import Enum
from typing import TYPE_CHECKING, Any

from linguafranca import (
    ConversionError,
    FormatName,
    convert_request_json,
    convert_response_json,
    convert_response_stream_json,
)

from app.translating.errors import TranslationError, UntranslatableError

if TYPE_CHECKING:
    from collections.abc import Mapping

CHAT = FormatName.OPENAI_CHAT_COMPLETIONS
# Names that an earlier answer gave its parts; a chat's parts have none.
NAMES_OF_PARTS = re.compile(r"input\[\d+\]\.(id|status)")


class Dialect(Enum):
    """The APIs beside chats."""

    MESSAGES = FormatName.ANTHROPIC_MESSAGES
    RESPONSES = FormatName.OPEN_RESPONSES


def to_chat(dialect: Dialect, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request as the chat that asks the same.

    Raises `UntranslatableError` for what would be lost on the way.
    """
    try:
        result = convert_request_json(
            dict(document), source_format=dialect.value, target_format=CHAT
        )
    except ConversionError as error:
        raise UntranslatableError("The request") from error
    for warning in result.warnings:
        if not NAMES_OF_PARTS.fullmatch(warning.field):
            raise UntranslatableError(warning.field)
    return result.value


def from_chat(dialect: Dialect, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chat's answer as the one that was asked for; raises `TranslationError`."""
    try:
        return convert_response_json(
            dict(answer), source_format=CHAT, target_format=dialect.value
        ).value
    except ConversionError as error:
        raise TranslationError("The answer cannot be translated.") from error


class Events:
    """The events that the chunks of a chat are in another API; raises `TranslationError`."""

    def __init__(self, dialect: Dialect) -> None:
        stream = convert_response_stream_json(
            (), source_format=CHAT, target_format=dialect.value
        )
        # It would pull from the upstream; a meter is fed with what has come.
        self._converter = stream._converter  # noqa: SLF001

    def take(self, chunk: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the events that `chunk` is."""
        return self._read(lambda: self._converter.transform_json_str(json.dumps(chunk)))

    def end(self) -> list[dict[str, Any]]:
        """Return the events that the end of the stream is."""
        return self._read(self._converter.flush_json_str)

    def _read(self, said: Any) -> list[dict[str, Any]]:
        try:
            events: list[dict[str, Any]] = json.loads(said())
        except ConversionError as error:
            raise TranslationError("The stream cannot be translated.") from error
        return events
