"""Bounds: what one request can use at most, and what it used in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from domain.errors import PricingError
from domain.request import (
    IMAGES_MAX,
    choices_of,
    image_size_of,
    is_opaque,
    is_spoken,
    mappings,
    part_types,
    prompts_in,
    searches_of,
    searches_ordered,
    turns_of,
    unseen_tokens_max,
    whole_number,
    written_max,
)

CONTEXT_TOKENS_DEFAULT = 128_000
# As many as the models that count the most have of a large picture.
IMAGE_TOKENS_MAX = 50_000
# An edit reads what it changes closely.
EDITED_TOKENS_MAX = 10_000
SECONDS_MAX_DEFAULT = 7_200
AUDIO_TOKENS_PER_SECOND_MAX = 50
# Twenty a second, of a voice that speaks at a quarter of its speed.
SPOKEN_TOKENS_PER_CHARACTER_MAX = 20
SPOKEN_TOKENS_PAUSE = 1_000

Kind = Literal["text", "images", "verdict", "speech", "recording", "count"]
"""What a request asks for: words, pictures, a voice, or what a recording says.

A verdict, as moderations give, has no words of its own; to count tokens reads none.
"""

IMAGE_PARTS = frozenset({"image_url", "input_image", "image"})
AUDIO_PART = "input_audio"
OPAQUE_PARTS = frozenset(
    {"document", "file", "input_file", "input_video", "item_reference", "video_url"}
)
FILES_READ = ("image", "image[]", "mask")


class Window(Protocol):
    """What a model can read and write at most, in tokens; None where nobody says so."""

    @property
    def context_length(self) -> int | None:
        """Prompt and answer together."""

    @property
    def max_completion_tokens(self) -> int | None:
        """The answer alone."""

    @property
    def max_image_tokens(self) -> int | None:
        """One picture that is read."""

    @property
    def max_seconds(self) -> int | None:
        """How long a recording may be, in seconds."""


class Counts(Protocol):
    """What a usage counts, whoever tells it; see `Usage`."""

    @property
    def prompt_tokens(self) -> int:
        """All that was read, from a cache or not."""

    @property
    def completion_tokens(self) -> int:
        """All that was written, shown or not."""

    @property
    def cached_tokens(self) -> int:
        """Of the prompt: read from a cache."""

    @property
    def cache_write_tokens(self) -> int:
        """Of the prompt: written to a cache."""

    @property
    def reasoning_tokens(self) -> int:
        """Of the completion: not shown."""

    @property
    def images(self) -> int:
        """Images read or made."""

    @property
    def web_searches(self) -> int:
        """Searches made."""

    @property
    def seconds(self) -> int:
        """Seconds of a recording, a begun one counted whole."""

    @property
    def characters(self) -> int:
        """Characters that were spoken."""

    @property
    def audio_tokens(self) -> int:
        """Of the prompt: heard."""

    @property
    def spoken_tokens(self) -> int:
        """Of the completion: spoken."""

    @property
    def long_cache_tokens(self) -> int:
        """Of those written to a cache: to one that keeps them for an hour."""

    @property
    def image_size(self) -> str:
        """Of which size and quality images were asked for; empty if nobody said."""

    @property
    def upstream_usd(self) -> str:
        """What the upstream asks for it, in dollars, if it is charged by that; a decimal."""

    @property
    def markup(self) -> str:
        """What that is multiplied by."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one request used up, as the upstream counted it (or as we had to estimate it).

    `cached_tokens`, `cache_write_tokens` and `audio_tokens` are parts of `prompt_tokens`,
    `reasoning_tokens` and `spoken_tokens` of `completion_tokens`, `long_cache_tokens` of
    `cache_write_tokens`. What was heard may come from the cache, too.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    web_searches: int = 0
    estimated: bool = False
    seconds: int = 0
    characters: int = 0
    audio_tokens: int = 0
    spoken_tokens: int = 0
    long_cache_tokens: int = 0
    image_size: str = ""
    upstream_usd: str = ""
    markup: str = ""

    def __post_init__(self) -> None:
        if (
            min(self.cached_tokens, self.cache_write_tokens, self.reasoning_tokens) < 0
            or min(self.images, self.web_searches, self.seconds, self.characters) < 0
            or not 0 <= self.audio_tokens <= self.prompt_tokens
            or not 0 <= self.spoken_tokens <= self.completion_tokens
            or not 0 <= self.long_cache_tokens <= self.cache_write_tokens
            or self.cached_tokens + self.cache_write_tokens > self.prompt_tokens
            or self.reasoning_tokens > self.completion_tokens
        ):
            raise PricingError("A usage has a count below zero or a part above its whole.")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request can use at most; `completion_tokens_max` is for each choice.

    With `context_tokens_max`, the prompt and any one choice together fit in so many. Tokens
    that were heard or are spoken come only where a request `hears` or `speaks`. Of the
    `web_searches`, so many as are `ordered` are made in any case.
    """

    prompt_tokens_max: int
    completion_tokens_max: int
    choices: int = 1
    images: int = 0
    web_searches: int = 0
    context_tokens_max: int | None = None
    seconds: int = 0
    characters: int = 0
    image_size: str = ""
    hears: bool = False
    speaks: bool = False
    ordered: int = 0

    @classmethod
    def of_request(
        cls,
        document: Mapping[str, object],
        prompt_bytes: int,
        window: Window,
        kind: Kind = "text",
    ) -> Bounds:
        """Return the bounds of the request `document`, which has `prompt_bytes` of text.

        A token of a byte-level vocabulary is at least one byte, so that the text's length
        bounds the prompt; a picture or a file named by its address does not show its size,
        and is given an allowance or the whole context. Raises `InvalidBoundError`.
        """
        if kind == "images":
            return cls._of_images(document, prompt_bytes, window)
        if kind == "speech":
            return cls._of_speech(document, prompt_bytes, window)
        if kind == "recording":
            return cls._of_recording(document, prompt_bytes, window)
        if kind == "count":
            return cls(0, 0)
        return cls._of_text(document, prompt_bytes, window, is_mute=kind == "verdict")

    @classmethod
    def _of_text(
        cls, document: Mapping[str, object], prompt_bytes: int, window: Window, *, is_mute: bool
    ) -> Bounds:
        prompts, turns = prompts_in(document), turns_of(document)
        parts = list(part_types(document))
        images = sum(part in IMAGE_PARTS for part in parts)
        seen_tokens = prompt_bytes + images * (window.max_image_tokens or IMAGE_TOKENS_MAX)
        prompt_tokens = seen_tokens + (0 if is_mute else unseen_tokens_max(document))
        is_blind = any(part in OPAQUE_PARTS for part in parts) or is_opaque(document)
        if is_blind:
            prompt_tokens = max(prompt_tokens, window.context_length or CONTEXT_TOKENS_DEFAULT)
        completion_tokens = written_max(document, window)
        if is_mute:
            completion_tokens = 0
        if window.context_length:
            prompt_tokens = min(prompt_tokens, window.context_length * prompts)
            completion_tokens = min(completion_tokens, window.context_length)
        return cls(
            prompt_tokens_max=prompt_tokens * turns,
            completion_tokens_max=completion_tokens,
            choices=prompts * choices_of(document),
            images=images,
            web_searches=searches_of(document),
            ordered=searches_ordered(document),
            context_tokens_max=window.context_length if prompts == turns == 1 else None,
            hears=is_blind or AUDIO_PART in parts,
            speaks=is_spoken(document),
        )

    @classmethod
    def _of_images(
        cls, document: Mapping[str, object], prompt_bytes: int, window: Window
    ) -> Bounds:
        read = sum(len(list(mappings(document.get(name)))) for name in FILES_READ)
        prompt_tokens = prompt_bytes + read * EDITED_TOKENS_MAX
        completion_tokens = written_max(document, window)
        if window.context_length:
            prompt_tokens = min(prompt_tokens, window.context_length)
            completion_tokens = min(completion_tokens, window.context_length)
        return cls(
            prompt_tokens_max=prompt_tokens,
            completion_tokens_max=completion_tokens,
            choices=choices_of(document),
            images=whole_number(document, "n", IMAGES_MAX) or 1,
            context_tokens_max=window.context_length,
            image_size=image_size_of(document),
        )

    @classmethod
    def _of_speech(
        cls, document: Mapping[str, object], prompt_bytes: int, window: Window
    ) -> Bounds:
        text = document.get("input")
        characters = len(text) if isinstance(text, str) else 0
        spoken = SPOKEN_TOKENS_PAUSE + SPOKEN_TOKENS_PER_CHARACTER_MAX * characters
        return cls(
            prompt_tokens_max=prompt_bytes,
            completion_tokens_max=min(spoken, window.max_completion_tokens or spoken),
            characters=characters,
            speaks=True,
        )

    @classmethod
    def _of_recording(
        cls, document: Mapping[str, object], prompt_bytes: int, window: Window
    ) -> Bounds:
        longest = window.max_seconds or SECONDS_MAX_DEFAULT
        file = document.get("file")
        shown = file.get("seconds_max") if isinstance(file, Mapping) else None
        seconds = min(shown, longest) if isinstance(shown, int) else longest
        return cls(
            prompt_tokens_max=prompt_bytes + seconds * AUDIO_TOKENS_PER_SECOND_MAX,
            completion_tokens_max=written_max({}, window),
            seconds=seconds,
            hears=True,
        )

    def admit(self, usage: Usage) -> bool:
        """Tell whether an honest upstream may report `usage` for the request."""
        written_max = self.completion_tokens_max
        if self.context_tokens_max is not None:
            written_max = min(written_max, self.context_tokens_max - usage.prompt_tokens)
        return (
            usage.prompt_tokens <= self.prompt_tokens_max
            and usage.completion_tokens <= self.choices * written_max
            and usage.images <= self.images
            and usage.web_searches <= self.web_searches
            and usage.seconds <= self.seconds
            and usage.characters <= self.characters
            and usage.image_size in {"", self.image_size}
            and (self.hears or not usage.audio_tokens)
            and (self.speaks or not usage.spoken_tokens)
        )
