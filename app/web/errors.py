"""The one table of what a client is told for each error, and how it is told."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from eventsourcing.persistence import PersistenceError
from werkzeug.exceptions import HTTPException

from app.cashier import errors as cashier
from app.gateways import errors as gateways
from app.gateways import exchange, upstream
from app.gateways.mint import errors as mint
from app.gateways.mint.mints import UntrustedMintError
from app.store import errors as store
from app.web import refusals as door
from app.web.bodies import as_json
from app.web.visit import current_visit
from domain import errors as ledger
from domain.command import AskTheLogError
from domain.hold import Charged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Response

logger = logging.getLogger(__name__)

REQUEST, API, UPSTREAM = "invalid_request_error", "api_error", "upstream_error"
DO_NOT_RETRY = {"x-should-retry": "false"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How an error is told: `message` in place of its own if that is not for clients.

    `detail`, for errors that existing clients know by their words, makes the text beside
    the error object from the message; without it the object is repeated there.
    """

    status: int
    type: str
    code: str
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str | None = None
    detail: Callable[[str], str] | None = None


def retry_after(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}


def without_full_stop(message: str) -> str:
    return message.removesuffix(".")


INTERNAL = Rule(
    status=500,
    type=API,
    code="internal_error",
    message="Internal server error, please contact support with the request ID.",
    detail=str,
)
STORE_DOWN = Rule(
    status=503,
    type=API,
    code="store_unavailable",
    message="The ledger cannot be written to just now. Nothing was charged; try again.",
    headers=retry_after(2),
)
BAD_TOKEN = Rule(status=400, type="invalid_token", code="invalid_cashu_token")
SPENT_TOKEN = Rule(
    status=400, type="token_already_spent", code="cashu_token_already_spent", detail=str
)
MINT_DOWN = Rule(
    status=503,
    type="mint_unreachable",
    code="cashu_mint_unreachable",
    headers=retry_after(5),
    message="The mint cannot be reached just now; nothing is lost, try again.",
)
UPSTREAM_DOWN = Rule(status=502, type=UPSTREAM, code="upstream_request_failed")
BAD_KEY = Rule(
    status=401, type=REQUEST, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"}
)
NO_KEY = Rule(
    status=401, type=REQUEST, code="missing_api_key", headers={"WWW-Authenticate": "Bearer"}
)
BAD_REQUEST = Rule(status=400, type=REQUEST, code="invalid_value")
TOO_LARGE = Rule(status=413, type=REQUEST, code="request_too_large")
NOT_FOUND = Rule(status=404, type=REQUEST, code="not_found", detail=str)

DOOR: Mapping[type[Exception], Rule] = {
    door.DoorError: BAD_REQUEST,
    door.NoCredentialsError: Rule(
        status=401,
        type=REQUEST,
        code="missing_api_key",
        headers={"WWW-Authenticate": "Bearer"},
        detail=str,
    ),
    door.NotBearerError: Rule(
        status=401,
        type=REQUEST,
        code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
        detail=str,
    ),
    door.EmptyBearerError: NO_KEY,
    door.UnknownKeyError: BAD_KEY,
    door.BodyError: BAD_REQUEST,
    door.BodyLateError: Rule(status=408, type=REQUEST, code="request_timeout"),
    door.BodyTooLargeError: TOO_LARGE,
    door.InvalidJsonError: Rule(status=400, type=REQUEST, code="invalid_json"),
    door.InvalidParameterError: BAD_REQUEST,
    door.NoTokenError: Rule(status=400, type=REQUEST, code="missing_token", detail=str),
    door.UnreadableTokenError: Rule(
        status=400, type="invalid_token", code="invalid_cashu_token", detail=str
    ),
    door.NoTicketError: Rule(
        status=401,
        type="invalid_token",
        code="invalid_cashu_token",
        headers={"WWW-Authenticate": "Bearer"},
        detail=str,
    ),
    door.NothingHereError: NOT_FOUND,
    door.NotOfferedError: NOT_FOUND,
    door.ModelNotListedError: Rule(status=404, type=REQUEST, code="model_not_found"),
}

LEDGER: Mapping[type[Exception], Rule] = {
    ledger.LedgerError: INTERNAL,
    ledger.NegativeAmountError: INTERNAL,
    ledger.UnknownAccountError: BAD_KEY,
    ledger.InsufficientFundsError: Rule(
        status=402,
        type="insufficient_quota",
        code="insufficient_balance",
        headers=DO_NOT_RETRY,
    ),
    ledger.UnknownHoldError: INTERNAL,
    ledger.HoldEndedError: INTERNAL,
    ledger.RequestInProgressError: Rule(
        status=409, type=REQUEST, code="request_in_progress", headers=retry_after(2)
    ),
    ledger.RequestRepeatedError: Rule(
        status=409, type=REQUEST, code="request_repeated", headers=DO_NOT_RETRY
    ),
    ledger.RequestChangedError: Rule(
        status=422, type=REQUEST, code="idempotency_key_reused", headers=DO_NOT_RETRY
    ),
    ledger.TokenTakenError: SPENT_TOKEN,
    ledger.KeysetTakenError: BAD_TOKEN,
    ledger.MovementEndedError: INTERNAL,
    ledger.UnknownMovementError: INTERNAL,
    ledger.NothingToRefundError: Rule(
        status=400, type=REQUEST, code="no_balance", detail=without_full_stop
    ),
    ledger.PurseShortError: Rule(
        status=503, type=API, code="refund_unavailable", headers=retry_after(10)
    ),
    ledger.PricingError: INTERNAL,
    ledger.UnknownModelError: Rule(status=400, type="invalid_model", code="model_not_found"),
    ledger.InvalidBoundError: BAD_REQUEST,
    ledger.UnknownTopicError: INTERNAL,
    ledger.LedgerBrokenError: INTERNAL,
    AskTheLogError: INTERNAL,
}

CASHIER: Mapping[type[Exception], Rule] = {
    cashier.CashierError: INTERNAL,
    cashier.TokenRefusedError: BAD_TOKEN,
    cashier.TokenSpentError: SPENT_TOKEN,
    cashier.FeesExceedTokenError: Rule(
        status=422, type="mint_error", code="cashu_token_swap_fees_exceed_amount"
    ),
    cashier.MintDownError: Rule(
        status=503,
        type="mint_unreachable",
        code="cashu_mint_unreachable",
        headers=retry_after(5),
    ),
    cashier.DepositPendingError: Rule(
        status=503,
        type="mint_unreachable",
        code="cashu_deposit_pending",
        headers=retry_after(5),
    ),
    cashier.RefundPendingError: Rule(
        status=425, type=API, code="refund_pending", headers=retry_after(2), detail=str
    ),
    cashier.TokenTooSmallError: Rule(
        status=402,
        type="minimum_balance_required",
        code="minimum_balance_required",
        headers=DO_NOT_RETRY,
    ),
    cashier.NoChangeError: NOT_FOUND,
    cashier.ChangeCollectedError: Rule(
        status=410, type=REQUEST, code="refund_collected", detail=str
    ),
    cashier.NoRateError: Rule(
        status=503, type=API, code="rate_unavailable", headers=retry_after(30)
    ),
    cashier.NoLightningError: Rule(
        status=503, type=API, code="lightning_unavailable", detail=str
    ),
    cashier.TooManyInvoicesError: Rule(
        status=429, type=API, code="too_many_invoices", headers=retry_after(60), detail=str
    ),
    cashier.InvoiceUnknownError: NOT_FOUND,
}

GATEWAYS: Mapping[type[Exception], Rule] = {
    gateways.GatewayError: UPSTREAM_DOWN,
    gateways.RefusedError: UPSTREAM_DOWN,
    gateways.OutcomeUnknownError: UPSTREAM_DOWN,
    gateways.UnreachableError: MINT_DOWN,
    gateways.MintRefusedError: MINT_DOWN,
    gateways.MintUnknownError: MINT_DOWN,
    gateways.MintAnswerError: MINT_DOWN,
    exchange.RateUnavailableError: INTERNAL,
    mint.KeysetError: MINT_DOWN,
    mint.KeysetUnknownError: MINT_DOWN,
    mint.KeysetAmbiguousError: MINT_DOWN,
    mint.KeysetForgedError: MINT_DOWN,
    mint.TokenError: BAD_TOKEN,
    mint.TokenFormatError: BAD_TOKEN,
    mint.TokenSizeError: BAD_TOKEN,
    mint.TokenAmountError: BAD_TOKEN,
    mint.TokenDuplicateError: BAD_TOKEN,
    mint.TokenMintError: BAD_TOKEN,
    mint.TokenKeysetError: BAD_TOKEN,
    UntrustedMintError: BAD_TOKEN,
    upstream.UpstreamPathError: NOT_FOUND,
    upstream.UpstreamUnreachableError: UPSTREAM_DOWN,
    upstream.UpstreamBrokenError: UPSTREAM_DOWN,
    upstream.AnswerTooLongError: UPSTREAM_DOWN,
}

STORE: Mapping[type[Exception], Rule] = {
    store.StoreError: STORE_DOWN,
    store.StoreUnavailableError: STORE_DOWN,
    store.StoreBusyError: STORE_DOWN,
    store.SchemaTooNewError: INTERNAL,
    # The library's reads raise its own.
    PersistenceError: STORE_DOWN,
}

TABLE: Mapping[type[Exception], Rule] = {**DOOR, **LEDGER, **CASHIER, **GATEWAYS, **STORE}

HTTP: Mapping[int, Rule] = {
    HTTPStatus.NOT_FOUND: Rule(
        status=404,
        type=REQUEST,
        code="not_found",
        message=door.NothingHereError.says,
        detail=str,
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: Rule(
        status=405,
        type=REQUEST,
        code="method_not_allowed",
        message="This address does not take this method.",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Rule(
        status=413,
        type=REQUEST,
        code="request_too_large",
        message=door.BodyTooLargeError.__doc__,
    ),
}


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
    headers = {**rule.headers, **_headers_of_http(error)}
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
    """Return an error as OpenAI's clients read it, and beside it as Routstr's do."""
    shown = {"message": message, "type": type_, "param": param, "code": code, **(more or {})}
    document = {
        "error": shown,
        "detail": {"error": shown} if detail is None else detail(message),
        "request_id": str(current_visit().request_id),
    }
    return as_json(document, status, headers)


def _detail(error: Exception, rule: Rule) -> Callable[[str], object] | None:
    """Return what makes the text beside the error object, or None to repeat the object."""
    if not isinstance(error, cashier.TokenTooSmallError):
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
    if not isinstance(error, ledger.RequestRepeatedError):
        return {}
    if isinstance(error.end, Charged):
        return {"charged_msat": error.end.cost_msat - error.end.shortfall_msat}
    return {"charged_msat": 0}


def _param(error: Exception) -> str | None:
    """Name what in the request is at fault, where one thing is."""
    if isinstance(error, door.DoorError):
        return error.param
    if isinstance(error, ledger.InvalidBoundError):
        return error.field
    if isinstance(error, ledger.RequestChangedError):
        return "Idempotency-Key"
    return "model" if isinstance(error, ledger.UnknownModelError) else None


def _rule_of_http(error: HTTPException) -> Rule:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if status in HTTP:
        return HTTP[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return INTERNAL
    code = error.name.lower().replace(" ", "_")
    return Rule(status=status, type=REQUEST, code=code, message=f"{error.name}.")


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
