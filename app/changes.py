"""Settings changed while the house is open: events that go before the environment."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pydantic import SecretStr, ValidationError

from app.environment import about, as_text, fault_line
from app.settings import Settings
from app.settings.kinds import may_change
from domain.identity import setting_of
from domain.setting import ChangeSetting, SettingChanged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from domain.event import Entry
    from domain.guards import SettingRow
    from domain.ledger import Ledger

logger = logging.getLogger(__name__)

CHANGED, ENVIRONMENT, FILE, DEFAULT = "changed", "environment", ".env", "default"
CHANGING = tuple(name for name, info in Settings.model_fields.items() if may_change(info))
"""The settings that may be changed while the house is open; none of them is a secret."""

IS_SET = "(set)"


class SettingError(Exception):
    """A setting is not there, or cannot be what it is to be; the message says which and why."""


class Books(Protocol):
    """What is read of the store."""

    def settings(self) -> dict[str, SettingRow]: ...

    def history(self, stream: UUID) -> list[Entry]: ...


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting as operators see it; of a secret only whether it is set.

    `source` says where the value comes from, `given` what it would be without a change.
    `who` has changed it last, and when, if anybody ever has.
    """

    name: str
    value: str
    source: str
    given: str
    may_change: bool
    about: str
    who: str = ""
    at: datetime | None = None


class Past(NamedTuple):
    """One change of a setting; no value is what the environment says."""

    at: datetime
    who: str
    value: str | None


class Changes:
    """Every change of a setting while the house is open, each an event with `who` wanted it.

    `given` are the settings of the environment. What is changed goes before them, in every
    process and on every host, until it is given back.
    """

    def __init__(self, ledger: Ledger, books: Books, given: Settings) -> None:
        self._ledger = ledger
        self._books = books
        self._given = given

    def all(self) -> list[Shown]:
        """Return every setting there is, as it is now."""
        rows = self._books.settings()
        settings = present(self._given, rows)
        return [self._shown(name, settings, rows) for name in Settings.model_fields]

    def one(self, name: str) -> Shown:
        """Return a setting as it is now; raises `SettingError`."""
        name = _known(name)
        rows = self._books.settings()
        return self._shown(name, present(self._given, rows), rows)

    def set(self, name: str, text: str, who: str) -> str:
        """Change a setting to what `text` says, and return it as it is written.

        Raises `SettingError`, `InvalidSettingError`, `SettingMovedError`.
        """
        name = _changing(name)
        if not text.strip() and not isinstance(getattr(self._given, name), tuple):
            raise SettingError(f"{name.upper()} is empty; to give it back, unset it")
        rows = self._books.settings()
        value = as_text(getattr(_overlaid(self._given, _changed(rows) | {name: text}), name))
        if value != as_text(getattr(present(self._given, rows), name)):
            self._change(name, value, who, rows)
        return value

    def unset(self, name: str, who: str) -> str:
        """Give a setting back to the environment, and return what it is then.

        Raises as `set` does.
        """
        name = _changing(name)
        rows = self._books.settings()
        left = _changed(rows)
        if name not in left:
            raise SettingError(f"{name.upper()} is as the environment says already")
        del left[name]
        value = as_text(getattr(_overlaid(self._given, left), name))
        self._change(name, None, who, rows)
        return value

    def history(self, name: str) -> list[Past]:
        """Return every change of a setting, oldest first; raises `SettingError`."""
        entries = self._books.history(setting_of(_known(name)))
        return [
            Past(event.at, event.who, event.value)
            for _, _, event in entries
            if isinstance(event, SettingChanged)
        ]

    def _change(
        self, name: str, value: str | None, who: str, rows: Mapping[str, SettingRow]
    ) -> None:
        row = rows.get(name)
        change = ChangeSetting(name, row.version if row else 0, value, who)
        self._ledger.change_setting(change)

    def _shown(self, name: str, settings: Settings, rows: Mapping[str, SettingRow]) -> Shown:
        row = rows.get(name)
        is_changed = name in _changed(rows)
        return Shown(
            name=name.upper(),
            value=_told(settings, name),
            source=CHANGED if is_changed else _source(self._given, name),
            given=_told(self._given, name),
            may_change=name in CHANGING,
            about=about(name),
            who=row.who if row else "",
            at=row.at if row else None,
        )


def present(given: Settings, rows: Mapping[str, SettingRow]) -> Settings:
    """Return the settings of now: those of the environment, and over them what was changed.

    A change that makes no sense any more, because the environment or the rules are others
    now, is left out and said so.
    """
    changed = _changed(rows)
    while changed:
        try:
            return _validated(given, changed)
        except ValidationError as error:
            faults = {str(fault["loc"][0]) for fault in error.errors(include_input=False)}
            senseless = sorted(faults & changed.keys()) or sorted(changed)
            for name in senseless:
                fields = {"setting": name.upper()}
                logger.warning("a change makes no sense any more", extra={"fields": fields})
                del changed[name]
    return given


def _changed(rows: Mapping[str, SettingRow]) -> dict[str, str]:
    """Return what is changed just now; what a later version may not change is not."""
    return {
        name: row.value
        for name, row in rows.items()
        if row.value is not None and name in CHANGING
    }


def _overlaid(given: Settings, changed: Mapping[str, str]) -> Settings:
    try:
        return _validated(given, changed)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise SettingError("\n".join(fault_line(fault) for fault in faults)) from None


def _validated(given: Settings, changed: Mapping[str, str]) -> Settings:
    # What is handed in goes before the environment, so that all of it is handed in.
    return Settings(_env_file=None, **{**dict(given), **changed})


def _known(name: str) -> str:
    """Return the name of a setting as it is kept, or raise `SettingError`."""
    if name.lower() not in Settings.model_fields:
        raise SettingError(f"there is no setting {name[:60].upper()}")
    return name.lower()


def _changing(name: str) -> str:
    name = _known(name)
    if name not in CHANGING:
        raise SettingError(
            f"{name.upper()} is read when the house opens: set it in the environment or in"
            " .env, and start again"
        )
    return name


def _source(given: Settings, name: str) -> str:
    if name not in given.model_fields_set:
        return DEFAULT
    is_there = any(key.lower() == name and value for key, value in os.environ.items())
    return ENVIRONMENT if is_there else FILE


def _told(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    is_secret = isinstance(value, SecretStr) or not Settings.model_fields[name].repr
    if is_secret:
        return IS_SET if value else ""
    return as_text(value)
