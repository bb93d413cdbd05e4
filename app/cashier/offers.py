"""Finds the invoice and the mint for a payment, so that the amount fits beside its fees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from app.cashier.errors import NoLightningError, PayoutFeeError
from app.gateways.errors import AddressBarredError, GatewayError, RecipientError
from app.gateways.mint.errors import InvoiceError
from domain.errors import (
    InsufficientFundsError,
    NothingToRefundError,
    OwnerMayNotDrawError,
    PurseShortError,
    UnexplainedError,
)
from domain.msat import MSAT_PER_SAT, MSAT_PER_UNIT
from domain.payout import Offer
from domain.purse import PPK, Purse

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.gateways.lnurl import LightningAddresses, PayTerms
    from app.gateways.mint.mints import Mints
    from app.gateways.mint.wallet import Wallet

TRIES_MAX = 4
"""Invoices that are asked for at one mint until one fits beside its fees."""

RESERVE_PERCENT, RESERVE_MIN_MSAT = 1, 2_000
"""What mints usually ask for as a reserve: where to begin, not what is believed."""

FEE_PERCENT_MAX, FEE_MIN_MSAT = 5, 10_000
"""What a mint may ask for at most: so much, and so much of the amount."""

INPUTS_USUAL = 10
_Started = TypeVar("_Started")


@dataclass(frozen=True, slots=True)
class Wish:
    """A payment to a recipient: `amount_msat` is to arrive, or as much as `budget_msat` buys.

    It comes from `home`, a mint, if that can pay, else from another, unless it `stays`.
    """

    account_id: UUID
    terms: PayTerms
    budget_msat: int
    amount_msat: int | None
    home: str
    stays: bool = False
    held_msat: int = 0


class Purses(Protocol):
    """What is read of the store."""

    def free(self, mint: str, unit: str) -> int: ...

    def keysets_free(self, mint: str, unit: str) -> list[str]: ...


class Offers:
    """Asks recipients for invoices and mints for what paying these would cost."""

    def __init__(self, mints: Mints, addresses: LightningAddresses, purses: Purses) -> None:
        self._mints = mints
        self._addresses = addresses
        self._purses = purses
        self._able: dict[str, bool] = {}

    def take(
        self, wish: Wish, start: Callable[[Purse, Offer], _Started]
    ) -> tuple[_Started, Offer]:
        """Return what `start` makes of the first offer that fits, and that offer.

        Raises `InsufficientFundsError`, `NothingToRefundError`, `PurseShortError`,
        `PayoutFeeError`, `NoLightningError`, for the owner `OwnerMayNotDrawError`, and what
        the gateways raise; then `start` has made nothing.
        """
        if wish.amount_msat is not None and wish.amount_msat > wish.budget_msat:
            # Whoever has too little is told so, also by a house that has nothing either.
            raise _too_little(wish, wish.amount_msat)
        failure: Exception = PurseShortError()
        for wallet, unit in self._places(wish):
            try:
                return self._taken_at(wish, wallet, unit, start)
            except (RecipientError, AddressBarredError):
                # It would be the same with every mint.
                raise
            except (PurseShortError, PayoutFeeError, NoLightningError, GatewayError) as error:
                failure = error
        raise failure

    def _places(self, wish: Wish) -> list[tuple[Wallet, str]]:
        """Return mints and units that have money, those that can pay it all before others."""
        urls = [wish.home] if wish.stays else [wish.home, *self._mints.urls]
        wanted_msat = wish.amount_msat or wish.budget_msat
        found = [
            (self._free_msat(url, unit), url, unit)
            for url in dict.fromkeys(urls)
            for unit in MSAT_PER_UNIT
            if url in self._mints.urls
        ]
        found.sort(key=lambda place: (place[0] < wanted_msat, place[1] != wish.home, -place[0]))
        return [(self._mints.get(url), unit) for free_msat, url, unit in found if free_msat]

    def _free_msat(self, url: str, unit: str) -> int:
        return self._purses.free(url, unit) * MSAT_PER_UNIT[unit]

    def _taken_at(
        self,
        wish: Wish,
        wallet: Wallet,
        unit: str,
        start: Callable[[Purse, Offer], _Started],
    ) -> tuple[_Started, Offer]:
        purse = self._purse(wallet, unit)
        budget_msat = min(wish.budget_msat, self._free_msat(wallet.url, unit))
        amount_msat = wish.amount_msat or _guess_msat(budget_msat, purse)
        for _ in range(TRIES_MAX):
            amount_msat = _payable_msat(amount_msat, wish)
            offer = self._offer(wish, wallet, unit, amount_msat)
            _demand_budget(wish, offer, purse)
            try:
                return start(purse, offer), offer
            except UnexplainedError:
                raise
            except (InsufficientFundsError, OwnerMayNotDrawError) as error:
                if wish.amount_msat is not None:
                    raise
                amount_msat -= max(_missing_msat(error), MSAT_PER_SAT)
            except PurseShortError:
                if wish.amount_msat is not None or amount_msat < budget_msat // 2:
                    raise
                amount_msat -= max(amount_msat // 10, MSAT_PER_SAT)
        raise NothingToRefundError(available_msat=wish.budget_msat)

    def _purse(self, wallet: Wallet, unit: str) -> Purse:
        if wallet.url not in self._able:
            self._able[wallet.url] = wallet.gives_change()
        if not self._able[wallet.url]:
            # All that its payments do not need would be the mint's.
            raise NoLightningError
        fees = wallet.keysets.fees(unit, self._purses.keysets_free(wallet.url, unit))
        return Purse(wallet.url, unit, wallet.keysets.active(unit).id, fees)

    def _offer(self, wish: Wish, wallet: Wallet, unit: str, amount_msat: int) -> Offer:
        request = self._addresses.invoice(wish.terms, amount_msat)
        try:
            terms = wallet.melt_quote(request, unit)
        except InvoiceError as error:
            raise NoLightningError from error
        reserve_msat = terms.fee_reserve * MSAT_PER_UNIT[unit]
        if reserve_msat > FEE_MIN_MSAT + amount_msat * FEE_PERCENT_MAX // 100:
            raise PayoutFeeError
        return Offer(terms.quote, terms.amount, terms.fee_reserve)


def _demand_budget(wish: Wish, offer: Offer, purse: Purse) -> None:
    """Raise `InsufficientFundsError` if that amount cannot be paid, whichever mint pays it."""
    required_msat = (offer.amount + offer.fee_reserve) * purse.msat_per_unit
    if wish.amount_msat is not None and required_msat > wish.budget_msat:
        raise _too_little(wish, required_msat)


def _too_little(wish: Wish, required_msat: int) -> InsufficientFundsError:
    return InsufficientFundsError(
        required_msat=required_msat,
        available_msat=wish.budget_msat,
        held_msat=wish.held_msat,
    )


def _guess_msat(budget_msat: int, purse: Purse) -> int:
    """Return what is likely to fit into a budget with its fees."""
    ppk = max(purse.fee_ppk.values(), default=0) * INPUTS_USUAL
    left_msat = budget_msat + (-ppk // PPK) * purse.msat_per_unit
    reserve_msat = max(RESERVE_MIN_MSAT, left_msat * RESERVE_PERCENT // (100 + RESERVE_PERCENT))
    return left_msat - reserve_msat


def _payable_msat(amount_msat: int, wish: Wish) -> int:
    """Return whole sats within the recipient's bounds, for few take parts of one."""
    amount_msat -= amount_msat % MSAT_PER_SAT
    if wish.amount_msat is None:
        amount_msat = min(amount_msat, wish.terms.max_msat)
        amount_msat -= amount_msat % MSAT_PER_SAT
    if amount_msat <= 0:
        raise NothingToRefundError(available_msat=wish.budget_msat)
    return amount_msat


def _missing_msat(error: InsufficientFundsError | OwnerMayNotDrawError) -> int:
    if isinstance(error, OwnerMayNotDrawError):
        return error.wanted_msat - error.surplus_msat
    return error.required_msat - error.available_msat
