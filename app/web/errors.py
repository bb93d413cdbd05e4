"""The one table of what a client is told for each error."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from eventsourcing.persistence import PersistenceError

from app.cashier import errors as cashier
from app.gateways import errors as gateways
from app.gateways import exchange, upstream
from app.gateways.mint import errors as mint
from app.gateways.mint.mints import UntrustedMintError
from app.store import errors as store
from app.translating import errors as translating
from app.web import refusals as door
from domain import errors as ledger
from domain.command import AskTheLogError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
BAD_RECIPIENT = Rule(status=400, type=REQUEST, code="invalid_lightning_address", detail=str)
RECIPIENT_FAILED = Rule(status=502, type=API, code="lightning_recipient_failed", detail=str)
BAD_KEY = Rule(
    status=401, type=REQUEST, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"}
)
NO_KEY = Rule(
    status=401, type=REQUEST, code="missing_api_key", headers={"WWW-Authenticate": "Bearer"}
)
BAD_REQUEST = Rule(status=400, type=REQUEST, code="invalid_value")
TOO_OFTEN = Rule(status=429, type="requests", code="rate_limit_exceeded")
LATE = Rule(status=408, type=REQUEST, code="request_timeout")
TOO_LARGE = Rule(status=413, type=REQUEST, code="request_too_large")
NOT_FOUND = Rule(status=404, type=REQUEST, code="not_found", detail=str)
CHILD_KEY = Rule(status=400, type=REQUEST, code="child_key", detail=str)

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
    door.RateLimitError: TOO_OFTEN,
    door.RequestRateError: TOO_OFTEN,
    door.CrowdOfOneError: TOO_OFTEN,
    door.AddressRateError: TOO_OFTEN,
    door.TokenRateError: Rule(status=429, type="tokens", code="rate_limit_exceeded"),
    door.RequestTooBigError: Rule(
        status=429, type="tokens", code="rate_limit_exceeded", headers=DO_NOT_RETRY
    ),
    door.BodyLateError: LATE,
    door.HeadLateError: LATE,
    door.HeadTooLargeError: Rule(status=431, type=REQUEST, code="headers_too_large"),
    door.CrowdedError: Rule(status=503, type=API, code="overloaded", headers=retry_after(2)),
    door.BodyMalformedError: Rule(status=400, type=REQUEST, code="malformed_request"),
    door.BodyTooLargeError: TOO_LARGE,
    door.InvalidFormError: Rule(status=400, type=REQUEST, code="invalid_form"),
    door.InvalidJsonError: Rule(status=400, type=REQUEST, code="invalid_json"),
    door.InvalidParameterError: BAD_REQUEST,
    door.NoChildKeyError: BAD_REQUEST,
    door.ChildRefundError: Rule(status=400, type=REQUEST, code="child_key", detail=str),
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
    door.NoDirectoryError: NOT_FOUND,
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
    ledger.KeyRefusedError: CHILD_KEY,
    ledger.ChildKeyError: CHILD_KEY,
    ledger.TooManyKeysError: CHILD_KEY,
    ledger.AccountErasedError: Rule(status=409, type=REQUEST, code="account_erased"),
    ledger.LimitReachedError: Rule(
        status=402,
        type="insufficient_quota",
        code="balance_limit_exceeded",
        headers=DO_NOT_RETRY,
    ),
    ledger.KeyExpiredError: Rule(status=403, type=REQUEST, code="key_expired"),
    ledger.ModelNotAllowedError: Rule(status=403, type=REQUEST, code="model_not_allowed"),
    ledger.ForeignKeyError: Rule(status=403, type=REQUEST, code="not_your_key", detail=str),
    ledger.UnknownChildError: NOT_FOUND,
    ledger.OtherKeyError: INTERNAL,
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
    ledger.NotInstantError: INTERNAL,
    ledger.MovementEndedError: INTERNAL,
    ledger.UnknownMovementError: INTERNAL,
    ledger.NothingToRefundError: Rule(
        status=400, type=REQUEST, code="no_balance", detail=without_full_stop
    ),
    ledger.PurseShortError: Rule(
        status=503, type=API, code="refund_unavailable", headers=retry_after(10)
    ),
    # Nobody but the owner draws, and not by these doors.
    ledger.OwnerMayNotDrawError: INTERNAL,
    ledger.UnexplainedError: INTERNAL,
    ledger.FeeTooHighError: INTERNAL,
    ledger.NothingToSwapError: INTERNAL,
    ledger.CountersMovedError: INTERNAL,
    ledger.NothingLostError: INTERNAL,
    ledger.PricingError: INTERNAL,
    ledger.UnknownModelError: Rule(status=400, type="invalid_model", code="model_not_found"),
    ledger.InvalidBoundError: BAD_REQUEST,
    # Nobody sets a provider up through the doors that clients come in by.
    ledger.InvalidProviderError: INTERNAL,
    ledger.ProviderChangedError: INTERNAL,
    ledger.OperatorChangedError: INTERNAL,
    ledger.InvalidOperatorError: INTERNAL,
    ledger.SettingMovedError: INTERNAL,
    ledger.InvalidSettingError: INTERNAL,
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
    cashier.ForeignMintDownError: Rule(
        status=503,
        type="mint_unreachable",
        code="cashu_source_mint_unreachable",
        headers=retry_after(5),
    ),
    cashier.ForeignSwapError: Rule(
        status=422, type="mint_error", code="cashu_foreign_mint_swap_failed"
    ),
    cashier.MintCrowdedError: Rule(
        status=503,
        type="mint_rate_limited",
        code="cashu_mint_rate_limited",
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
    cashier.RefundTakenBackError: Rule(
        status=410, type=REQUEST, code="refund_taken_back", detail=str
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
    cashier.PayoutPendingError: Rule(
        status=425, type=API, code="refund_pending", headers=retry_after(10), detail=str
    ),
    cashier.PayoutFeeError: Rule(
        status=503, type=API, code="lightning_fee_too_high", detail=str
    ),
    cashier.PayoutUnknownError: NOT_FOUND,
    # Nobody but the owner withdraws, and not by these doors.
    cashier.WithdrawalUnknownError: INTERNAL,
    cashier.NothingOpenError: INTERNAL,
    # Nobody sets a provider up through the doors that clients come in by.
    cashier.ProviderError: INTERNAL,
    cashier.ProviderThereError: INTERNAL,
    cashier.ProviderUnknownError: INTERNAL,
    cashier.ModelListError: INTERNAL,
}

GATEWAYS: Mapping[type[Exception], Rule] = {
    gateways.GatewayError: UPSTREAM_DOWN,
    gateways.RelayError: UPSTREAM_DOWN,
    gateways.RefusedError: UPSTREAM_DOWN,
    gateways.OutcomeUnknownError: UPSTREAM_DOWN,
    gateways.UnreachableError: MINT_DOWN,
    gateways.AddressBarredError: BAD_RECIPIENT,
    gateways.RecipientError: RECIPIENT_FAILED,
    gateways.RecipientFormatError: BAD_RECIPIENT,
    gateways.RecipientAmountError: Rule(
        status=400, type=REQUEST, code="amount_out_of_range", detail=str
    ),
    gateways.RecipientAnswerError: RECIPIENT_FAILED,
    gateways.RecipientDownError: RECIPIENT_FAILED,
    gateways.FetchBrokenError: UPSTREAM_DOWN,
    gateways.MintPausedError: MINT_DOWN,
    gateways.MintBusyError: MINT_DOWN,
    gateways.MintRefusedError: MINT_DOWN,
    gateways.MintUnknownError: MINT_DOWN,
    gateways.MintAnswerError: MINT_DOWN,
    gateways.MintLimitError: MINT_DOWN,
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
    upstream.UpstreamsRestingError: Rule(
        status=503, type=UPSTREAM, code="upstream_unavailable"
    ),
    upstream.UpstreamsExhaustedError: Rule(
        status=429, type=UPSTREAM, code="UPSTREAM_RATE_LIMIT"
    ),
    upstream.UpstreamBrokenError: UPSTREAM_DOWN,
    upstream.AnswerTooLongError: UPSTREAM_DOWN,
}

TRANSLATING: Mapping[type[Exception], Rule] = {
    # What an upstream has said is told as a failure of the upstream.
    translating.TranslationError: INTERNAL,
    translating.UntranslatableError: Rule(status=400, type=REQUEST, code="not_translatable"),
}

STORE: Mapping[type[Exception], Rule] = {
    store.StoreError: STORE_DOWN,
    store.StoreUnavailableError: STORE_DOWN,
    store.StoreBusyError: STORE_DOWN,
    store.SchemaTooNewError: INTERNAL,
    store.UpgradeError: INTERNAL,
    store.BackupError: INTERNAL,
    store.LogMovedError: INTERNAL,
    # The library's reads raise its own.
    PersistenceError: STORE_DOWN,
}

TABLE: Mapping[type[Exception], Rule] = {
    **DOOR,
    **LEDGER,
    **CASHIER,
    **GATEWAYS,
    **TRANSLATING,
    **STORE,
}

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
