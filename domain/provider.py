"""Whose models are sold: every change of a provider, and who made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NoReturn
from uuid import UUID

from domain.catalogue import (
    Model,
    Provider,
    ProviderRow,
    check_models,
    check_provider,
)
from domain.command import Needs
from domain.errors import InvalidProviderError, ProviderChangedError
from domain.event import Entry, Event
from domain.guards import GuardRows

WHO_MAX = 100


class ProviderSet(Event, frozen=True, kw_only=True):
    """From now on the provider called `name` is as told here; `who` wanted it so.

    The stream is the provider's own: one of the same name that comes after it has another.
    """

    TOPIC: ClassVar[str] = "provider.set"
    name: str
    provider: Provider
    who: str

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        row = rows.providers.get(self.name)
        models = row.models if row else ()
        rows.providers.put(self.name, ProviderRow(stream, version, self.provider, models))


class ProviderListed(Event, frozen=True, kw_only=True):
    """From now on a provider sells `models`, at the prices it asks us for them."""

    TOPIC: ClassVar[str] = "provider.listed"
    name: str
    models: tuple[Model, ...]
    who: str

    def apply(self, rows: GuardRows, _stream: UUID, version: int) -> None:
        row = rows.provider(self.name)
        rows.providers.put(self.name, row._replace(version=version, models=self.models))


class ProviderRemoved(Event, frozen=True, kw_only=True):
    """A provider is asked no more."""

    TOPIC: ClassVar[str] = "provider.removed"
    name: str
    who: str

    def apply(self, rows: GuardRows, _stream: UUID, _version: int) -> None:
        rows.providers.drop(self.name)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a provider that was at `version` when it was wanted, 0 if it was not there.

    Raises `ProviderChangedError` if it is not so any more, and `InvalidProviderError`.
    """

    stream: UUID
    version: int
    name: str
    who: str

    def need(self, needs: Needs) -> None:
        needs.providers.add(self.name)

    def replay(self, _history: Sequence[Entry]) -> NoReturn:
        raise ProviderChangedError(self.name)

    def _placed(self, rows: GuardRows, event: Event) -> Entry:
        if not 0 < len(self.who) <= WHO_MAX:
            raise InvalidProviderError("who", f"must have 1 to {WHO_MAX} characters")
        row = rows.providers.get(self.name)
        is_new = row is None and self.version == 0 and isinstance(event, ProviderSet)
        is_it = row is not None and row[:2] == (self.stream, self.version)
        if not (is_new or is_it):
            raise ProviderChangedError(self.name)
        return Entry(self.stream, self.version + 1, event)


@dataclass(frozen=True, slots=True)
class SetProvider(Change):
    """Make a provider, or change what there is of it but for its models."""

    provider: Provider

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        check_provider(self.name, self.provider)
        event = ProviderSet(at=at, name=self.name, provider=self.provider, who=self.who)
        return self._placed(rows, event)


@dataclass(frozen=True, slots=True)
class ListModels(Change):
    """Change what a provider sells, or for how much; raises `PricingError` as well."""

    models: tuple[Model, ...]

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        check_models(self.models)
        event = ProviderListed(at=at, name=self.name, models=self.models, who=self.who)
        return self._placed(rows, event)


@dataclass(frozen=True, slots=True)
class RemoveProvider(Change):
    """Ask a provider no more."""

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        return self._placed(rows, ProviderRemoved(at=at, name=self.name, who=self.who))
