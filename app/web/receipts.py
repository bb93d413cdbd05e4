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
    receipt: Callable[[UUID, UUID, UUID | None], Receipt],
) -> Blueprint:
    """Return the route; the id of a request stands in logs, and alone opens nothing.

    `receipt` returns the signed receipt of a request for an account and, where one asks,
    its child; or raises `NoReceiptError`.
    """
    routes = Blueprint("receipts", __name__)

    def payer() -> tuple[UUID, UUID | None]:
        """Return the account that has paid, and the child of it that asks, if one does.

        Shown is a key, or the token of the request.
        """
        token = ticket_shown()
        if token is None:
            spender = bearer.spender(key_shown())
            return spender.account_id, spender.id if spender.is_child else None
        try:
            return account_of_token(token), None
        except TokenRefusedError as error:
            raise NoTicketError from error

    @routes.get("/v1/receipts/<uuid:request_id>")
    def show(request_id: UUID) -> Response:
        try:
            document = receipt(request_id, *payer())
        except NoReceiptError as error:
            raise NothingHereError("No request of yours has this id.") from error
        return as_json(document, headers={"Cache-Control": "no-store"})

    return routes
