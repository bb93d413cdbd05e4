"""What clients are told by the server itself, where no application has heard of them.

It is loaded before gevent has patched the standard library, so that it cannot be a part of
`app.web.errors`, which knows sockets. What can be told there is told there.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import uuid4

from gunicorn.http import errors as http

from app.web.refusals import CrowdedError, HeadLateError, HeadTooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """How a fault of a request is told: `message` is ours, and repeats nothing of theirs."""

    status: HTTPStatus
    code: str
    message: str
    type: str = "invalid_request_error"
    retry_after_s: int | None = None


MALFORMED = Fault(
    HTTPStatus.BAD_REQUEST, "malformed_request", "The request is not well-formed HTTP/1.1."
)
AMBIGUOUS = Fault(
    HTTPStatus.BAD_REQUEST,
    "ambiguous_request",
    "The request's header fields are malformed, or contradict one another.",
)
TOO_LARGE = Fault(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "headers_too_large",
    "The request's header fields are too large or too many.",
)
INTERNAL = Fault(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal_error",
    "Internal server error, please contact support with the request ID.",
    type="api_error",
)
FAULTS: Mapping[type[Exception], Fault] = {
    http.ParseException: MALFORMED,
    http.InvalidHeader: AMBIGUOUS,
    http.InvalidHeaderName: AMBIGUOUS,
    http.ObsoleteFolding: AMBIGUOUS,
    http.LimitRequestHeaders: TOO_LARGE,
    http.LimitRequestLine: Fault(
        HTTPStatus.REQUEST_URI_TOO_LONG, "uri_too_long", "The request's address is too long."
    ),
    http.UnsupportedTransferCoding: Fault(
        HTTPStatus.NOT_IMPLEMENTED,
        "transfer_coding_unknown",
        "Of the transfer codings only 'chunked' is known here.",
    ),
    http.ExpectationFailed: Fault(
        HTTPStatus.EXPECTATION_FAILED,
        "expectation_failed",
        "Nothing but '100-continue' can be expected here.",
    ),
    http.ForbiddenProxyRequest: Fault(
        HTTPStatus.FORBIDDEN, "proxy_refused", "No proxy protocol is spoken here."
    ),
    # What we answer with is at fault, not what was asked.
    http.InvalidResponseHeader: INTERNAL,
    http.InvalidResponseHeaderName: INTERNAL,
    http.ConfigurationProblem: INTERNAL,
    HeadLateError: Fault(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", str(HeadLateError())),
    HeadTooLargeError: TOO_LARGE,
    CrowdedError: Fault(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "overloaded",
        str(CrowdedError()),
        type="api_error",
        retry_after_s=RETRY_AFTER_S,
    ),
}


def fault_of(error: BaseException) -> Fault:
    """Return how `error` is told; what nobody foresaw is our fault."""
    return next((FAULTS[kind] for kind in type(error).__mro__ if kind in FAULTS), INTERNAL)


def told(error: BaseException) -> bytes:
    """Return the whole answer to a request that ends with `error`, and write it down.

    The error itself may carry a header field of the request, and with it a credential.
    """
    fault = fault_of(error)
    request_id = str(uuid4())
    fields = {"request_id": request_id, "error": type(error).__name__, "status": fault.status}
    if fault is INTERNAL:
        logger.error("unhandled error", extra={"fields": fields}, exc_info=error)
    else:
        logger.info("request refused", extra={"fields": fields})
    return _written(fault, request_id)


def crowded(*, is_last: bool) -> bytes:
    """Return the whole answer of a worker that has no room; whoever sends it counts them."""
    answer = CROWDED_LAST if is_last else CROWDED
    return answer.replace(NO_ID, str(uuid4()).encode())


def _written(fault: Fault, request_id: str) -> bytes:
    shown = {"message": fault.message, "type": fault.type, "param": None, "code": fault.code}
    document = {"error": shown, "detail": {"error": shown}, "request_id": request_id}
    body = json.dumps(document, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "x-request-id": request_id,
        "x-routstr-request-id": request_id,
        "X-Content-Type-Options": "nosniff",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "x-request-id, x-routstr-request-id, retry-after",
    }
    if fault.retry_after_s is not None:
        headers["Retry-After"] = str(fault.retry_after_s)
    lines = [f"HTTP/1.1 {fault.status.value} {fault.status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode() + body


NO_ID = bytes(36).replace(b"\0", b"-")
"""Stands where the id of a request will: as long as one, and nothing else in the answer."""

CROWDED_LAST = _written(FAULTS[CrowdedError], NO_ID.decode())
CROWDED = CROWDED_LAST.replace(b"Connection: close", b"Connection: keep-alive")
