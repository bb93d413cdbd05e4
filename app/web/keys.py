"""What a client is told of its key, and what it does with it beside spending."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid5

from flask import Response, request

from app.web.asking import request_name
from app.web.bearer import credential
from app.web.bodies import as_json
from app.web.key_fields import amount_of
from app.web.refusals import InvalidParameterError, NoChildKeyError
from app.web.visit import current_visit, new_request_id
from domain.allowance import Rules, as_of, left_msat
from domain.errors import ChildKeyError
from domain.guards import AccountRow
from domain.identity import account_of_key
from domain.msat import MSAT_PER_SAT, Msat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from app.cashier.keys import Keys, Spender
    from app.web.bearer import ApiKeys, Bearer
    from app.web.bodies import Bodies
    from app.web.key_fields import KeyFields
    from domain.allowance import KeyRow
    from domain.donation import Donated

COUNT_MAX = 50
NOBODY = AccountRow(0, 0, "", "")
PREVIEW_CHARACTERS = 8


class KeyDesk:
    """Shows a key what binds it and what it has, makes its children, takes donations.

    `used` tells how many requests an account has made and what they have cost, in msat.
    """

    def __init__(
        self,
        bearer: Bearer,
        api_keys: ApiKeys,
        keys: Keys,
        fields: KeyFields,
        bodies: Bodies,
        account: Callable[[UUID], AccountRow | None],
        used: Callable[[UUID], tuple[int, int]],
        donate: Callable[[UUID, UUID, Msat | None], Donated],
    ) -> None:
        self._bearer = bearer
        self._api_keys = api_keys
        self._keys = keys
        self._fields = fields
        self._bodies = bodies
        self._account = account
        self._used = used
        self._donate = donate

    def info(self) -> Response:
        """Return what may be spent, what is held, what binds the key and what it has used.

        A child is shown its parent's money and no more of it than a mark; a parent is shown
        its children.
        """
        secret = credential(request.headers.get("Authorization", ""))
        spender = self._bearer.spender_of(secret)
        account = self._account(spender.account_id) or NOBODY
        row, now = self._keys.row(spender.id), datetime.now(UTC)
        document: dict[str, Any] = {
            "api_key": secret,
            "balance": account.available_msat,
            "reserved": account.held_msat,
            "is_child": spender.is_child,
        }
        if spender.is_child and row is not None:
            parent = spender.account_id.hex[:PREVIEW_CHARACTERS]
            told = {**_told(row, now), "parent_key_preview": f"{parent}…"}
            return as_json({**document, **told})
        requests, spent_msat = self._used(spender.account_id)
        document |= {"total_requests": requests, "total_spent": spent_msat}
        document |= _bounds(row, now)
        expires_at = row.rules.expires_at if row else None
        document["key_expiry_time"] = _seconds(expires_at)
        document["refund_address"] = self._keys.refund_address(spender.account_id) or None
        document["child_keys"] = [
            {
                "api_key": self._api_keys.of_child(child.salt),
                "id": str(child_id),
                **_told(child, now),
            }
            for child_id, child in self._keys.children(spender.account_id)
            if child.salt is not None
        ]
        return as_json(document)

    def make_children(self) -> Response:
        """Make child keys, up to 50 at once, each bound by the same rules.

        Asked again under the same `Idempotency-Key`, the same keys are returned.
        """
        spender = self._spender()
        given = self._bodies.read_object()
        count = given.get("count", 1)
        if type(count) is not int or not 1 <= count <= COUNT_MAX:
            raise InvalidParameterError("count", f"must be a number from 1 to {COUNT_MAX}")
        name = request_name()
        salts = [self._salt(spender, name, number) for number in range(count)]
        cost_msat = self._keys.make(
            spender,
            lambda salt: account_of_key(self._api_keys.of_child(salt)),
            salts,
            self._fields.limits(given),
            name or str(current_visit().request_id),
        )
        left = self._account(spender.account_id) or NOBODY
        return as_json(
            {
                "api_keys": [self._api_keys.of_child(salt) for salt in salts],
                "count": count,
                "cost_msats": cost_msat,
                "cost_sats": cost_msat // MSAT_PER_SAT,
                "parent_balance": left.available_msat,
                "parent_balance_sats": left.available_msat // MSAT_PER_SAT,
            }
        )

    def reset_child(self) -> Response:
        """Let a child's window begin anew; nothing that it has spent is forgotten."""
        spender = self._spender()
        child = self._bodies.read_object().get("child_key")
        if not isinstance(child, str) or not child.strip():
            raise NoChildKeyError
        self._keys.reset(spender, account_of_key(child.strip()))
        return as_json({"success": True, "message": "The child key's limit begins anew."})

    def donate(self) -> Response:
        """Give what is available, an amount of it, or a token, to the house."""
        given = {**request.args.to_dict(), **self._bodies.read_object()}
        token, name = given.get("token"), request_name()
        if token is not None:
            return self._donate_token(token)
        spender = self._spender()
        if spender.is_child:
            raise ChildKeyError
        account_id = spender.account_id
        donation_id = (
            uuid5(account_id, "donation:" + name) if name else current_visit().request_id
        )
        donated = self._donate(donation_id, account_id, amount_of(given))
        left = self._account(account_id) or NOBODY
        return as_json(
            {
                "message": "Thanks!",
                "donated_msats": donated.amount_msat,
                "balance": left.available_msat,
            }
        )

    def _donate_token(self, text: object) -> Response:
        account_id, credited_msat = self._bearer.deposited(text)
        donation_id = uuid5(account_id, "donation")
        self._donate(donation_id, account_id, Msat(credited_msat))
        return as_json("Thanks!")

    def _spender(self) -> Spender:
        return self._bearer.spender(request.headers.get("Authorization", ""))

    @staticmethod
    def _salt(spender: Spender, name: str | None, number: int) -> UUID:
        if name is None:
            return new_request_id()
        return uuid5(spender.account_id, f"child:{number}:{name}")


def _told(row: KeyRow, now: datetime) -> Mapping[str, Any]:
    return {
        "total_requests": row.requests,
        "total_spent": row.total_msat,
        **_bounds(row, now),
    }


def _bounds(row: KeyRow | None, now: datetime) -> Mapping[str, Any]:
    """Return what binds a key; `balance_limit_spent` is of the window of now."""
    rules = row.rules if row else Rules()
    return {
        "balance_limit": rules.limit_msat,
        "balance_limit_reset": rules.reset or None,
        "balance_limit_spent": as_of(row, now).spent_msat if row else 0,
        "balance_limit_left": left_msat(row, now) if row else None,
        "validity_date": _seconds(rules.valid_until),
        "allowed_models": list(rules.models) or None,
    }


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())
