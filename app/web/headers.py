"""Headers that every answer carries: the request's id, and what browsers ask for."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask, Response, request

from app.web.visit import current_visit

if TYPE_CHECKING:
    from app.web.plain import A

EXPOSED = ", ".join(
    (
        "x-request-id",
        "x-routstr-request-id",
        "x-cashu",
        "x-cashu-change",
        "x-routstr-cost-msats",
        "x-routstr-cost-usd",
        "x-routstr-input-cost-msats",
        "x-routstr-output-cost-msats",
        "x-routstr-provider",
        "Ehbp-Response-Nonce",
        "Ehbp-Encapsulated-Key",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        "link",
        *(
            f"x-ratelimit-{what}-{of}"
            for what in ("limit", "remaining", "reset")
            for of in ("requests", "tokens")
        ),
    )
)
"""What a browser lets its scripts read: without this list a web client loses its change."""

METHODS = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
PREFLIGHT_AGE_S = 7200
NAMES = re.compile(r"[A-Za-z0-9_, -]{1,2000}")
# The auditor's view is used with a cookie, and is nobody else's business.
SAME_ORIGIN_ONLY = ("/admin",)


def attach(app: Flask) -> None:
    """Let `app` answer preflights, and mark and write down every answer."""
    app.before_request(answer_preflight)
    app.after_request(mark)


def answer_preflight() -> Response | None:
    """Allow what a browser asks whether it may do (Fetch standard), on every path.

    Every origin is welcome, for nothing here is done on the strength of a cookie. Headers
    are named back one by one: `*` would not stand for Authorization.
    """
    current_visit()
    if request.method != "OPTIONS":
        return None
    answer = Response(status=HTTPStatus.NO_CONTENT)
    if _is_open():
        wanted = request.headers.get("Access-Control-Request-Headers", "")
        answer.headers["Access-Control-Allow-Methods"] = METHODS
        if NAMES.fullmatch(wanted):
            answer.headers["Access-Control-Allow-Headers"] = wanted
        answer.headers["Access-Control-Max-Age"] = str(PREFLIGHT_AGE_S)
        answer.headers["Vary"] = "Access-Control-Request-Headers"
    return answer


def mark(answer: A) -> A:
    """Put the request's id on `answer`, and write it down unless it goes on as a stream."""
    visit = current_visit()
    request_id = str(visit.request_id)
    headers = answer.headers
    headers["x-request-id"] = request_id
    headers["x-routstr-request-id"] = request_id
    headers["x-content-type-options"] = "nosniff"
    if _is_open():
        headers["access-control-allow-origin"] = "*"
        headers["access-control-expose-headers"] = EXPOSED
    if not visit.ends_later:
        visit.write_down(answer.status_code)
    return answer


def _is_open() -> bool:
    return not current_visit().path.startswith(SAME_ORIGIN_ONLY)
