"""What is told of a foreign token: what it cost, and what is left of it at its own mint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response

from app.cashier.errors import NoChangeError, TokenRefusedError
from app.web.bodies import Bodies, as_json
from app.web.refusals import NoTokenError, UnreadableTokenError
from domain.foreign import ForeignCredited

if TYPE_CHECKING:
    from app.cashier.deposit import Deposits
    from app.cashier.ways import Deposited
    from app.gateways.mint.tokens import Token

PLACES = ("/v1/balance", "/v1/wallet")


def told_of(deposits: Deposits, token: Token, credited: Deposited) -> dict[str, Any]:
    """Return what an answer says beside the credit; nothing for tokens of our mints."""
    if not isinstance(credited, ForeignCredited):
        return {}
    return {
        "fee_msats": credited.fee_msat,
        "change_msats": credited.change_msat,
        "change": deposits.left_over(token),
    }


def blueprint(deposits: Deposits, bodies: Bodies) -> Blueprint:
    """Return the route that hands back what a foreign mint gave back."""
    routes = Blueprint("left_over", __name__)

    def change() -> Response:
        """Return the change of the token that is shown: whoever has it, is its owner."""
        text = bodies.read_object().get("cashu_token")
        if not isinstance(text, str) or not text.strip():
            raise NoTokenError("cashu_token")
        try:
            token = deposits.read(text.strip())
        except TokenRefusedError as error:
            raise UnreadableTokenError from error
        left = deposits.left_over(token)
        if left is None:
            raise NoChangeError
        return as_json({"token": left})

    for place in PLACES:
        routes.add_url_rule(
            f"{place}/foreign-change", place.rpartition("/")[2], change, methods=["POST"]
        )
    routes.after_request(never_store)
    return routes


def never_store(answer: Response) -> Response:
    """Keep tokens out of caches."""
    answer.headers["Cache-Control"] = "no-store"
    return answer
