"""The description of all endpoints: `/openapi.json` for programs, `/docs` for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from flask import Blueprint, Response, render_template

from app.web.bodies import JSON_TYPE
from app.web.info import policy
from app.web.openapi import books, sold, wallet
from app.web.openapi.words import ANYTHING, MSAT, TEXT, TOKEN, maybe, one_of, record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from app.web.info import About
    from app.web.openapi.words import Operation, Schema

OPERATIONS: tuple[Operation, ...] = (
    *books.OPERATIONS,
    *wallet.OPERATIONS,
    *sold.OPERATIONS,
)
FAULT = record(
    {"charged_msat": MSAT, "refund_token": TOKEN},
    message=TEXT,
    type=TEXT,
    code=TEXT,
    param=maybe(TEXT),
)
SCHEMAS: Mapping[str, Schema] = {
    "Model": sold.MODEL,
    "Error": record(error=FAULT, detail=ANYTHING, request_id=TEXT),
    "AnthropicError": record(
        {"request_id": TEXT}, type=one_of("error"), error=record(type=TEXT, message=TEXT)
    ),
}
WAYS: Mapping[str, Schema] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (sk-…), or a Cashu token, which is its own account's key",
    },
    "anthropic": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same key, as Anthropic's clients send it",
    },
    "ticket": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Cashu",
        "description": "A Cashu token that pays for this request; its change comes back",
    },
}
ERROR = {"description": "What went wrong; nothing was charged unless it says so"}


def document(about: About) -> dict[str, Any]:
    """Return the description (OpenAPI 3.1.1)."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        for place, path in enumerate((operation.path, *operation.aliases)):
            paths.setdefault(path, {})[operation.method] = _told(operation, place)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": about.name,
            "description": about.description,
            "version": about.version,
            "license": {"name": "GPL-3.0-only", "identifier": "GPL-3.0-only"},
        },
        "servers": [{"url": about.http_url or "/"}],
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": WAYS},
    }


def _told(operation: Operation, place: int) -> dict[str, Any]:
    """Return the operation, under its own name or that of its alias number `place`."""
    answers: dict[str, Any] = {
        str(status): {"description": "As described", "content": _schemas(content)}
        for status, content in operation.answers.items()
    }
    answers["default"] = {**ERROR, "content": _schemas(operation.error)}
    told: dict[str, Any] = {
        "operationId": operation.name + (f"Alias{place}" if place else ""),
        "summary": operation.says,
        "tags": [operation.tag],
        "responses": answers,
        "security": list(operation.security),
    }
    if operation.parameters:
        told["parameters"] = list(operation.parameters)
    if operation.body is not None:
        told["requestBody"] = {"content": _schemas(operation.body)}
    return told


def _schemas(content: Mapping[str, Schema]) -> dict[str, Any]:
    return {kind: {"schema": schema} for kind, schema in content.items()}


def by_tag() -> Iterator[tuple[str, list[Operation]]]:
    """Yield the subjects, each with its operations."""
    tags = dict.fromkeys(operation.tag for operation in OPERATIONS)
    for tag in tags:
        yield tag, [operation for operation in OPERATIONS if operation.tag == tag]


def blueprint(about: About) -> Blueprint:
    """Return the routes; the page runs no script and loads nothing."""
    routes = Blueprint("openapi", __name__)
    described = msgspec.json.encode(document(about))

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return Response(described, content_type=JSON_TYPE)

    @routes.get("/docs")
    def docs() -> Response:
        page = render_template("docs.html", about=about, tags=by_tag(), ways=WAYS.items())
        headers = {"Content-Security-Policy": policy(render_template("landing.css"))}
        return Response(page, headers=headers, content_type="text/html; charset=utf-8")

    return routes
