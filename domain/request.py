"""Reading a request: what it says, in any dialect, of what it may use up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Protocol

from domain.errors import InvalidBoundError

TOKENS_MAX = 10_000_000
CHOICES_MAX = 128
COMPLETION_TOKENS_DEFAULT = 32_000
WEB_SEARCHES_MAX = 10
IMAGES_MAX = 10
# What models are told that no request shows: by their chat template, which may bring a system
# prompt along; of how tools are called; of each tool that is not the client's own.
TEMPLATE_TOKENS_MAX = 500
TOOLS_TOKENS_MAX = 1_000
THEIR_TOOL_TOKENS_MAX = 1_500

COMPLETION_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
SEARCH_OPTION, WEB_PLUGIN = "web_search_options", "web"
OPAQUE_MEMBERS = (
    "conversation",
    "container",
    "mcp_servers",
    "plugins",
    "previous_response_id",
    SEARCH_OPTION,
)
# Tools that the upstream runs in turns; each turn reads all that was said before again.
SEARCHES, FETCHES = "web_search", "web_fetch"
OWN_TOOLS = ("function", "custom")
SIZE = re.compile(r"[a-z0-9.]{1,20}")


class Limits(Protocol):
    """What a model can write at most, in tokens; None where nobody says so."""

    @property
    def context_length(self) -> int | None: ...

    @property
    def max_completion_tokens(self) -> int | None: ...


def whole_number(document: Mapping[str, object], name: str, maximum: int) -> int | None:
    """Return the member `name`, a whole number from 1 to `maximum`; None if not given."""
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidBoundError(name)
    if not 1 <= value <= maximum:
        raise InvalidBoundError(name, f"must be an integer from 1 to {maximum}")
    return value


def written_max(document: Mapping[str, object], window: Limits) -> int:
    given = [whole_number(document, name, TOKENS_MAX) for name in COMPLETION_LIMITS]
    # Which of several the upstream will obey is not known here: the larger is the bound.
    return (
        max((limit for limit in given if limit is not None), default=0)
        or window.max_completion_tokens
        or window.context_length
        or COMPLETION_TOKENS_DEFAULT
    )


def choices_of(document: Mapping[str, object]) -> int:
    """Answers to each prompt; those that `best_of` throws away are paid for too."""
    return max(whole_number(document, name, CHOICES_MAX) or 1 for name in ("n", "best_of"))


def prompts_in(document: Mapping[str, object]) -> int:
    """Prompts in one body: legacy completions and embeddings take a list of them."""
    for name in ("prompt", "input"):
        value = document.get(name)
        if isinstance(value, list) and all(isinstance(each, (str, list)) for each in value):
            return max(1, len(value))
    return 1


def part_types(document: Mapping[str, object]) -> Iterator[object]:
    """Yield the type of every message, item and part of them, chat or Responses.

    What a tool of the client has put out may hold pictures and files, too.
    """
    for name in ("messages", "input"):
        for message in mappings(document.get(name)):
            yield from _type_of(message)
            for part in (*mappings(message.get("content")), *mappings(message.get("output"))):
                yield from _type_of(part)
                # Anthropic's tools put out parts inside of a part.
                for inner in mappings(part.get("content")):
                    yield from _type_of(inner)


def mappings(value: object) -> Iterator[Mapping[str, object]]:
    """Yield the objects in a list, or the one that stands in its place."""
    if value is None or isinstance(value, str):
        # Nearly all of what is asked for is not there, or is a text.
        return
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, Mapping):
            yield each


def _type_of(part: Mapping[str, object]) -> Iterator[str]:
    kind = part.get("type")
    if isinstance(kind, str):
        # A picture of a screen is a picture.
        yield "input_image" if kind == "computer_screenshot" else kind


def is_opaque(document: Mapping[str, object]) -> bool:
    """Tell whether a request has the model read what does not stand in it.

    What was said before, a prompt that is kept at the upstream, what a search finds.
    """
    return (
        _any_given(document, OPAQUE_MEMBERS)
        or isinstance(document.get("prompt"), Mapping)
        or _tool(document, SEARCHES) is not None
        or _tool(document, FETCHES) is not None
    )


def _tool(document: Mapping[str, object], kind: str) -> Mapping[str, object] | None:
    for tool in mappings(document.get("tools")):
        if str(tool.get("type")).startswith(kind):
            return tool
    return None


def _uses(document: Mapping[str, object], kind: str) -> int:
    """Count how often the tool `kind` may be used, 0 if there is none."""
    tool = _tool(document, kind)
    if tool is None:
        return 0
    calls = whole_number(document, "max_tool_calls", TOKENS_MAX) or WEB_SEARCHES_MAX
    return min(calls, whole_number(tool, "max_uses", WEB_SEARCHES_MAX) or WEB_SEARCHES_MAX)


def searches_of(document: Mapping[str, object]) -> int:
    """Count the searches a request invites: one by option or plugin, several by tool."""
    searches = _uses(document, SEARCHES)
    return searches or int(_any_given(document, (SEARCH_OPTION, "plugins")))


def searches_ordered(document: Mapping[str, object]) -> int:
    """Count the searches that are made whatever the model thinks: one by option or plugin.

    Upstreams that make them do not say so in their usage.
    """
    plugins = mappings(document.get("plugins"))
    by_plugin = any(plugin.get("id") == WEB_PLUGIN for plugin in plugins)
    return int(by_plugin or _any_given(document, (SEARCH_OPTION,)))


def turns_of(document: Mapping[str, object]) -> int:
    """How often the prompt may be read: again after each use of a tool of the upstream."""
    return 1 + _uses(document, SEARCHES) + _uses(document, FETCHES)


def unseen_tokens_max(document: Mapping[str, object]) -> int:
    """Return how many tokens a model may read beside those that the request itself is.

    Raw prompts are read as they are.
    """
    if document.get("messages") is None and document.get("input") is None:
        return 0
    tools = [*mappings(document.get("tools")), *mappings(document.get("functions"))]
    theirs = sum(tool.get("type", OWN_TOOLS[0]) not in OWN_TOOLS for tool in tools)
    return (
        TEMPLATE_TOKENS_MAX
        + (TOOLS_TOKENS_MAX if tools else 0)
        + THEIR_TOOL_TOKENS_MAX * theirs
    )


def is_spoken(document: Mapping[str, object]) -> bool:
    """Tell whether a chat asks to be answered by a voice."""
    modalities = document.get("modalities")
    return isinstance(modalities, list) and "audio" in modalities


def image_size_of(document: Mapping[str, object]) -> str:
    """Return the quality and the size of the images asked for, as price lists name them.

    >>> image_size_of({"size": "1024x1024", "quality": "hd"}), image_size_of({"size": "auto"})
    ('hd 1024x1024', '')
    """
    words = [str(document.get(name) or "") for name in ("quality", "size")]
    return " ".join(word for word in words if SIZE.fullmatch(word) and word != "auto")


def _any_given(document: Mapping[str, object], names: tuple[str, ...]) -> bool:
    return any(document.get(name) is not None for name in names)
