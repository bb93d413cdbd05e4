"""What a request costs, and what of it."""

from __future__ import annotations

from dataclasses import dataclass

from domain.msat import ZERO, Msat


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request costs; `base`, `input` and `output` add up to `total`.

    `cache_read` and `cache_write` are parts of `input`, each rounded down: together they
    are never more than it.
    """

    total: Msat
    base: Msat
    input: Msat
    output: Msat
    cache_read: Msat = ZERO
    cache_write: Msat = ZERO

    def scaled(self, total_msat: int) -> Cost:
        """Return another total, with the parts in the same proportion, rounded down.

        >>> half = Cost(Msat(10), Msat(1), Msat(4), Msat(5)).scaled(5)
        >>> half.total, half.base, half.input, half.output
        (Msat(msat=5), Msat(msat=0), Msat(msat=2), Msat(msat=3))
        """
        whole = self.total.msat or 1

        def share(part: Msat) -> int:
            return total_msat * part.msat // whole

        base_msat, entered_msat = share(self.base), share(self.base + self.input)
        return Cost(
            total=Msat(total_msat),
            base=Msat(base_msat),
            input=Msat(entered_msat - base_msat),
            output=Msat(total_msat - entered_msat),
            cache_read=Msat(share(self.cache_read)),
            cache_write=Msat(share(self.cache_write)),
        )
