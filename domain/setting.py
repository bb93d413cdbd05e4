"""What the operator changes while the house is open: every change, and who wanted it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NoReturn
from uuid import UUID

from domain.command import Needs
from domain.errors import InvalidSettingError, SettingMovedError
from domain.event import Entry, Event
from domain.guards import GuardRows, SettingRow
from domain.identity import setting_of

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
VALUE_MAX = 4_000
WHO_MAX = 100


class SettingChanged(Event, frozen=True, kw_only=True):
    """From now on the setting `name` has this value; `who` wanted it so.

    The value is the text that a variable of the environment would hold. `None` is no value:
    what the environment says holds again. No setting that is a secret is ever changed so.
    """

    TOPIC: ClassVar[str] = "setting.changed"
    name: str
    value: str | None = None
    who: str

    def apply(self, rows: GuardRows, _stream: UUID, version: int) -> None:
        rows.settings.put(self.name, SettingRow(version, self.value, self.who, self.at))


@dataclass(frozen=True, slots=True)
class ChangeSetting:
    """A change of a setting that was at `version` when it was wanted, 0 if it never changed.

    Raises `SettingMovedError` if it is not so any more, and `InvalidSettingError`.
    """

    name: str
    version: int
    value: str | None
    who: str

    @property
    def stream(self) -> UUID:
        return setting_of(self.name)

    def need(self, needs: Needs) -> None:
        needs.settings.add(self.name)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        if not NAME.fullmatch(self.name):
            raise InvalidSettingError(self.name, "is no name of a setting")
        if self.value is not None and len(self.value) > VALUE_MAX:
            raise InvalidSettingError(self.name, f"must have at most {VALUE_MAX} characters")
        if not 0 < len(self.who) <= WHO_MAX:
            raise InvalidSettingError("who", f"must have 1 to {WHO_MAX} characters")
        row = rows.settings.get(self.name)
        if (row.version if row else 0) != self.version:
            raise SettingMovedError(self.name)
        event = SettingChanged(at=at, name=self.name, value=self.value, who=self.who)
        return Entry(self.stream, self.version + 1, event)

    def replay(self, _history: Sequence[Entry]) -> NoReturn:
        raise SettingMovedError(self.name)
