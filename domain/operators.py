"""What the operators of the house are, and what each of them has done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NoReturn
from uuid import UUID

from domain.command import Needs
from domain.errors import InvalidOperatorError, OperatorChangedError
from domain.event import Entry, Event
from domain.guards import GuardRows
from domain.rights import OperatorRow, check_operator

TEXT_MAX = 200


class OperatorSet(Event, frozen=True, kw_only=True):
    """From now on the operator called `name` may do what `scopes` say; `who` wanted it so.

    `password_id` names the password; its hash is not in the log, for whoever reads that
    could guess at it for ever. The stream is the operator's own.
    """

    TOPIC: ClassVar[str] = "operator.set"
    name: str
    scopes: tuple[str, ...]
    who: str
    password_id: UUID | None = None

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        row = OperatorRow(stream, version, self.scopes, self.password_id)
        rows.operators.put(self.name, row)


class OperatorSignedOut(Event, frozen=True, kw_only=True):
    """Every session of an operator has ended, wherever it was."""

    TOPIC: ClassVar[str] = "operator.signed_out"
    name: str
    who: str

    def apply(self, rows: GuardRows, _stream: UUID, version: int) -> None:
        row = rows.operator(self.name)
        rows.operators.put(self.name, row._replace(version=version))


class OperatorRemoved(Event, frozen=True, kw_only=True):
    """An operator is one no more."""

    TOPIC: ClassVar[str] = "operator.removed"
    name: str
    who: str

    def apply(self, rows: GuardRows, _stream: UUID, _version: int) -> None:
        rows.operators.drop(self.name)


class OperatorActed(Event, frozen=True, kw_only=True):
    """An operator did something that changes no books: `act`, `about` what.

    Who could not sign in has no name. Each is a movement of its own.
    """

    TOPIC: ClassVar[str] = "operator.acted"
    who: str
    act: str
    about: str = ""

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        """Change nothing: no decision asks for it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an operator who was at `version` when it was wanted, 0 if not there.

    Raises `OperatorChangedError` if it is not so any more, and `InvalidOperatorError`.
    """

    stream: UUID
    version: int
    name: str
    who: str

    def need(self, needs: Needs) -> None:
        needs.operators.add(self.name)

    def replay(self, _history: Sequence[Entry]) -> NoReturn:
        raise OperatorChangedError(self.name)

    def _placed(self, rows: GuardRows, event: Event) -> Entry:
        check_text("who", self.who)
        row = rows.operators.get(self.name)
        is_new = row is None and self.version == 0 and isinstance(event, OperatorSet)
        is_it = row is not None and row[:2] == (self.stream, self.version)
        if not (is_new or is_it):
            raise OperatorChangedError(self.name)
        return Entry(self.stream, self.version + 1, event)


@dataclass(frozen=True, slots=True)
class SetOperator(Change):
    """Make an operator, or change password or scopes; all sessions of theirs end."""

    scopes: tuple[str, ...]
    password_id: UUID | None

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        check_operator(self.name, self.scopes)
        event = OperatorSet(
            at=at,
            name=self.name,
            scopes=self.scopes,
            who=self.who,
            password_id=self.password_id,
        )
        return self._placed(rows, event)


@dataclass(frozen=True, slots=True)
class SignOutOperator(Change):
    """End every session of an operator."""

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        return self._placed(rows, OperatorSignedOut(at=at, name=self.name, who=self.who))


@dataclass(frozen=True, slots=True)
class RemoveOperator(Change):
    """Let an operator be one no more."""

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        return self._placed(rows, OperatorRemoved(at=at, name=self.name, who=self.who))


@dataclass(frozen=True, slots=True)
class NoteAct:
    """Write down what an operator did; the `stream` is the act's own."""

    stream: UUID
    who: str
    act: str
    about: str = ""

    def need(self, needs: Needs) -> None:
        """Read nothing: what was done was done."""

    def decide(self, _rows: GuardRows, at: datetime) -> Entry:
        check_text("who", self.who)
        check_text("act", self.act)
        acted = OperatorActed(at=at, who=self.who, act=self.act, about=self.about[:TEXT_MAX])
        return Entry(self.stream, 1, acted)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return history[-1]


def check_text(field: str, text: str) -> None:
    if not 0 < len(text) <= TEXT_MAX:
        raise InvalidOperatorError(field, f"must have 1 to {TEXT_MAX} characters")
