"""What clients send to bind a key: limits, models, its end, and where money goes then."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import request
from msgspec import UNSET

from app.cashier.keys import Wanted
from app.gateways.errors import RefusedError
from app.web.refusals import InvalidParameterError
from domain.allowance import RESETS
from domain.key import Changes
from domain.msat import MSAT_PER_UNIT, Msat
from domain.price_list import FLAT_ID
from projections.moments import MomentError, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from msgspec import UnsetType

    from app.cashier.keys import Keys

ADDRESS_HEADER, EXPIRY_HEADER = "Refund-LNURL", "Key-Expiry-Time"
AMOUNT_MSAT_MAX = 21_000_000 * 100_000_000 * 1_000
SECONDS_MAX = 32_503_680_000
"""The year 3000: what is later is milliseconds by mistake."""

MODELS_MAX = 100
ADDRESS_CHARACTERS_MAX = 2_000
NEVER = frozenset({"", "never", "none"})
NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


class KeyFields:
    """Reads the fields; what is not given, or is `null`, changes nothing.

    `check_address` raises a `RefusedError` for what is no Lightning address or LNURL;
    `model_ids` yields what the ledger calls a model, or raises `UnknownModelError`.
    """

    def __init__(
        self,
        check_address: Callable[[str], object],
        model_ids: Callable[[str], Iterable[str]],
    ) -> None:
        self._check_address = check_address
        self._model_ids = model_ids

    def limits(self, given: Mapping[str, object]) -> Changes:
        """Return what is to limit a key; raises `InvalidParameterError`."""
        return Changes(
            limit_msat=_limit(given.get("balance_limit")),
            reset=_reset(given.get("balance_limit_reset")),
            valid_until=_time("validity_date", given.get("validity_date")),
            models=self._models(given.get("allowed_models")),
        )

    def ending(self, given: Mapping[str, object]) -> Wanted:
        """Return when an account is to end and where its money is to go then.

        Of the current request the body goes before the headers. Raises
        `InvalidParameterError`.
        """
        expiry = given.get("key_expiry_time")
        name = "key_expiry_time" if expiry is not None else EXPIRY_HEADER
        if expiry is None:
            expiry = request.headers.get(EXPIRY_HEADER)
        return Wanted(Changes(expires_at=_time(name, expiry)), self._address(given))

    def whole(self, given: Mapping[str, object]) -> Wanted:
        """Return all that is to bind a key."""
        ending, limits = self.ending(given), self.limits(given)
        changes = Changes(
            limit_msat=limits.limit_msat,
            reset=limits.reset,
            valid_until=limits.valid_until,
            models=limits.models,
            expires_at=ending.changes.expires_at,
        )
        return Wanted(changes, ending.refund_to)

    def _models(self, given: object) -> tuple[str, ...] | UnsetType:
        if given is None:
            return UNSET
        names = given.split(",") if isinstance(given, str) else given
        if not isinstance(names, list) or len(names) > MODELS_MAX:
            raise InvalidParameterError(
                "allowed_models", f"must be a list of at most {MODELS_MAX} models"
            )
        if not all(isinstance(name, str) for name in names):
            raise InvalidParameterError("allowed_models", "must be ids of models")
        ids = {each for name in names if name.strip() for each in self._model_ids(name.strip())}
        if FLAT_ID in ids:
            # All models have one price: the ledger does not know which one is asked.
            raise InvalidParameterError("allowed_models", "is not offered here")
        return tuple(sorted(ids))

    def _address(self, given: Mapping[str, object]) -> str | None:
        for name in ("refund_address", "refund_lnurl", ADDRESS_HEADER):
            text = request.headers.get(name) if name == ADDRESS_HEADER else given.get(name)
            if text is None:
                continue
            if not isinstance(text, str) or len(text) > ADDRESS_CHARACTERS_MAX:
                raise InvalidParameterError(name, "must be a Lightning address or LNURL")
            address = text.strip()
            if address:
                try:
                    self._check_address(address)
                except RefusedError as error:
                    raise InvalidParameterError(
                        name, "must be a Lightning address or LNURL"
                    ) from error
            return address
        return None


@dataclass(frozen=True, slots=True)
class Binding:
    """How keys are bound: what reads the wishes, and what does them."""

    keys: Keys
    fields: KeyFields


def amount_of(given: Mapping[str, object]) -> Msat | None:
    """Return the amount that is asked for, `None` for all there is.

    It is `sats`, `amount_sats`, `msats`, or `amount` in the `unit` beside it, sat if there is
    none. Raises `InvalidParameterError`.
    """
    unit = given.get("unit") or "sat"
    if unit not in MSAT_PER_UNIT:
        raise InvalidParameterError("unit", "must be sat or msat")
    units = {"amount": unit, "sats": "sat", "amount_sats": "sat", "msats": "msat"}
    named = [name for name in units if given.get(name) is not None]
    if not named:
        return None
    if len(named) > 1:
        raise InvalidParameterError(named[1], f"goes without {named[0]}")
    if named[0] == "amount_sats" and isinstance(given[named[0]], str):
        raise InvalidParameterError(named[0], "must be a whole number from 1")
    amount = _whole(named[0], given[named[0]], 1)
    return Msat(amount * MSAT_PER_UNIT[str(units[named[0]])])


def _limit(given: object) -> int | UnsetType:
    return UNSET if given is None else _whole("balance_limit", given, 0)


def _reset(given: object) -> str | UnsetType:
    if given is None:
        return UNSET
    text = given.strip().lower() if isinstance(given, str) else "?"
    reset = "" if text in NEVER else text
    if reset not in RESETS:
        raise InvalidParameterError(
            "balance_limit_reset", "must be daily, weekly, monthly or never"
        )
    return reset


def _time(name: str, given: object) -> datetime | UnsetType | None:
    """Return a time given in seconds since 1970 or written (RFC 3339); 0 is no time at all."""
    if given is None:
        return UNSET
    if isinstance(given, str) and not NUMBER.fullmatch(given.strip()):
        try:
            return moment(given.strip())
        except MomentError as error:
            raise InvalidParameterError(name, "must be a time, in seconds") from error
    seconds = _whole(name, given, 0)
    if seconds > SECONDS_MAX:
        raise InvalidParameterError(name, "must be a time, in seconds")
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _whole(name: str, given: object, least: int) -> int:
    number = given
    if isinstance(given, str) and NUMBER.fullmatch(given.strip()):
        number = int(given)
    if type(number) is not int or not least <= number <= AMOUNT_MSAT_MAX:
        raise InvalidParameterError(name, f"must be a whole number from {least}")
    return number
