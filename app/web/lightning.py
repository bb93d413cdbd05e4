"""Accounts opened and topped up by Lightning, after RIP-08: an invoice, then its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from flask import Blueprint, Response, request

from app.cashier.errors import InvoiceUnknownError
from app.cashier.invoice import CREATE, TOPUP, Status
from app.cashier.keys import Spender, Wanted
from app.web.balance import METHODS, never_store, nothing_here
from app.web.bodies import as_json
from app.web.refusals import InvalidParameterError, NoCredentialsError
from domain.identity import account_of_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.cashier.invoice import Invoices, Standing
    from app.cashier.keys import Keys
    from app.web.bearer import ApiKeys, Bearer
    from app.web.bodies import Bodies
    from app.web.key_fields import KeyFields
    from domain.invoice import Bill

PREFIXES = {
    "lightning": "/lightning",
    "v1_lightning": "/v1/lightning",
    "balance_lightning": "/v1/balance/lightning",
    "wallet_lightning": "/v1/wallet/lightning",
    "v2_lightning": "/v2/lightning",
}
AMOUNT_SAT_MAX = 1_000_000
NOTHING_WANTED = Wanted()


class Lightning:
    """The routes of `/lightning`; `find` returns the invoice of a BOLT11 text, or `None`."""

    def __init__(
        self,
        invoices: Invoices,
        find: Callable[[str], UUID | None],
        bearer: Bearer,
        keys: ApiKeys,
        bodies: Bodies,
        desk: Keys,
        fields: KeyFields,
    ) -> None:
        self._invoices = invoices
        self._find = find
        self._bearer = bearer
        self._keys = keys
        self._bodies = bodies
        self._desk = desk
        self._fields = fields

    def invoice(self) -> Response:
        """Return an invoice; when it is paid, an account is opened or topped up by it."""
        invoice_id, bill = self._opened(self._bodies.read_object())
        return as_json(
            {
                "invoice_id": str(invoice_id),
                "bolt11": bill.request,
                "amount_sats": bill.amount,
                "expires_at": int(bill.expires_at.timestamp()),
                "payment_hash": bill.quote,
            }
        )

    def status(self, invoice_id: str) -> Response:
        """Return how far an invoice is, and once it is paid the key it has opened."""
        return as_json(self._document(self.standing(invoice_id)))

    def recover(self) -> Response:
        """Return the same to whoever has kept the BOLT11 text only."""
        text = self._bodies.read_object().get("bolt11")
        if not isinstance(text, str) or not text.strip():
            raise InvalidParameterError("bolt11", "must be the text of an invoice")
        invoice_id = self._find(text.strip().lower().removeprefix("lightning:"))
        if invoice_id is None:
            raise InvoiceUnknownError
        return as_json(self._document(self._invoices.standing(invoice_id)))

    def create(self, amount_sat: int, wanted: Wanted = NOTHING_WANTED) -> tuple[UUID, Bill]:
        """Return a new invoice that opens an account, bound as is `wanted`, when it is paid."""
        invoice_id = uuid4()
        account_id = account_of_key(self._keys.of_invoice(invoice_id))
        # Before anybody can pay: once there is money, its key is bound.
        self._desk.bind(Spender(account_id), wanted)
        return invoice_id, self._invoices.open(invoice_id, account_id, amount_sat, CREATE)

    def standing(self, invoice_id: str) -> Standing:
        """Return how far an invoice is; raises `InvoiceUnknownError`."""
        try:
            return self._invoices.standing(UUID(invoice_id))
        except ValueError as error:
            raise InvoiceUnknownError from error

    def key(self, standing: Standing) -> str | None:
        """Return the API key that an invoice has opened; none of one that tops up."""
        opened = standing.status is Status.PAID and standing.bill.purpose == CREATE
        return self._keys.of_invoice(standing.invoice_id) if opened else None

    def _document(self, standing: Standing) -> dict[str, Any]:
        paid_at, bill = standing.paid_at, standing.bill
        return {
            "status": standing.status,
            "api_key": self.key(standing),
            "amount_sats": bill.amount,
            "paid_at": None if paid_at is None else int(paid_at.timestamp()),
            "created_at": int(standing.created_at.timestamp()),
            "expires_at": int(bill.expires_at.timestamp()),
        }

    def _opened(self, given: Mapping[str, Any]) -> tuple[UUID, Bill]:
        amount_sat = _amount_sat(given.get("amount_sats"))
        purpose = given.get("purpose", CREATE)
        if purpose == CREATE:
            return self.create(amount_sat, self._fields.whole(given))
        if purpose != TOPUP:
            raise InvalidParameterError("purpose", "must be create or topup")
        invoice_id, account_id = uuid4(), self._account_of(given)
        return invoice_id, self._invoices.open(invoice_id, account_id, amount_sat, TOPUP)

    def _account_of(self, given: Mapping[str, Any]) -> UUID:
        """Return whose account is to be topped up; the header goes before the body."""
        authorization, key = request.headers.get("Authorization"), given.get("api_key")
        if authorization is not None:
            return self._bearer.open(authorization)
        if key is None:
            raise NoCredentialsError
        if not isinstance(key, str) or not key.strip():
            raise InvalidParameterError("api_key", "must be an API key")
        return self._bearer.account_of(key.strip())


def blueprint(lightning: Lightning) -> Blueprint:
    """Return the routes; they are registered once for each of `PREFIXES`."""
    routes = Blueprint("lightning", __name__)
    routes.add_url_rule("/invoice", "invoice", lightning.invoice, methods=["POST"])
    routes.add_url_rule("/invoice/<invoice_id>/status", "status", lightning.status)
    routes.add_url_rule("/recover", "recover", lightning.recover, methods=["POST"])
    routes.add_url_rule("/<path:rest>", "nothing", nothing_here, methods=METHODS)
    routes.after_request(never_store)
    return routes


def _amount_sat(given: object) -> int:
    if type(given) is not int or not 1 <= given <= AMOUNT_SAT_MAX:
        message = f"must be a whole number from 1 to {AMOUNT_SAT_MAX}"
        raise InvalidParameterError("amount_sats", message)
    return given
