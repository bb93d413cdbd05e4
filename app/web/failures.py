"""Failures of the upstream, told so that nobody mistakes them for ours or for our client's."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from app.cashier.attempt import NOT_THERE, is_of_the_address
from app.gateways.operator import without_operator
from app.web.bodies import json_object
from app.web.errors import UPSTREAM
from app.web.problems import problem
from app.web.refusals import InvalidJsonError
from app.web.visit import current_visit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Response

MESSAGE_CHARACTERS_MAX = 2000
RETRY_AFTER_S = 5

# What the upstream thinks of the house's own key and money. Clients take these statuses for
# a word on theirs: some throw a token away at 401.
OUR_OWN_STATUSES = frozenset({401, 402, 403, 407})
OUR_OWN_CODES = frozenset(
    {
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_balance",
        "insufficient_quota",
        "invalid_api_key",
        "missing_api_key",
    }
)
KEPT_HEADERS = ("retry-after", "retry-after-ms")


def upstream_failure(status: int, headers: Mapping[str, str], body: bytes) -> Response:
    """Return what a client is told of an upstream's error; nothing was charged for it.

    Its own words go through where they are about the request, without names of the
    operator's organization.
    """
    error = _error_of(body)
    kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
    if _is_about_us(status, error):
        return problem(
            HTTPStatus.BAD_GATEWAY,
            message="The upstream did not serve this house. Nothing was charged.",
            type_=UPSTREAM,
            code="upstream_refused",
        )
    if status in NOT_THERE and is_of_the_address(error):
        path = current_visit().path
        return problem(
            status,
            message=f"The upstream of this model does not offer {path}; nothing was"
            " charged. Try /v1/chat/completions.",
            type_=UPSTREAM,
            code="not_offered_by_upstream",
        )
    code = _text(error, "code") or "upstream_error"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        code = "UPSTREAM_RATE_LIMIT"
        kept.setdefault("retry-after", str(RETRY_AFTER_S))
    return problem(
        status,
        message=_text(error, "message") or f"The upstream answered with status {status}.",
        type_=_text(error, "type") or UPSTREAM,
        code=code,
        param=_text(error, "param"),
        headers=kept,
    )


def _error_of(body: bytes) -> Mapping[str, object]:
    try:
        error = json_object(body).get("error")
    except InvalidJsonError:
        return {}
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _is_about_us(status: int, error: Mapping[str, object]) -> bool:
    return (
        status < HTTPStatus.BAD_REQUEST
        or status in OUR_OWN_STATUSES
        or error.get("code") in OUR_OWN_CODES
        or error.get("type") in OUR_OWN_CODES
    )


def _text(error: Mapping[str, object], name: str) -> str | None:
    value = error.get(name)
    if not isinstance(value, str) or not value:
        return None
    return without_operator(value[:MESSAGE_CHARACTERS_MAX])
