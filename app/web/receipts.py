"""Receipts, for whoever has paid for the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response

from app.cashier.errors import TokenRefusedError
from app.sealing.receipts import NoReceiptError
from app.web.bearer import key_shown, ticket_shown
from app.web.bodies import as_json
from app.web.refusals import NothingHereError, NoTicketError

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.web.bearer import Bearer

Receipt = dict[str, Any]


def blueprint(
    bearer: Bearer,
    account_of_token: Callable[[str], UUID],
    receipt: Callable[[UUID, UUID], Receipt],
) -> Blueprint:
    """Return the route; the id of a request stands in logs, and alone opens nothing.

    `receipt` returns the signed receipt of a request and an account, or raises
    `NoReceiptError`.
    """
    routes = Blueprint("receipts", __name__)

    def payer() -> UUID:
        """Return the account that has paid, by its key, or by the token of the request."""
        token = ticket_shown()
        if token is None:
            return bearer.open(key_shown())
        try:
            return account_of_token(token)
        except TokenRefusedError as error:
            raise NoTicketError from error

    @routes.get("/v1/receipts/<uuid:request_id>")
    def show(request_id: UUID) -> Response:
        try:
            document = receipt(request_id, payer())
        except NoReceiptError as error:
            raise NothingHereError("No request of yours has this id.") from error
        return as_json(document, headers={"Cache-Control": "no-store"})

    return routes
