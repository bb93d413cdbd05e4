"""A client's money sent to a Lightning address or LNURL, and how far that is."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from flask import request

from app.cashier.errors import CashierError, PayoutUnknownError
from app.cashier.payout import Status
from app.gateways.errors import GatewayError
from app.web.bodies import as_json
from app.web.errors import API
from app.web.problems import problem
from app.web.refusals import InvalidParameterError
from domain.errors import NothingToRefundError, PurseShortError
from domain.identity import payout_of_request
from domain.msat import MSAT_PER_SAT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Response

    from app.cashier.payout import Payout, Payouts

logger = logging.getLogger(__name__)

ADDRESSES = ("lightning_address", "lnurl", "refund_address")
"""The members that say whom to pay; they are one, under the names that clients use."""

AMOUNT = "amount_sats"
NAME_CHARS_MAX = 256


class LightningOut:
    """Refunds that leave over Lightning."""

    def __init__(self, payouts: Payouts) -> None:
        self._payouts = payouts

    def refund(self, account_id: UUID, given: Mapping[str, object]) -> Response | None:
        """Pay whom `given` names and answer how far that is; `None` if it names nobody."""
        address = _address(given)
        if address is None:
            return None
        payout = self._pay(account_id, address, given)
        if payout.status is not Status.FAILED:
            is_paid = payout.status is Status.PAID
            return as_json(_told(payout), HTTPStatus.OK if is_paid else HTTPStatus.ACCEPTED)
        return problem(
            HTTPStatus.BAD_GATEWAY,
            message="The Lightning payment failed; the money is available again.",
            type_=API,
            code="lightning_payment_failed",
            detail=str,
            more=_told(payout),
        )

    def refund_home(
        self, account_id: UUID, address: str, given: Mapping[str, object]
    ) -> Response | None:
        """Pay the address that the key itself is bound to; `None` if that cannot be paid.

        Whoever asks has not asked for Lightning: then a token does as well.
        """
        try:
            payout = self._pay(account_id, address, given)
        except (CashierError, GatewayError, NothingToRefundError, PurseShortError) as error:
            logger.info("refund to a key's own address: %s", type(error).__name__)
            return None
        if payout.status is Status.FAILED:
            return None
        is_paid = payout.status is Status.PAID
        return as_json(_told(payout), HTTPStatus.OK if is_paid else HTTPStatus.ACCEPTED)

    def _pay(self, account_id: UUID, address: str, given: Mapping[str, object]) -> Payout:
        """Pay under the name that the client gives, so that it finds the same refund again."""
        name = request.headers.get("Idempotency-Key", "")[:NAME_CHARS_MAX]
        payout_id = payout_of_request(account_id, name) if name else uuid4()
        return self._payouts.refund_to(
            payout_id, account_id, address, _amount_msat(given), named=bool(name)
        )

    def standing(self, account_id: UUID, refund_id: str) -> Response:
        """Answer how far a refund of the account is."""
        try:
            payout = self._payouts.standing(UUID(refund_id), account_id)
        except ValueError as error:
            raise PayoutUnknownError from error
        return as_json(_told(payout))


def _told(payout: Payout) -> dict[str, str]:
    """Return the document; amounts are texts, as in every answer to a refund."""
    return {
        "refund_id": str(payout.payout_id),
        "status": payout.status,
        "recipient": payout.recipient,
        f"{payout.unit}s": str(payout.amount),
        "fee_msats": str(payout.fee_msat),
    }


def _address(given: Mapping[str, object]) -> str | None:
    for name in ADDRESSES:
        address = given.get(name)
        if address is None:
            continue
        if not isinstance(address, str) or not address.strip():
            raise InvalidParameterError(name, "must be a Lightning address or an LNURL")
        return address
    return None


def _amount_msat(given: Mapping[str, object]) -> int | None:
    amount_sat = given.get(AMOUNT)
    if amount_sat is None:
        return None
    if type(amount_sat) is not int or amount_sat < 1:
        raise InvalidParameterError(AMOUNT, "must be a whole number above 0")
    return amount_sat * MSAT_PER_SAT
