"""What is sold: the paths of the API, which are passed on, and the models."""

from __future__ import annotations

from app.cashier.paths import MESSAGES, PATHS
from app.web.openapi.words import (
    ANTHROPIC,
    ANYTHING,
    BEARER,
    COUNT,
    NUMBER,
    TEXT,
    TICKET,
    YES_OR_NO,
    Content,
    Operation,
    Schema,
    in_header,
    in_path,
    json,
    many,
    maybe,
    one_of,
    record,
    ref,
)

# A number, or one for each size of an image.
PRICE: Schema = {"anyOf": [NUMBER, {"type": "object", "additionalProperties": NUMBER}]}
MODEL = record(
    {
        "name": TEXT,
        "description": TEXT,
        "context_length": maybe(COUNT),
        "per_request_limits": ANYTHING,
        "architecture": ANYTHING,
    },
    id=TEXT,
    object=one_of("model"),
    created=COUNT,
    owned_by=TEXT,
    pricing={"type": "object", "additionalProperties": PRICE},
    sats_pricing={"type": "object", "additionalProperties": NUMBER},
    min_cost_per_request=COUNT,
)
MODELS = record(object=one_of("list"), data=many(ref("Model")))
ANSWER: Schema = {"type": "object", "description": "as the upstream answers, with its cost"}
EVENTS: Schema = {"type": "string", "description": "server-sent events, as of the upstream"}
NAME = in_header(
    "Idempotency-Key",
    "names the request, so that it is charged once however often it is sent",
    {"type": "string", "pattern": "^[!-~]{1,200}$"},
)


def _asked(path: str) -> Content:
    """Return what is looked at of a body here; the rest is the upstream's to judge."""
    streams, files = PATHS[path].streams, PATHS[path].files
    model: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
    if files:
        form = record({files[0]: {"type": "string", "format": "binary"}}, model=model)
        return {"multipart/form-data": form}
    return json(record({"stream": maybe(YES_OR_NO)} if streams else {}, model=model))


def _sold(path: str) -> Operation:
    answer = json(ANSWER)
    if path.startswith("/audio"):
        answer["*/*"] = {"description": "a voice, or words as text or subtitles"}
    if PATHS[path].streams:
        answer["text/event-stream"] = EVENTS
    words = path.strip("/").replace("_", "/").split("/")
    return Operation(
        name="create" + "".join(word.capitalize() for word in words),
        method="post",
        path=f"/v1{path}",
        aliases=(path,),
        says=f"Sold request by request: {path} of the upstream's API",
        tag="sold",
        answers={200: answer},
        parameters=(NAME,),
        body=_asked(path),
        security=(BEARER, TICKET, *((ANTHROPIC,) if path.startswith(MESSAGES) else ())),
        error=json({"anyOf": [ref("Error"), ref("AnthropicError")]})
        if path.startswith(MESSAGES)
        else json(ref("Error")),
    )


OPERATIONS = (
    *(_sold(path) for path in PATHS),
    Operation(
        name="listModels",
        method="get",
        path="/v1/models",
        aliases=("/models",),
        says="The models that are sold, with their prices in USD and in sat",
        tag="sold",
        answers={200: json(MODELS)},
    ),
    Operation(
        name="getModel",
        method="get",
        path="/v1/models/{name}",
        aliases=("/models/{name}",),
        says="One of them; its name may have slashes",
        tag="sold",
        answers={200: json(ref("Model"))},
        parameters=(in_path("name", TEXT),),
    ),
)
