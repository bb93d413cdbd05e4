"""Bounds: what one request can use at most, and what it used in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from domain.errors import InvalidBoundError, PricingError

TOKENS_MAX = 10_000_000
CHOICES_MAX = 128
COMPLETION_TOKENS_DEFAULT = 32_000
CONTEXT_TOKENS_DEFAULT = 128_000
IMAGE_TOKENS_MAX = 5_000
WEB_SEARCHES_MAX = 10
IMAGES_MAX = 10

Kind = Literal["text", "images", "verdict"]
"""What a request asks for; a verdict, as moderations give, has no words of its own."""

COMPLETION_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
IMAGE_PARTS = frozenset({"image_url", "input_image", "image"})
OPAQUE_PARTS = frozenset(
    {"document", "file", "input_file", "input_video", "item_reference", "video_url"}
)
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
        """Images read or made."""

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
        cls,
        document: Mapping[str, object],
        body_bytes: int,
        window: Window,
        kind: Kind = "text",
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
        if any(part in OPAQUE_PARTS for part in parts) or _is_opaque(document):
            prompt_tokens = max(prompt_tokens, window.context_length or CONTEXT_TOKENS_DEFAULT)
        completion_tokens = _completion_tokens_max(document, window)
        if kind == "images":
            images = _whole(document, "n", IMAGES_MAX) or 1
        elif kind == "verdict":
            completion_tokens = 0
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
    """Yield the type of every message, item and part of them, chat or Responses.

    What a tool of the client has put out may hold pictures and files, too.
    """
    for name in ("messages", "input"):
        for message in _mappings(document.get(name)):
            yield from _type_of(message)
            for part in (*_mappings(message.get("content")), *_mappings(message.get("output"))):
                yield from _type_of(part)


def _mappings(value: object) -> Iterator[Mapping[str, object]]:
    """Yield the objects in a list, or the one that stands in its place."""
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, Mapping):
            yield each


def _type_of(part: Mapping[str, object]) -> Iterator[str]:
    kind = part.get("type")
    if isinstance(kind, str):
        # A picture of a screen is a picture.
        yield "input_image" if kind == "computer_screenshot" else kind


def _is_opaque(document: Mapping[str, object]) -> bool:
    """Tell whether a request has the model read what does not stand in it.

    What was said before, a prompt that is kept at the upstream, what a search finds.
    """
    return (
        _any_given(document, OPAQUE_MEMBERS)
        or isinstance(document.get("prompt"), Mapping)
        or _search_tool(document) is not None
    )


def _search_tool(document: Mapping[str, object]) -> Mapping[str, object] | None:
    for tool in _mappings(document.get("tools")):
        if str(tool.get("type")).startswith("web_search"):
            return tool
    return None


def _web_searches(document: Mapping[str, object]) -> int:
    """Count the searches a request invites: one by option or plugin, several by tool."""
    tool = _search_tool(document)
    if tool is None:
        return int(_any_given(document, ("web_search_options", "plugins")))
    calls = _whole(document, "max_tool_calls", TOKENS_MAX) or WEB_SEARCHES_MAX
    return min(calls, _whole(tool, "max_uses", WEB_SEARCHES_MAX) or WEB_SEARCHES_MAX)


def _any_given(document: Mapping[str, object], names: tuple[str, ...]) -> bool:
    return any(document.get(name) is not None for name in names)
