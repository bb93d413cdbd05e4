"""A client's own money: deposited, looked at, added to, given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from app.cashier.errors import TokenRefusedError
from app.web.bearer import ApiKeys, Bearer, credential, ticket_shown
from app.web.bodies import Bodies, as_json
from app.web.left_over import told_of
from app.web.refusals import (
    InvalidParameterError,
    NothingHereError,
    NoTokenError,
    UnreadableTokenError,
)
from app.web.visit import current_visit
from domain.guards import AccountRow
from domain.identity import account_of_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from app.cashier.deposit import Deposits
    from app.cashier.refund import Refunds
    from app.gateways.mint.tokens import Token
    from app.web.lightning_out import LightningOut

PREFIXES = {"balance": "/v1/balance", "wallet": "/v1/wallet"}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
NOBODY = AccountRow(0, 0, "", "")
# Limits and other ways out that a client may ask for and would then rely on.
NOT_YET_FOR_KEYS = ("balance_limit", "balance_limit_reset", "validity_date")


class Balance:
    """The routes of `/v1/balance`, which are those of `/v1/wallet` too.

    `change` answers with what is left of a token that paid for one request.
    """

    def __init__(
        self,
        bearer: Bearer,
        keys: ApiKeys,
        deposits: Deposits,
        refunds: Refunds,
        account: Callable[[UUID], AccountRow | None],
        bodies: Bodies,
        change: Callable[[str], Response],
        lightning_out: LightningOut,
    ) -> None:
        self._bearer = bearer
        self._keys = keys
        self._deposits = deposits
        self._refunds = refunds
        self._account = account
        self._bodies = bodies
        self._change = change
        self._lightning_out = lightning_out

    def create(self) -> Response:
        """Deposit a token and return the API key that opens its account.

        Asked again with the same token, the same key and its balance of now.
        """
        given = self._given()
        _refuse(given, NOT_YET_FOR_KEYS)
        token = self._token(given, "initial_balance_token")
        api_key = self._keys.of_token(token)
        account_id = account_of_key(api_key)
        current_visit().account_id = account_id
        credited = self._deposits.deposit(token, account_id)
        balance_msat = self._row(account_id).available_msat
        told = told_of(self._deposits, token, credited)
        return as_json({"api_key": api_key, "balance": balance_msat} | told)

    def info(self) -> Response:
        """Return what may be spent and what is held by requests in progress, in msat."""
        secret = credential(request.headers.get("Authorization", ""))
        row = self._row(self._bearer.account_of(secret))
        return as_json(
            {"api_key": secret, "balance": row.available_msat, "reserved": row.held_msat}
        )

    def topup(self) -> Response:
        """Deposit one more token; return what it was worth, in msat."""
        account_id = self._owner()
        token = self._token(self._given(), "cashu_token")
        credited = self._deposits.deposit(token, account_id)
        told = told_of(self._deposits, token, credited)
        return as_json({"msats": credited.credited_msat} | told)

    def refund(self) -> Response:
        """Return a token for all that is available; amounts are texts, as they always were.

        With a Lightning address or an LNURL the money goes there instead.
        A token in the X-Cashu header that paid for one request is answered with its change.
        """
        ticket = ticket_shown()
        if ticket is not None:
            return self._change(ticket)
        account_id = self._owner()
        sent = self._lightning_out.refund(account_id, self._given())
        if sent is not None:
            return sent
        refund = self._refunds.refund(account_id)
        return as_json({"token": refund.token, f"{refund.unit}s": str(refund.amount)})

    def refunded(self, refund_id: str) -> Response:
        """Return how far a refund over Lightning is."""
        return self._lightning_out.standing(self._owner(), refund_id)

    def _owner(self) -> UUID:
        # Here no header at all is told the same as a header of another kind.
        return self._bearer.open(request.headers.get("Authorization", ""))

    def _row(self, account_id: UUID) -> AccountRow:
        return self._account(account_id) or NOBODY

    def _given(self) -> Mapping[str, object]:
        """Return what was sent, in the query or as JSON; the body goes before the query."""
        body = self._bodies.read_object() if request.method == "POST" else {}
        return {**request.args.to_dict(), **body}

    def _token(self, given: Mapping[str, object], name: str) -> Token:
        text = given.get(name)
        if not isinstance(text, str) or not text.strip():
            raise NoTokenError(name)
        try:
            return self._deposits.read(text.strip())
        except TokenRefusedError as error:
            raise UnreadableTokenError from error


def blueprint(balance: Balance) -> Blueprint:
    """Return the routes; they are registered once for each of `PREFIXES`."""
    routes = Blueprint("balance", __name__)
    routes.add_url_rule("/create", "create", balance.create, methods=["GET", "POST"])
    routes.add_url_rule("/", "info", balance.info)
    routes.add_url_rule("/info", "info", balance.info)
    routes.add_url_rule("/topup", "topup", balance.topup, methods=["POST"])
    routes.add_url_rule("/refund", "refund", balance.refund, methods=["POST"])
    routes.add_url_rule("/refund/<refund_id>", "refunded", balance.refunded)
    routes.add_url_rule("/<path:rest>", "nothing", nothing_here, methods=METHODS)
    routes.after_request(never_store)
    return routes


def nothing_here(rest: str) -> Response:  # noqa: ARG001  # its name is the route's
    """Say so, also of a known path asked by another method: clients know the words."""
    raise NothingHereError


def never_store(answer: Response) -> Response:
    """Keep keys and tokens out of caches."""
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _refuse(given: Mapping[str, object], names: tuple[str, ...]) -> None:
    for name in names:
        if given.get(name) is not None:
            raise InvalidParameterError(name, "is not offered here")
