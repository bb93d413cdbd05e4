from __future__ import annotations

import importlib
import logging
import pkgutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from flask import Flask

import app.cashier
import app.gateways
import app.store
import app.web
import domain
from app.cashier.errors import CashierError, DepositPendingError, NoRateError, TokenSpentError
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import TokenError
from app.gateways.upstream import UpstreamBrokenError
from app.store.errors import StoreBusyError, StoreError, StoreUnavailableError
from app.web import errors, problems
from app.web.refusals import DoorError, InvalidParameterError
from domain.errors import (
    InsufficientFundsError,
    InvalidBoundError,
    LedgerBrokenError,
    LedgerError,
    NothingToRefundError,
    RequestChangedError,
    RequestInProgressError,
    RequestRepeatedError,
    UnknownModelError,
)
from domain.hold import Charged, Metered, Terms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.test import TestResponse

ROOTS = (CashierError, DoorError, GatewayError, LedgerError, StoreError, TokenError)
SOME_ID = UUID(int=7)


def every_error(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for kind in root.__subclasses__():
        yield from every_error(kind)


def told(error: Exception) -> TestResponse:
    """Return what a client is told when `error` happens on the way."""
    web = Flask("test")
    web.register_error_handler(Exception, problems.answer)

    @web.get("/")
    def fail() -> str:
        raise error

    return web.test_client().get("/")


def test_every_error_there_is_has_its_line_in_the_table() -> None:
    for package in (app.cashier, app.gateways, app.store, app.web, domain):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)

    missing = {
        kind
        for root in ROOTS
        for kind in every_error(root)
        if kind not in errors.TABLE and kind.__module__.startswith(("app.", "domain."))
        if not kind.__name__.startswith("_")
    }

    assert missing == set()


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (TokenSpentError(), 400, "token_already_spent", "cashu_token_already_spent"),
        (DepositPendingError(), 503, "mint_unreachable", "cashu_deposit_pending"),
        (
            InsufficientFundsError(required_msat=3, available_msat=2, held_msat=1),
            402,
            "insufficient_quota",
            "insufficient_balance",
        ),
        (UnknownModelError("x"), 400, "invalid_model", "model_not_found"),
        (InvalidBoundError("max_tokens"), 400, "invalid_request_error", "invalid_value"),
        (RequestInProgressError(SOME_ID), 409, "invalid_request_error", "request_in_progress"),
        (
            RequestRepeatedError(SOME_ID, object()),
            409,
            "invalid_request_error",
            "request_repeated",
        ),
        (RequestChangedError(SOME_ID), 422, "invalid_request_error", "idempotency_key_reused"),
        (NoRateError(), 503, "api_error", "rate_unavailable"),
        (StoreUnavailableError(), 503, "api_error", "store_unavailable"),
        (UpstreamBrokenError("cut"), 502, "upstream_error", "upstream_request_failed"),
        (ZeroDivisionError(), 500, "api_error", "internal_error"),
    ],
)
def test_an_error_has_its_status_type_and_code(
    error: Exception, status: int, kind: str, code: str
) -> None:
    answer = told(error)

    assert answer.status_code == status
    assert answer.get_json()["error"]["type"] == kind
    assert answer.get_json()["error"]["code"] == code


def test_both_envelopes_hold_the_same_error() -> None:
    answer = told(UnknownModelError("x"))

    assert answer.get_json()["error"] == {
        "message": "Model 'x' not found",
        "type": "invalid_model",
        "param": "model",
        "code": "model_not_found",
    }
    assert answer.get_json()["detail"] == {"error": answer.get_json()["error"]}
    assert UUID(answer.get_json()["request_id"]).version == 7


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (TokenSpentError(), "Token already spent"),
        (NothingToRefundError(available_msat=0), "No balance to refund"),
        (NothingToRefundError(available_msat=1), "Balance too small to refund"),
    ],
)
def test_errors_that_clients_know_by_their_words_keep_them(
    error: Exception, detail: str
) -> None:
    answer = told(error)

    assert answer.get_json()["detail"] == detail


def test_what_may_be_tried_again_says_when() -> None:
    answer = told(RequestInProgressError(SOME_ID))

    assert answer.headers["Retry-After"] == "2"


def test_what_must_not_be_repeated_says_so() -> None:
    answer = told(RequestRepeatedError(SOME_ID, object()))

    assert answer.headers["x-should-retry"] == "false"


def test_what_a_repeated_request_has_taken_from_its_account_is_told() -> None:
    charged = Charged(
        at=datetime(2026, 1, 2, tzinfo=UTC),
        account_id=SOME_ID,
        held_msat=60,
        cost_msat=75,
        from_hold_msat=60,
        from_available_msat=5,
        shortfall_msat=10,
        terms=Terms(model="m", route="r", price_version="p"),
        usage=Metered(),
    )

    answer = told(RequestRepeatedError(SOME_ID, charged))

    assert answer.get_json()["error"]["charged_msat"] == 65
    assert answer.get_json()["detail"]["error"]["charged_msat"] == 65


def test_the_member_at_fault_is_named() -> None:
    bound = told(InvalidBoundError("max_tokens"))
    parameter = told(InvalidParameterError("stream", "must be true or false"))

    assert bound.get_json()["error"]["param"] == "max_tokens"
    assert bound.get_json()["error"]["message"] == "max_tokens must be an integer"
    assert parameter.get_json()["error"]["param"] == "stream"


@pytest.mark.parametrize(
    "error",
    [
        StoreBusyError("SQLite: /secret/path"),
        LedgerBrokenError("/secret/path"),
        OSError("/secret"),
    ],
)
def test_what_operators_should_know_clients_are_not_told(error: Exception) -> None:
    answer = told(error)

    assert b"secret" not in answer.data


def test_an_unforeseen_error_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = told(ZeroDivisionError("by nothing"))

    [record] = caplog.records
    assert record.exc_info is not None
    assert record.__dict__["fields"]["request_id"] == answer.get_json()["request_id"]


def test_a_subclass_nobody_mapped_is_told_as_its_parent() -> None:
    class NewError(TokenSpentError):
        """Token already spent in another way."""

    assert problems.rule_of(NewError()) is errors.TABLE[TokenSpentError]
