"""Ways for a token to become money here, beside being swapped at its mint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from domain.deposit import Credited
from domain.foreign import ForeignCredited
from domain.instant import InstantCredited

if TYPE_CHECKING:
    from uuid import UUID

    from app.gateways.mint.tokens import Token
    from domain.event import Entry
    from domain.msat import Msat

Deposited: TypeAlias = Credited | InstantCredited | ForeignCredited
"""How a deposit ends well, whichever way it went."""


class Way(Protocol):
    """One way. Each method answers None for what does not go that way."""

    def worth(self, token: Token) -> Msat | None:
        """Return what would be credited at least; the token's mint is not shown the token."""

    def begin(self, token: Token, account_id: UUID, stream: UUID) -> Entry | None:
        """Record the first step of a deposit; return its newest entry."""

    def left_over(self, stream: UUID, credited: Deposited) -> str | None:
        """Return a token for what is left of the one deposited, at its own mint."""

    def step(self, entry: Entry) -> Entry | None:
        """Take the next step; return its entry. What is refused is told as an error."""
