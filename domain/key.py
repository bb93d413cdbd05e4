"""API keys: children of an account, what binds a key, and windows begun anew by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from domain.allowance import KeyRow, Rules, has_expired
from domain.command import AskTheLogError, Needs
from domain.errors import (
    AccountErasedError,
    ChildKeyError,
    ForeignKeyError,
    KeyExpiredError,
    RequestChangedError,
    TooManyKeysError,
    UnknownAccountError,
    UnknownChildError,
)
from domain.event import Entry, Event
from domain.guards import GuardRows

CHILDREN_MAX = 1_000


class KeyMade(Event, frozen=True, kw_only=True):
    """A child key was made; it spends the money of `parent_id`, within `rules`.

    The stream is the id of the account that the key would open if it had money. The key is
    derived from `salt` and the seed, so that its parent can be shown it again.
    """

    TOPIC: ClassVar[str] = "key.made"
    parent_id: UUID
    salt: UUID
    rules: Rules

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        child = KeyRow(version, self.at, self.parent_id, self.salt, self.rules)
        rows.keys.put(stream, child)
        parent = rows.keys.get(self.parent_id) or KeyRow(0, self.at)
        rows.keys.put(self.parent_id, parent._replace(children=parent.children + 1))
        rows.bind(self.parent_id)


class KeySet(Event, frozen=True, kw_only=True):
    """From now on `rules` bind a key, all of them anew; the account `by` wanted it so."""

    TOPIC: ClassVar[str] = "key.set"
    by: UUID
    rules: Rules

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        row = rows.keys.get(stream) or KeyRow(0, self.at)
        rows.keys.put(stream, row._replace(version=version, rules=self.rules))
        if row.parent_id is None:
            rows.bind(stream)


class KeyReset(Event, frozen=True, kw_only=True):
    """A key's window began anew by hand, as the account `by` wanted it.

    What was spent before stays in the log, and in what the key has spent in all.
    """

    TOPIC: ClassVar[str] = "key.reset"
    by: UUID

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        row = rows.key(stream)
        rows.keys.put(stream, row._replace(version=version, window_from=self.at, spent_msat=0))


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a key's rules are to be others; what is not set stays as it is."""

    limit_msat: int | UnsetType | None = UNSET
    reset: str | UnsetType = UNSET
    valid_until: datetime | UnsetType | None = UNSET
    models: tuple[str, ...] | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    refund_to: str | UnsetType = UNSET

    def of(self, rules: Rules) -> Rules:
        """Return `rules` with these changes.

        >>> Changes(reset="daily").of(Rules(limit_msat=5)) == Rules(limit_msat=5, reset="daily")
        True
        """
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        changed = {name: value for name, value in given.items() if value is not UNSET}
        return msgspec.structs.replace(rules, **changed)


@dataclass(frozen=True, slots=True)
class MakeKey:
    """Make a child key of an account; a repetition returns the first event.

    Raises `UnknownAccountError`, `ChildKeyError` for a child of a child, `KeyExpiredError`,
    `TooManyKeysError`, and `RequestChangedError` when it was made with other rules.
    """

    stream: UUID
    parent_id: UUID
    salt: UUID
    rules: Rules

    def need(self, needs: Needs) -> None:
        # Whoever changes a key locks its parent's balance, so that a family is in one line.
        needs.accounts.add(self.parent_id)
        needs.keys |= {self.stream, self.parent_id}

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        if rows.keys.get(self.stream):
            raise AskTheLogError
        if rows.accounts.get(self.parent_id) is None:
            raise UnknownAccountError(self.parent_id)
        parent = rows.keys.get(self.parent_id)
        if parent is not None:
            if parent.parent_id is not None:
                raise ChildKeyError
            if has_expired(parent.rules, at):
                raise KeyExpiredError
            if parent.children >= CHILDREN_MAX:
                raise TooManyKeysError
        made = KeyMade(at=at, parent_id=self.parent_id, salt=self.salt, rules=self.rules)
        return Entry(self.stream, 1, made)

    def replay(self, history: Sequence[Entry]) -> Entry:
        first = history[0].event
        if (
            not isinstance(first, KeyMade)
            or first.parent_id != self.parent_id
            or first.rules != self.rules
        ):
            raise RequestChangedError(self.stream)
        return history[0]


@dataclass(frozen=True, slots=True)
class SetKey:
    """Change what binds the key of the account `by`, or of a child of it.

    An account may be bound before it has any money. Raises `UnknownChildError`,
    `ForeignKeyError`, `ChildKeyError` for a child that would bind itself, and
    `AccountErasedError` for an erased account that would get an address.
    """

    stream: UUID
    by: UUID
    changes: Changes

    def need(self, needs: Needs) -> None:
        needs.accounts.add(self.by)
        needs.keys.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        row = rows.keys.get(self.stream)
        if self.stream != self.by:
            row = _child(self, rows)
        elif row is not None and row.parent_id is not None:
            raise ChildKeyError
        rules = self.changes.of(row.rules if row else Rules())
        if row is not None and row.erased and rules.refund_to:
            raise AccountErasedError
        version = row.version + 1 if row else 1
        return Entry(self.stream, version, KeySet(at=at, by=self.by, rules=rules))

    def replay(self, history: Sequence[Entry]) -> Entry:
        return history[-1]


@dataclass(frozen=True, slots=True)
class ResetKey:
    """Let a new window begin for a child of the account `by`.

    Raises `UnknownChildError`, `ForeignKeyError`.
    """

    stream: UUID
    by: UUID

    def need(self, needs: Needs) -> None:
        needs.accounts.add(self.by)
        needs.keys.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        row = _child(self, rows)
        return Entry(self.stream, row.version + 1, KeyReset(at=at, by=self.by))

    def replay(self, history: Sequence[Entry]) -> Entry:
        return history[-1]


def _child(command: SetKey | ResetKey, rows: GuardRows) -> KeyRow:
    row = rows.keys.get(command.stream)
    if row is None or row.parent_id is None:
        raise UnknownChildError
    if row.parent_id != command.by:
        raise ForeignKeyError
    return row
