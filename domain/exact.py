"""Reading decimal numbers exactly, whatever they were written as."""

from __future__ import annotations

import re
from fractions import Fraction

NUMBER = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?")


def exact(number: object) -> Fraction:
    """Read a decimal number from text, an int or a JSON float without rounding it.

    A float is read by its shortest text, which is what its writer wrote. Raises
    `ValueError` for anything else, also for text that would take long to work out.

    >>> exact("0.00000015") == exact(1.5e-07) == Fraction(3, 20_000_000)
    True
    """
    text = "" if isinstance(number, bool) else str(number)
    if not isinstance(number, (str, int, float)) or NUMBER.fullmatch(text) is None:
        raise ValueError("is not a decimal number")
    return Fraction(text)
