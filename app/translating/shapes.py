"""What of a request is translated: its shape in both APIs, and nothing beyond it.

The library says nothing of some of what it leaves out (tools that it does not know, for
one). So whatever does not stand here is refused by its name. What is `Harmless` may be given
and is left out: it asks for nothing that the answer would show.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from msgspec import Meta, Struct

Harmless: TypeAlias = Any


class Shape(Struct, forbid_unknown_fields=True):
    """An object with these members and no others."""


class Text(Shape, tag="text"):
    text: str
    cache_control: Harmless = None
    citations: Harmless = None


class Bytes(Shape, tag="base64"):
    media_type: str
    data: str


class Address(Shape, tag="url"):
    url: str


class Image(Shape, tag="image"):
    source: Bytes | Address
    cache_control: Harmless = None


class ToolUse(Shape, tag="tool_use"):
    id: str
    name: str
    input: dict[str, Any]
    cache_control: Harmless = None
    caller: Harmless = None


class ToolResult(Shape, tag="tool_result"):
    """What a tool has put out; that it failed is told by its text alone."""

    tool_use_id: str
    content: str | list[Text] | None = None
    is_error: Harmless = None
    cache_control: Harmless = None


class Message(Shape):
    role: Literal["user", "assistant"]
    content: str | list[Text | Image | ToolUse | ToolResult]


class OwnTool(Shape):
    """A tool that the client runs itself."""

    name: Annotated[str, Meta(min_length=1)]
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: Harmless = None


class Choice(Shape):
    type: Literal["auto", "any", "none", "tool"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class NoThinking(Shape):
    type: Literal["disabled"]
    budget_tokens: Harmless = None
    display: Harmless = None


class Messages(Shape):
    """A request of Anthropic's API."""

    harmless: ClassVar = frozenset({"cache_control", "metadata", "service_tier", "thinking"})

    model: str
    max_tokens: int
    messages: Annotated[list[Message], Meta(min_length=1)]
    system: str | list[Text] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    tools: list[OwnTool] | None = None
    tool_choice: Choice | None = None
    thinking: NoThinking | None = None
    metadata: Harmless = None
    service_tier: Harmless = None
    cache_control: Harmless = None


class InputText(Shape, tag="input_text"):
    text: str


class InputImage(Shape, tag="input_image"):
    image_url: str
    detail: Literal["low", "high", "auto"] | None = None
    file_id: None = None


class OutputText(Shape, tag="output_text"):
    text: str
    annotations: Harmless = None
    logprobs: Harmless = None


class Said(Shape, tag="message"):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputText | InputImage | OutputText]
    id: Harmless = None
    status: Harmless = None


class Call(Shape, tag="function_call"):
    call_id: str
    name: str
    arguments: str
    id: Harmless = None
    status: Harmless = None


class CallOutput(Shape, tag="function_call_output"):
    call_id: str
    output: str | list[InputText]
    id: Harmless = None
    status: Harmless = None


class Function(Shape):
    type: Literal["function"]
    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Chosen(Shape):
    type: Literal["function"]
    name: str


class Reasoning(Shape):
    """How long to think; of the thoughts a chat tells nothing, summed up or not."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    summary: Harmless = None
    generate_summary: Harmless = None


class Plain(Shape, tag="text"):
    pass


class AnyJson(Shape, tag="json_object"):
    pass


class OneJson(Shape, tag="json_schema"):
    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class Wording(Shape):
    format: Plain | AnyJson | OneJson | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Responses(Shape):
    """A request of the Responses API."""

    harmless: ClassVar = frozenset(
        {
            "background",
            "include",
            "max_tool_calls",
            "metadata",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            "store",
            "stream_options",
            "truncation",
            "user",
        }
    )

    model: str
    input: str | Annotated[list[Said | Call | CallOutput], Meta(min_length=1)]
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    tools: list[Function] | None = None
    tool_choice: Literal["auto", "none", "required"] | Chosen | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: Wording | None = None
    background: Literal[False] | None = None
    include: list[Literal["reasoning.encrypted_content"]] | None = None
    max_tool_calls: Harmless = None
    metadata: Harmless = None
    prompt_cache_key: Harmless = None
    prompt_cache_retention: Harmless = None
    safety_identifier: Harmless = None
    service_tier: Harmless = None
    store: Harmless = None
    stream_options: Harmless = None
    truncation: Harmless = None
    user: Harmless = None
