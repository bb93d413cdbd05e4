"""How an error is told: in both envelopes to the client, and to operators if it is ours."""

from __future__ import annotations

import logging
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException

from app.cashier.errors import TokenTooSmallError
from app.translating.errors import UntranslatableError
from app.web.bodies import as_json
from app.web.dialect import as_asked
from app.web.errors import HTTP, INTERNAL, REQUEST, TABLE, Rule, retry_after
from app.web.refusals import DoorError
from app.web.visit import current_visit
from domain.errors import (
    InvalidBoundError,
    RequestChangedError,
    RequestRepeatedError,
    UnknownModelError,
)
from domain.hold import Charged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Response

logger = logging.getLogger(__name__)


def rule_of(error: Exception) -> Rule:
    """Return how `error` is told; what nobody foresaw is our fault."""
    if isinstance(error, HTTPException):
        return _rule_of_http(error)
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return INTERNAL


def answer(error: Exception) -> Response:
    """Return the answer for `error`, in both envelopes, and tell operators if it is ours."""
    rule = rule_of(error)
    _tell_operators(error, rule)
    own = error.headers if isinstance(error, DoorError) else _headers_of(error)
    headers = {**rule.headers, **own}
    return problem(
        rule.status,
        message=rule.message or str(error),
        type_=rule.type,
        code=rule.code,
        param=_param(error),
        headers=headers,
        detail=_detail(error, rule),
        more=_more(error),
    )


def problem(
    status: int,
    *,
    message: str,
    type_: str,
    code: str,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
    detail: Callable[[str], object] | None = None,
    more: Mapping[str, object] | None = None,
) -> Response:
    """Return an error as the path's clients read it, and beside it as Routstr's do."""
    shown = {"message": message, "type": type_, "param": param, "code": code, **(more or {})}
    document = {
        "error": shown,
        "detail": {"error": shown} if detail is None else detail(message),
        "request_id": str(current_visit().request_id),
    }
    return as_json(as_asked(document, status), status, headers)


def _detail(error: Exception, rule: Rule) -> Callable[[str], object] | None:
    """Return what makes the text beside the error object, or None to repeat the object."""
    if not isinstance(error, TokenTooSmallError):
        return rule.detail
    told = {
        "reason": "Insufficient balance",
        "amount_required_msat": error.required_msat,
        "model": error.model,
        "type": rule.type,
    }
    return lambda _: told


def _more(error: Exception) -> Mapping[str, object]:
    """Return what a request that must not be repeated has cost its account."""
    if not isinstance(error, RequestRepeatedError):
        return {}
    if isinstance(error.end, Charged):
        return {"charged_msat": error.end.cost_msat - error.end.shortfall_msat}
    return {"charged_msat": 0}


def _param(error: Exception) -> str | None:
    """Name what in the request is at fault, where one thing is."""
    if isinstance(error, DoorError):
        return error.param
    if isinstance(error, InvalidBoundError | UntranslatableError):
        return error.field
    if isinstance(error, RequestChangedError):
        return "Idempotency-Key"
    return "model" if isinstance(error, UnknownModelError) else None


def _rule_of_http(error: HTTPException) -> Rule:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if status in HTTP:
        return HTTP[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return INTERNAL
    code = error.name.lower().replace(" ", "_")
    return Rule(status=status, type=REQUEST, code=code, message=f"{error.name}.")


def _headers_of(error: Exception) -> dict[str, str]:
    """Say when to come back, where that is known better than the table does."""
    pause_s = getattr(error, "retry_after_s", None)
    return _headers_of_http(error) if pause_s is None else retry_after(max(1, ceil(pause_s)))


def _headers_of_http(error: Exception) -> dict[str, str]:
    """Keep what HTTP demands beside 405: the methods that would have been taken."""
    methods = getattr(error, "valid_methods", None)
    return {"Allow": ", ".join(sorted(methods))} if methods else {}


def _tell_operators(error: Exception, rule: Rule) -> None:
    fields = {"request_id": str(current_visit().request_id), "error": type(error).__name__}
    if rule.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("unhandled error", extra={"fields": fields}, exc_info=error)
    elif rule.status > HTTPStatus.INTERNAL_SERVER_ERROR:
        reason = {"reason": str(error), "cause": str(error.__cause__ or "")}
        logger.warning("request failed", extra={"fields": {**fields, **reason}})
