"""The door through which events of foreign tokens are written; a part of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from domain.command import Command
from domain.event import Entry
from domain.foreign import (
    ArriveForeign,
    CreditForeign,
    ForeignCredited,
    ForeignRefused,
    QuoteForeign,
    RefuseForeign,
)

if TYPE_CHECKING:
    from uuid import UUID

    from domain.deposit import Claim, Signed
    from domain.foreign import ForeignArrived, ForeignMelt, ForeignQuoted
    from domain.invoice import Bill

Record = Callable[[Command], Entry]
"""Carries a command into a transaction and returns its entry, durable, or raises."""

E = TypeVar("E")


class ForeignLedger:
    """The use cases of foreign tokens; each returns when its event is durable."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def quote_foreign(
        self, token_id: UUID, version: int, claim: Claim, bill: Bill, melt: ForeignMelt
    ) -> Entry:
        """Record what both mints ask for a foreign token, which is about to be melted.

        Returns the movement's newest entry, whatever it is. Raises `TokenTakenError`.
        """
        return self._record(QuoteForeign(token_id, version, claim, bill, melt))

    def arrive_foreign(
        self, newest: Entry, quoted: ForeignQuoted, keyset_id: str, amounts: tuple[int, ...]
    ) -> Entry:
        """Record the outputs about to be minted for a foreign token that has arrived."""
        stream, version, _ = newest
        return self._record(ArriveForeign(stream, version, quoted, keyset_id, amounts))

    def credit_foreign(
        self,
        newest: Entry,
        arrived: ForeignArrived,
        proofs: tuple[Signed, ...],
        change: tuple[Signed, ...],
        change_unit: str,
    ) -> ForeignCredited:
        """Record what came of a foreign token here, and what is left of it there.

        Raises `UnknownMovementError`, `MovementEndedError`.
        """
        stream, version, _ = newest
        command = CreditForeign(stream, version, arrived, proofs, change, change_unit)
        return expect(self._record(command), ForeignCredited)

    def refuse_foreign(
        self, newest: Entry, quoted: ForeignQuoted, reason: str, *, claims: bool
    ) -> ForeignRefused:
        """Record that nothing has arrived of a foreign token.

        Raises `UnknownMovementError`, `MovementEndedError`.
        """
        command = RefuseForeign(newest.stream, newest.version, quoted, reason, claims)
        return expect(self._record(command), ForeignRefused)


def expect(entry: Entry, kind: type[E]) -> E:
    """Return the event of `entry`, which is of the `kind` that was asked for."""
    if not isinstance(entry.event, kind):
        raise TypeError(f"recorded {type(entry.event).__name__}, not what was asked for")
    return entry.event
