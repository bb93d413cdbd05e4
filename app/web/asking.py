"""What the current request asks of a model, checked before anybody is asked for money."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from app.cashier.paths import MESSAGES, MODERATIONS, PATHS, RESPONSES, SPEECH
from app.web.bodies import json_object
from app.web.forms import document_of, read_form
from app.web.refusals import InvalidParameterError
from app.web.visit import current_visit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.cashier.form import Form
    from app.web.bodies import Bodies

MODEL_CHARACTERS_MAX = 200
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,200}")
# Clients leave a model out where the API has one of its own.
OWN_MODELS = {MODERATIONS: "omni-moderation-latest"}
# Tools that the client runs itself, or that have a price here: each by how its type begins.
# Anthropic numbers them by date, and gives none to those that are the client's own.
TOOLS = {
    RESPONSES: (
        "apply_patch",
        "computer_use_preview",
        "custom",
        "function",
        "local_shell",
        "web_search",
    ),
    MESSAGES: (
        "bash_",
        "computer_",
        "custom",
        "memory_",
        "text_editor_",
        "tool_search_tool_",
        "web_fetch_",
        "web_search_",
    ),
}
OWN_TOOL = {MESSAGES: "custom"}
# What has work done that costs more than is told, or done by others whom nobody bounds.
NOT_COUNTED = {RESPONSES: ("background",), MESSAGES: ("mcp_servers",)}
# Who names other models beside it could be served by a dearer one.
OTHER_MODELS = ("fallbacks", "models")
# Who asks to be served sooner, or elsewhere, pays another price than the listed one.
DEARER = {
    "inference_geo": frozenset({"us"}),
    "service_tier": frozenset({"priority"}),
    "speed": frozenset({"fast"}),
}

# Names that a request is priced by. Some upstreams take `Model` for `model`: a second
# spelling would have another model served than the one that is paid for.
PRICED = frozenset(
    {
        "background",
        "best_of",
        "container",
        "conversation",
        "fallbacks",
        "file",
        "image",
        "inference_geo",
        "input",
        "mask",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "max_tool_calls",
        "mcp_servers",
        "messages",
        "model",
        "models",
        "n",
        "plugins",
        "previous_response_id",
        "prompt",
        "quality",
        "service_tier",
        "size",
        "speed",
        "stream",
        "stream_options",
        "tools",
        "web_search_options",
    }
)


def request_name() -> str | None:
    """Return what its client has named the current request, so that a retry is known.

    Raises `InvalidParameterError` for an `Idempotency-Key` that is not 1 to 200 visible
    ASCII characters.
    """
    key = current_visit().header("idempotency-key")
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidParameterError(
            "Idempotency-Key", "must be 1 to 200 visible ASCII characters"
        )
    return key


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a model: what it says, and what of it goes to the upstream."""

    document: dict[str, Any]
    body: bytes
    form: Form | None = None

    @property
    def files_bytes(self) -> int:
        return 0 if self.form is None else self.form.files_bytes

    @property
    def prompt_bytes(self) -> int:
        """How many bytes of text a model has to read at most."""
        return len(self.body) - self.files_bytes


def asked(path: str, bodies: Bodies) -> Asked:
    """Return what the current request asks of a model; raises a `DoorError`."""
    body, files = bodies.read(), PATHS[path].files
    if not files:
        document = read(path, json_object(body))
        return Asked(document, as_priced(document))
    form = read_form(body, current_visit().header("content-type") or "")
    document = read(path, document_of(form))
    if not any(_is_file(document.get(name)) for name in files):
        raise InvalidParameterError(files[0], "must be a file")
    return Asked(document, form.written(), form)


def _is_file(value: object) -> bool:
    found = value[0] if isinstance(value, list) and value else value
    return isinstance(found, dict)


def read(path: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return a request for a model that can be priced; raises a `DoorError`."""
    if path in OWN_MODELS and document.get("model") is None:
        document["model"] = OWN_MODELS[path]
    check(document)
    check_offered(path, document)
    current_visit().model = document["model"]
    return document


def as_priced(document: Mapping[str, Any]) -> bytes:
    """Write a request anew, so that the upstream reads what was priced.

    Of a name that is given twice, another parser might take the other value.
    """
    return msgspec.json.encode(document)


def check(document: Mapping[str, Any]) -> None:
    """Raise `InvalidParameterError` for what cannot be priced or answered."""
    for name in document:
        if name not in PRICED and name.casefold() in PRICED:
            raise InvalidParameterError(name[:100], f"must be spelled {name.casefold()}")
    model = document.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= MODEL_CHARACTERS_MAX:
        raise InvalidParameterError("model", "must be the id of a model")
    if not isinstance(document.get("stream"), bool | None):
        raise InvalidParameterError("stream", "must be true or false")


def check_offered(path: str, document: Mapping[str, Any]) -> None:
    """Raise `InvalidParameterError` for what would cost what nobody here can count."""
    if document.get("stream") and not PATHS[path].streams:
        raise InvalidParameterError("stream", "is not offered here")
    for name, values in DEARER.items():
        value = document.get(name)
        if isinstance(value, str) and value in values:
            raise InvalidParameterError(name, f"'{value}' is not offered here")
    if path == SPEECH and not isinstance(document.get("input"), str):
        raise InvalidParameterError("input", "must be a text")
    for name in (*OTHER_MODELS, *NOT_COUNTED.get(path, ())):
        if document.get(name):
            raise InvalidParameterError(name, "is not offered here")
    tools = document.get("tools") if path in TOOLS else None
    for tool in tools if isinstance(tools, list) else ():
        kind = tool.get("type", OWN_TOOL.get(path)) if isinstance(tool, dict) else None
        if not isinstance(kind, str) or not kind.startswith(TOOLS[path]):
            raise InvalidParameterError("tools", "of this type are not offered here")
