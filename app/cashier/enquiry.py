"""Asking about one movement at once, because somebody wants to know now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.cashier.errors import NothingOpenError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from domain.event import Entry
    from domain.guards import MovementRow


class Books(Protocol):
    """What is read of the store."""

    def open_movements(self) -> list[tuple[UUID, MovementRow]]: ...

    def history(self, stream: UUID) -> list[Entry]: ...


class Enquiry:
    """Goes on with a movement from where it stands, as the back office does by the clock.

    `ways` are how, by kind: each does the next steps from a movement's newest entry and
    raises what its part of the cashier raises while the mint gives no answer.
    """

    def __init__(self, books: Books, ways: Mapping[str, Callable[[Entry], object]]) -> None:
        self._books = books
        self._ways = ways

    def ask(self, stream: UUID) -> bool:
        """Tell whether a movement has come to its end, after asking about it.

        Raises `NothingOpenError`, and what the movement's part of the cashier raises.
        """
        row = self._row(stream)
        if row is None or row.kind not in self._ways:
            raise NothingOpenError
        self._ways[row.kind](self._books.history(stream)[-1])
        return self._row(stream) is None

    def _row(self, stream: UUID) -> MovementRow | None:
        return dict(self._books.open_movements()).get(stream)
