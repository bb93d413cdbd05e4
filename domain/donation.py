"""Donations: money that a client gives to the house."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.command import AskTheLogError, Needs
from domain.errors import InsufficientFundsError, UnknownAccountError
from domain.event import Entry, Event
from domain.guards import GuardRows


class Donated(Event, frozen=True, kw_only=True):
    """A client gave `amount_msat` of what was available to the house."""

    TOPIC: ClassVar[str] = "donation.given"
    account_id: UUID
    amount_msat: int

    def apply(self, rows: GuardRows, _stream: UUID, _version: int) -> None:
        rows.add(self.account_id, -self.amount_msat)


@dataclass(frozen=True, slots=True)
class Donate:
    """Give `amount_msat` to the house, or all that is available.

    Raises `UnknownAccountError`, `InsufficientFundsError`; a repetition returns the first
    donation.
    """

    stream: UUID
    account_id: UUID
    amount_msat: int | None = None

    def need(self, needs: Needs) -> None:
        needs.accounts.add(self.account_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        account = rows.accounts.get(self.account_id)
        if account is None:
            raise UnknownAccountError(self.account_id)
        wanted_msat = self.amount_msat
        if wanted_msat is None:
            wanted_msat = account.available_msat
        if not 0 < wanted_msat <= account.available_msat:
            short = InsufficientFundsError(
                required_msat=max(1, wanted_msat),
                available_msat=account.available_msat,
                held_msat=account.held_msat,
            )
            # It may have been given before: of what is left now this says nothing.
            raise AskTheLogError(short)
        donated = Donated(at=at, account_id=self.account_id, amount_msat=wanted_msat)
        return Entry(self.stream, 1, donated)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return history[0]
