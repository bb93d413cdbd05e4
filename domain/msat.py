"""Msat: the one way to say how much money, in thousandths of a satoshi."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from domain.errors import NegativeAmountError

if TYPE_CHECKING:
    from fractions import Fraction

MSAT_PER_SAT = 1000
MSAT_PER_BTC = 100_000_000 * MSAT_PER_SAT
MSAT_PER_UNIT = {"sat": MSAT_PER_SAT, "msat": 1}
"""The units of ecash that are dealt in here, and what one of each is worth."""


@dataclass(frozen=True, slots=True, order=True)
class Msat:
    """An amount of money that cannot be below zero.

    >>> Msat(1500) - Msat(500)
    Msat(msat=1000)
    >>> Msat(1) - Msat(2)
    Traceback (most recent call last):
    domain.errors.NegativeAmountError: An amount of money would fall below zero: -1 msat.
    """

    msat: int

    def __post_init__(self) -> None:
        if self.msat < 0:
            raise NegativeAmountError(amount_msat=self.msat)

    @classmethod
    def from_sat(cls, amount_sat: int) -> Msat:
        """Return `amount_sat` whole satoshis.

        >>> Msat.from_sat(2)
        Msat(msat=2000)
        """
        return cls(amount_sat * MSAT_PER_SAT)

    @classmethod
    def ceil(cls, amount: Fraction) -> Msat:
        """Round up: a fraction of a msat is charged as a whole one.

        >>> from fractions import Fraction
        >>> Msat.ceil(Fraction(1, 3))
        Msat(msat=1)
        """
        return cls(ceil(amount))

    def to_sat(self) -> int:
        """Round down to whole satoshis: what we pay out is never more than is owed.

        >>> Msat(1999).to_sat()
        1
        """
        return self.msat // MSAT_PER_SAT

    def __add__(self, other: Msat) -> Msat:
        return Msat(self.msat + other.msat)

    def __sub__(self, other: Msat) -> Msat:
        return Msat(self.msat - other.msat)

    def __bool__(self) -> bool:
        return self.msat > 0


ZERO = Msat(0)
