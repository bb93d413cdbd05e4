"""The paths of the API that are sold, and how a request to each of them is counted."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from domain.bounds import Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.bounds import Kind, Window

CHAT, COMPLETIONS, RESPONSES = "/chat/completions", "/completions", "/responses"
MESSAGES, COUNT_TOKENS = "/messages", "/messages/count_tokens"
EMBEDDINGS, MODERATIONS = "/embeddings", "/moderations"
IMAGES, EDITS, VARIATIONS = "/images/generations", "/images/edits", "/images/variations"
TRANSCRIPTIONS, TRANSLATIONS = "/audio/transcriptions", "/audio/translations"
SPEECH = "/audio/speech"


@dataclass(frozen=True, slots=True)
class Path:
    """A path that requests are sold on.

    `kind` says what is bounded and counted; `streams` whether a request may ask for a
    stream; `is_wordless` that what is answered is no text which would be paid by the token.
    `files` are the names that the file may have which a form brings along; a path without
    any takes JSON.
    """

    kind: Kind = "text"
    streams: bool = False
    is_wordless: bool = False
    files: tuple[str, ...] = ()


PICTURES = ("image", "image[]")
PATHS: Mapping[str, Path] = MappingProxyType(
    {
        CHAT: Path(streams=True),
        COMPLETIONS: Path(streams=True),
        EMBEDDINGS: Path(is_wordless=True),
        RESPONSES: Path(streams=True),
        MESSAGES: Path(streams=True),
        COUNT_TOKENS: Path("count", is_wordless=True),
        IMAGES: Path("images", is_wordless=True),
        EDITS: Path("images", is_wordless=True, files=PICTURES),
        VARIATIONS: Path("images", is_wordless=True, files=PICTURES),
        TRANSCRIPTIONS: Path("recording", streams=True, files=("file",)),
        TRANSLATIONS: Path("recording", files=("file",)),
        SPEECH: Path("speech", is_wordless=True),
        MODERATIONS: Path("verdict", is_wordless=True),
    }
)


def bounds_of(
    path: str, document: Mapping[str, Any], prompt_bytes: int, window: Window
) -> Bounds:
    """Return the most that a request to `path` can use; raises `InvalidBoundError`."""
    return Bounds.of_request(document, prompt_bytes, window, PATHS[path].kind)
