"""Bounds: what one request can use at most, and what it used in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from domain.errors import InvalidBoundError, PricingError

TOKENS_MAX = 10_000_000
CHOICES_MAX = 128
COMPLETION_TOKENS_DEFAULT = 32_000
CONTEXT_TOKENS_DEFAULT = 128_000
IMAGE_TOKENS_MAX = 5_000
WEB_SEARCHES_MAX = 10

COMPLETION_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
IMAGE_PARTS = frozenset({"image_url", "input_image", "image"})
OPAQUE_PARTS = frozenset({"file", "input_file", "document", "video_url", "input_video"})
OPAQUE_MEMBERS = ("previous_response_id", "conversation")


class Window(Protocol):
    """What a model can read and write at most, in tokens; None where nobody says so."""

    @property
    def context_length(self) -> int | None:
        """Prompt and answer together."""

    @property
    def max_completion_tokens(self) -> int | None:
        """The answer alone."""


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
        """Images read."""

    @property
    def web_searches(self) -> int:
        """Searches made."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one request used up, as the upstream counted it (or as we had to estimate it).

    `cached_tokens` and `cache_write_tokens` are parts of `prompt_tokens`, and
    `reasoning_tokens` of `completion_tokens`.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    web_searches: int = 0
    estimated: bool = False

    def __post_init__(self) -> None:
        if (
            min(self.cached_tokens, self.cache_write_tokens, self.reasoning_tokens) < 0
            or min(self.images, self.web_searches) < 0
            or self.cached_tokens + self.cache_write_tokens > self.prompt_tokens
            or self.reasoning_tokens > self.completion_tokens
        ):
            raise PricingError("A usage has a count below zero or a part above its whole.")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request can use at most; `completion_tokens_max` is for each choice.

    With `context_tokens_max`, the prompt and any one choice together fit in so many.
    """

    prompt_tokens_max: int
    completion_tokens_max: int
    choices: int = 1
    images: int = 0
    web_searches: int = 0
    context_tokens_max: int | None = None

    @classmethod
    def of_request(
        cls, document: Mapping[str, object], body_bytes: int, window: Window
    ) -> Bounds:
        """Return the bounds of the request `document`, whose body has `body_bytes`.

        A token of a byte-level vocabulary is at least one byte, so that the body's length
        bounds the prompt; a picture or a file named by its address does not show its size,
        and is given an allowance or the whole context. Raises `InvalidBoundError`.
        """
        prompts = _prompts(document)
        parts = list(_part_types(document))
        images = sum(part in IMAGE_PARTS for part in parts)
        prompt_tokens = body_bytes + images * IMAGE_TOKENS_MAX
        if any(part in OPAQUE_PARTS for part in parts) or _any_given(document, OPAQUE_MEMBERS):
            prompt_tokens = max(prompt_tokens, window.context_length or CONTEXT_TOKENS_DEFAULT)
        completion_tokens = _completion_tokens_max(document, window)
        if window.context_length:
            prompt_tokens = min(prompt_tokens, window.context_length * prompts)
            completion_tokens = min(completion_tokens, window.context_length)
        return cls(
            prompt_tokens_max=prompt_tokens,
            completion_tokens_max=completion_tokens,
            choices=prompts * _choices(document),
            images=images,
            web_searches=_web_searches(document),
            context_tokens_max=window.context_length if prompts == 1 else None,
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
        )


def _whole(document: Mapping[str, object], name: str, maximum: int) -> int | None:
    """Return the member `name`, a whole number from 1 to `maximum`; None if not given."""
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidBoundError(name)
    if not 1 <= value <= maximum:
        raise InvalidBoundError(name, f"must be an integer from 1 to {maximum}")
    return value


def _completion_tokens_max(document: Mapping[str, object], window: Window) -> int:
    given = [_whole(document, name, TOKENS_MAX) for name in COMPLETION_LIMITS]
    # Which of several the upstream will obey is not known here: the larger is the bound.
    return (
        max((limit for limit in given if limit is not None), default=0)
        or window.max_completion_tokens
        or window.context_length
        or COMPLETION_TOKENS_DEFAULT
    )


def _choices(document: Mapping[str, object]) -> int:
    """Answers to each prompt; those that `best_of` throws away are paid for too."""
    return max(_whole(document, name, CHOICES_MAX) or 1 for name in ("n", "best_of"))


def _prompts(document: Mapping[str, object]) -> int:
    """Prompts in one body: legacy completions and embeddings take a list of them."""
    for name in ("prompt", "input"):
        value = document.get(name)
        if isinstance(value, list) and all(isinstance(each, (str, list)) for each in value):
            return max(1, len(value))
    return 1


def _part_types(document: Mapping[str, object]) -> Iterator[object]:
    """Yield the type of every part of every message, chat or Responses."""
    for name in ("messages", "input"):
        messages = document.get(name)
        for message in messages if isinstance(messages, list) else ():
            content = message.get("content") if isinstance(message, Mapping) else None
            for part in content if isinstance(content, list) else ():
                if isinstance(part, Mapping) and isinstance(part.get("type"), str):
                    yield part["type"]


def _web_searches(document: Mapping[str, object]) -> int:
    """Count the searches a request invites: one by option or plugin, several by tool."""
    tools = document.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, Mapping) and str(tool.get("type")).startswith("web_search"):
            return _whole(tool, "max_uses", WEB_SEARCHES_MAX) or WEB_SEARCHES_MAX
    return int(_any_given(document, ("web_search_options", "plugins")))


def _any_given(document: Mapping[str, object], names: tuple[str, ...]) -> bool:
    return any(document.get(name) is not None for name in names)
