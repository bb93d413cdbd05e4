"""The other tongue: errors as clients of Anthropic's Messages API read them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from app.cashier.paths import MESSAGES
from app.web.visit import current_visit

TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.PAYMENT_REQUIRED: "billing_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "overloaded_error",
    HTTPStatus.GATEWAY_TIMEOUT: "timeout_error",
}
KNOWN = frozenset(TYPES.values())


def as_asked(document: dict[str, Any], status: int) -> dict[str, Any]:
    """Return an error's `document` in the shape that clients of the current path read.

    In Anthropic's, `error.type` is one of its own. What Routstr's clients go by stays:
    `error.code`, and the type of it under `detail`.
    """
    if not current_visit().path.removeprefix("/v1").startswith(MESSAGES):
        return document
    error = document["error"]
    kind = error["type"] if error["type"] in KNOWN else type_of(status)
    return {"type": "error", **document, "error": {**error, "type": kind}}


def type_of(status: int) -> str:
    """Return what Anthropic calls an error of this status.

    >>> type_of(402), type_of(409), type_of(529)
    ('billing_error', 'invalid_request_error', 'overloaded_error')
    """
    if status in TYPES:
        return TYPES[HTTPStatus(status)]
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return "invalid_request_error"
    return "overloaded_error" if status == OVERLOADED else "api_error"


OVERLOADED = 529
"""What Anthropic answers when it has too much to do; no standard knows it."""
