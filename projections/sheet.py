"""What a follower of the log tells: the lines of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from domain.event import Entry

Line = tuple[Any, ...]


@dataclass(frozen=True)
class Sheet:
    """A disposable table: drop it, follow the log again, and the same lines are there.

    `columns` are (name, kind) pairs, kind one of uuid, text, int, time; the first
    `key_count` are the key. `lines(position, entry)` are an entry's lines in that order.
    A line whose key is there already adds to the columns in `added` and replaces those in
    `newest`; the others stay as they were first told.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key_count: int
    indexes: tuple[str, ...]
    lines: Callable[[int, Entry], Sequence[Line]]
    added: tuple[str, ...] = ()
    newest: tuple[str, ...] = ()

    def told(self, page: Iterable[tuple[int, Entry]]) -> list[Line]:
        """Return the lines of a page of the log, those of one key made one."""
        lines = [line for position, entry in page for line in self.lines(position, entry)]
        return self._merged(lines) if self.added else lines

    def _merged(self, lines: Iterable[Line]) -> list[Line]:
        names = [name for name, _ in self.columns]
        added = [names.index(name) for name in self.added]
        newest = [names.index(name) for name in self.newest]
        merged: dict[Line, list[Any]] = {}
        for line in lines:
            kept = merged.get(line[: self.key_count])
            if kept is None:
                merged[line[: self.key_count]] = list(line)
                continue
            for place in added:
                kept[place] += line[place]
            for place in newest:
                kept[place] = line[place]
        return [tuple(line) for line in merged.values()]
