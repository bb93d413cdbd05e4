"""A store that fails when it is told to, with the command recorded or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.store.group import OneByOne

if TYPE_CHECKING:
    from app.store.errors import StoreError
    from domain.command import Command
    from domain.event import Entry
    from tests.cashier.house import House


class ShakyStore:
    """Records commands, but for those it was told to fail at, each with its error."""

    def __init__(self, house: House) -> None:
        self._record = OneByOne(house.store.commit).record
        self._failures: list[tuple[type[object], StoreError, bool]] = []

    def fail(self, kind: type[object], error: StoreError, *, recorded: bool = False) -> None:
        self._failures.append((kind, error, recorded))

    def record(self, command: Command) -> Entry:
        for place, (kind, error, recorded) in enumerate(self._failures):
            if isinstance(command, kind):
                del self._failures[place]
                if recorded:
                    self._record(command)
                raise error
        return self._record(command)
