"""Counters that the log did not know were used: found at the mint, and left behind for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.command import Needs
from domain.errors import CountersMovedError, KeysetTakenError
from domain.event import Entry, Event
from domain.guards import GuardRows
from domain.identity import advance_of_keyset


class KeysetAdvanced(Event, frozen=True, kw_only=True):
    """A mint has signed outputs of ours that the log knows nothing of; they are passed over.

    That is so after an old backup was restored. Of the counters from `counter_from` to
    just before `counter_to`, `signed_count` were signed; those not spent yet are worth
    `unspent_msat`. It is nobody's in these books: it may be what clients once paid, or
    tokens that they still hold.
    """

    TOPIC: ClassVar[str] = "keyset.advanced"
    mint: str
    unit: str
    keyset_id: str
    counter_from: int
    counter_to: int
    signed_count: int
    unspent_msat: int

    def apply(self, rows: GuardRows, _stream: UUID, _version: int) -> None:
        count = self.counter_to - self.counter_from
        rows.use_counters(self.keyset_id, self.mint, self.unit, self.counter_from, count)


@dataclass(frozen=True, slots=True)
class AdvanceKeyset:
    """Record what was found behind the counters that the log knows.

    Raises `CountersMovedError` when they have been used meanwhile: then what was found is
    perhaps of that use, and is to be looked for anew. Raises `KeysetTakenError`.
    """

    mint: str
    unit: str
    keyset_id: str
    counter_from: int
    counter_to: int
    signed_count: int
    unspent_msat: int

    @property
    def stream(self) -> UUID:
        return advance_of_keyset(self.keyset_id, self.counter_from)

    def need(self, needs: Needs) -> None:
        needs.keysets.add(self.keyset_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        row = rows.keysets.get(self.keyset_id)
        if row is not None and row.mint != self.mint:
            raise KeysetTakenError
        if (row.next_counter if row else 0) != self.counter_from:
            raise CountersMovedError
        advanced = KeysetAdvanced(
            at=at,
            mint=self.mint,
            unit=self.unit,
            keyset_id=self.keyset_id,
            counter_from=self.counter_from,
            counter_to=self.counter_to,
            signed_count=self.signed_count,
            unspent_msat=self.unspent_msat,
        )
        return Entry(self.stream, 1, advanced)

    def replay(self, history: Sequence[Entry]) -> Entry:
        # Counters only go on, so that nobody can find the same ones a second time.
        return history[0]
