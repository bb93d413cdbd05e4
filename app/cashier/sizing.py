"""How large a token must be, so that it covers a price after its mint has taken its fee."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.gateways.errors import OutcomeUnknownError, RefusedError
from domain.msat import MSAT_PER_SAT

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.gateways.mint.mints import Mints
    from domain.msat import Msat

UNIT = "sat"
LOOK_AGAIN_S = 60.0
PPK = 1000
PROOFS_SPARE = 4
"""Proofs that a token may have above the fewest that its amount can be made of."""
STEPS_MAX = 64


class TokenSizes:
    """Works out amounts of tokens, in whole sat.

    The fee counted on is the highest of our mints'. What a mint has said is remembered for
    a minute, and so is that it did not answer: strangers who ask for a price must not make
    us wait for a mint, nor ask it, as often as they like.
    """

    def __init__(self, mints: Mints, clock: Callable[[], float] = time.monotonic) -> None:
        self._mints = mints
        self._clock = clock
        self._fees: dict[str, int] = {}
        self._look_again_at_s = float("-inf")

    @property
    def mints(self) -> tuple[str, ...]:
        return self._mints.urls

    def fee_ppk(self) -> int:
        """Return the fee for each proof, in thousandths of a sat (NUT-02)."""
        now_s = self._clock()
        if now_s >= self._look_again_at_s:
            self._look_again_at_s = now_s + LOOK_AGAIN_S
            self._look()
        return max(self._fees.values(), default=0)

    def token_sat(self, price: Msat) -> int:
        """Return the smallest token that pays `price`, whichever proofs it is made of."""
        return token_sat(price.msat, self.fee_ppk())

    def _look(self) -> None:
        for wallet in self._mints:
            try:
                self._fees[wallet.url] = wallet.keysets.active(UNIT).fee_ppk
            except (OutcomeUnknownError, RefusedError):
                # What it said before holds on; a new mint that is away costs nothing yet.
                continue


def token_sat(price_msat: int, fee_ppk: int) -> int:
    """Return the amount of the smallest token that is worth `price_msat` after the fee.

    >>> token_sat(1, 0), token_sat(1_001, 0), token_sat(0, 100)
    (1, 2, 2)
    """
    price_sat = max(1, -(-price_msat // MSAT_PER_SAT))
    amount_sat = price_sat
    for _ in range(STEPS_MAX):
        fee_sat = -(-(amount_sat.bit_length() + PROOFS_SPARE) * fee_ppk // PPK)
        if not fee_ppk or amount_sat - fee_sat >= price_sat:
            break
        amount_sat = price_sat + fee_sat
    return amount_sat
