"""A client's own money: deposited, looked at, added to, given back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4, uuid5

from flask import Blueprint, Response, request

from app.cashier.errors import TokenRefusedError
from app.cashier.keys import Spender
from app.web.asking import request_name
from app.web.bearer import ticket_shown
from app.web.bodies import as_json
from app.web.key_fields import amount_of
from app.web.left_over import told_of
from app.web.lightning_out import AMOUNT
from app.web.refusals import (
    ChildRefundError,
    NothingHereError,
    NoTokenError,
    UnreadableTokenError,
)
from app.web.visit import current_visit
from domain.errors import ChildKeyError
from domain.identity import account_of_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.cashier.deposit import Deposits
    from app.cashier.keys import Wanted
    from app.cashier.refund import Refunds
    from app.gateways.mint.tokens import Token
    from app.web.bearer import ApiKeys, Bearer
    from app.web.bodies import Bodies
    from app.web.key_fields import Binding
    from app.web.keys import KeyDesk
    from app.web.lightning_out import LightningOut

PREFIXES = {"balance": "/v1/balance", "wallet": "/v1/wallet"}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


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
        bodies: Bodies,
        change: Callable[[str], Response],
        lightning_out: LightningOut,
        binding: Binding,
    ) -> None:
        self._bearer = bearer
        self._keys = keys
        self._deposits = deposits
        self._refunds = refunds
        self._bodies = bodies
        self._change = change
        self._lightning_out = lightning_out
        self._desk = binding.keys
        self._fields = binding.fields

    def create(self) -> Response:
        """Deposit a token and return the API key that opens its account, bound as is wished.

        Asked again with the same token, the same key and its balance of now.
        """
        given = self._given()
        wanted = self._fields.whole(given)
        token = self._token(given, "initial_balance_token")
        api_key = self._keys.of_token(token)
        account_id = account_of_key(api_key)
        current_visit().account_id = account_id
        credited = self._deposits.deposit(token, account_id)
        self._desk.bind(Spender(account_id), wanted)
        balance_msat = self._desk.available_msat(account_id)
        told = told_of(self._deposits, token, credited)
        return as_json({"api_key": api_key, "balance": balance_msat} | told)

    def topup(self) -> Response:
        """Deposit one more token; return what it was worth, in msat.

        What is put on a child is its parent's. An account that has ended is topped up all
        the same: what is there is refunded again, or spent, once its end is put off.
        """
        spender, given = self._spender(), self._given()
        wanted = self._ending(spender, given)
        token = self._token(given, "cashu_token")
        credited = self._deposits.deposit(token, spender.account_id)
        self._desk.bind(spender, wanted)
        told = told_of(self._deposits, token, credited)
        return as_json({"msats": credited.credited_msat} | told)

    def refund(self) -> Response:
        """Return a token for all that is available, or for an amount; amounts are texts.

        With a Lightning address or an LNURL the money goes there instead, as it does if the
        key is bound to one that can be paid.
        A token in the X-Cashu header that paid for one request is answered with its change.
        """
        ticket = ticket_shown()
        if ticket is not None:
            return self._change(ticket)
        spender, given = self._spender(), self._given()
        if spender.is_child:
            raise ChildRefundError
        amount = amount_of(given)
        ending = {"key_expiry_time": given.get("key_expiry_time")}
        self._desk.bind(spender, self._ending(spender, ending))
        account_id = spender.account_id
        wish = given if amount is None else {**given, AMOUNT: amount.to_sat()}
        sent = self._lightning_out.refund(account_id, wish)
        if sent is None and (home := self._desk.refund_address(account_id)):
            sent = self._lightning_out.refund_home(account_id, home, wish)
        if sent is not None:
            return sent
        if amount is None:
            refund = self._refunds.refund(account_id)
        else:
            name = request_name()
            named = uuid5(account_id, f"refund:{name}") if name else uuid4()
            refund = self._refunds.part(named, account_id, amount)
        return as_json({"token": refund.token, f"{refund.unit}s": str(refund.amount)})

    def refunded(self, refund_id: str) -> Response:
        """Return how far a refund over Lightning is."""
        spender = self._spender()
        if spender.is_child:
            raise ChildRefundError
        return self._lightning_out.standing(spender.account_id, refund_id)

    def _spender(self) -> Spender:
        # Here no header at all is told the same as a header of another kind.
        return self._bearer.spender(request.headers.get("Authorization", ""))

    def _ending(self, spender: Spender, given: Mapping[str, object]) -> Wanted:
        wanted = self._fields.ending(given)
        if wanted and spender.is_child:
            raise ChildKeyError
        return wanted

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


def blueprint(balance: Balance, desk: KeyDesk) -> Blueprint:
    """Return the routes; they are registered once for each of `PREFIXES`."""
    routes = Blueprint("balance", __name__)
    routes.add_url_rule("/create", "create", balance.create, methods=["GET", "POST"])
    routes.add_url_rule("/", "info", desk.info)
    routes.add_url_rule("/info", "info", desk.info)
    routes.add_url_rule("/child-key", "child_key", desk.make_children, methods=["POST"])
    routes.add_url_rule("/child-key/reset", "reset", desk.reset_child, methods=["POST"])
    routes.add_url_rule("/donate", "donate", desk.donate, methods=["POST"])
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
