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
    `newest`, whose values rise; the others stay as they were first told. `wholes(line)` are
    further lines that a line of sums adds to. `indexes` are (name, what of) pairs.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key_count: int
    indexes: tuple[tuple[str, str], ...]
    lines: Callable[[int, Entry], Sequence[Line]]
    added: tuple[str, ...] = ()
    newest: tuple[str, ...] = ()
    wholes: Callable[[Line], Sequence[Line]] | None = None

    def told(self, page: Iterable[tuple[int, Entry]]) -> Sequence[Line]:
        """Return the lines of a page of the log, those of one key made one."""
        gathered = Gathered(self)
        gathered.add(page)
        return gathered.lines()


class Gathered:
    """Lines of a sheet that are to be written together, those of one key made one."""

    def __init__(self, sheet: Sheet) -> None:
        names = [name for name, _ in sheet.columns]
        self._sheet = sheet
        self._added = [names.index(name) for name in sheet.added]
        self._newest = [names.index(name) for name in sheet.newest]
        self._plain: list[Line] = []
        self._sums: dict[Line, list[Any]] = {}

    def __len__(self) -> int:
        return len(self._plain) + len(self._sums)

    def add(self, page: Iterable[tuple[int, Entry]]) -> None:
        """Take in the lines of a page of the log."""
        tell = self._sheet.lines
        lines = [line for position, entry in page for line in tell(position, entry)]
        if self._added:
            self._sum(lines)
        else:
            self._plain += lines

    def lines(self) -> Sequence[Line]:
        """Return what was gathered, each key once."""
        if self._sheet.wholes is not None:
            # Of a few sums, not of all the lines that are in them.
            sums = [tuple(line) for line in self._sums.values()]
            self._sum(whole for line in sums for whole in self._sheet.wholes(line))
        return self._plain or [tuple(line) for line in self._sums.values()]

    def _sum(self, lines: Iterable[Line]) -> None:
        sums, added, newest = self._sums, self._added, self._newest
        key_count = self._sheet.key_count
        for line in lines:
            key = line[:key_count]
            kept = sums.get(key)
            if kept is None:
                sums[key] = list(line)
                continue
            for place in added:
                kept[place] += line[place]
            for place in newest:
                kept[place] = max(kept[place], line[place])
