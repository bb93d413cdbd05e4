"""An account's names erased: what was sealed for it can be read by nobody any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from msgspec import structs

from domain.allowance import KeyRow
from domain.command import AskTheLogError, Needs
from domain.errors import ChildKeyError, MovementEndedError, UnknownAccountError
from domain.event import Entry, Event
from domain.guards import GuardRows

WHO_MAX = 100


class AccountErased(Event, frozen=True, kw_only=True):
    """What names the owner of an account was erased for ever; `who` wanted it so.

    The stream is the account. The key under which its addresses were sealed is destroyed
    after this; the money is what it was.
    """

    TOPIC: ClassVar[str] = "account.erased"
    who: str

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        row = rows.keys.get(stream) or KeyRow(0, self.at)
        rules = structs.replace(row.rules, refund_to="")
        rows.keys.put(stream, row._replace(version=version, rules=rules, erased=1))
        rows.bind(stream)


@dataclass(frozen=True, slots=True)
class Erase:
    """Erase the names of an account; a repetition returns the first event.

    Raises `UnknownAccountError`, and `ChildKeyError` for a child, which has no name.
    """

    stream: UUID
    who: str

    def need(self, needs: Needs) -> None:
        needs.accounts.add(self.stream)
        needs.keys.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        row = rows.keys.get(self.stream)
        if row is None and rows.accounts.get(self.stream) is None:
            raise UnknownAccountError(self.stream)
        if row is not None and row.parent_id is not None:
            raise ChildKeyError
        if row is not None and row.erased:
            raise AskTheLogError
        version = row.version + 1 if row else 1
        return Entry(self.stream, version, AccountErased(at=at, who=self.who[:WHO_MAX]))

    def replay(self, history: Sequence[Entry]) -> Entry:
        for entry in history:
            if isinstance(entry.event, AccountErased):
                return entry
        # Another process has bound the key meanwhile; whoever asks may ask again.
        raise MovementEndedError(self.stream, history[-1].event)
