"""Following the log: catching up, making anew what was told from it, verifying it all."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from domain.errors import LedgerError
from domain.event import Entry
from domain.guards import GuardRows
from projections.audit import Auditor
from projections.guard import differences, fold, settle
from projections.sheet import Gathered, Line, Sheet

Progress = Callable[[int, int], None]
"""Told how many positions of how many are done."""

Page = Sequence[tuple[int, Entry]]

LINES_AT_ONCE = 50_000
"""Lines written together where all is told anew: the more, the fewer there are of one key."""


class Log(Protocol):
    """What following needs of a store."""

    @property
    def sheets(self) -> Mapping[str, Sheet]:
        """Return what its followers tell, by their names."""

    def head(self) -> int:
        """Return the newest position."""

    def log(self, after: int = 0, upto: int | None = None) -> Iterator[Any]:
        """Yield pages of (position, entry), in order."""

    def kept(self) -> tuple[int, GuardRows]:
        """Return the guard rows and the position they are at, of one moment."""

    def replace_guards(self, fold_tail: Callable[[], GuardRows]) -> None:
        """Swap the guard rows for `fold_tail()`'s while writers wait."""

    def follower_position(self, name: str) -> int:
        """Return how far the follower `name` has read."""

    def follow(self, name: str, after: int, page: Page) -> bool:
        """Write what `page` tells the follower, and its new position, together.

        Tells False, and writes nothing, unless the follower has read just up to `after`.
        """

    def tell(self, name: str, after: int, upto: int, lines: Sequence[Line]) -> bool:
        """Write what the log tells the follower behind `after` and up to `upto`, likewise."""

    def forget(self, name: str) -> None:
        """Drop all that the follower `name` has told, and the indexes of its table."""

    def index(self, name: str) -> None:
        """Make the indexes of a follower's table that are missing."""


def catch_up(store: Log, name: str, progress: Progress, upto: int | None = None) -> None:
    """Let the follower `name` read all it has not read yet, at most up to position `upto`."""
    head = store.head() if upto is None else upto
    while (after := store.follower_position(name)) < head:
        for page in store.log(after, head):
            if not store.follow(name, after, page):
                # Another process follows too, or has begun anew: go on from where it is.
                break
            after = page[-1][0]
            progress(after, head)


def catch_up_all(store: Log, names: Iterable[str], progress: Progress) -> None:
    """Let followers read up to one position, each page of the log read once for all of them.

    Were each to read all there is when its turn comes, the later ones would be ahead of those
    that they point into for as long as anybody writes.
    """
    head, names = store.head(), tuple(names)
    positions = {store.follower_position(name) for name in names}
    if len(positions) == 1:
        after = positions.pop()
        for page in store.log(after, head):
            if not all(store.follow(name, after, page) for name in names):
                break
            after = page[-1][0]
            progress(after, head)
    for name in names:
        catch_up(store, name, progress, head)


def rebuild(store: Log, followers: Iterable[str], progress: Progress) -> None:
    """Make all guard rows and followers anew from the log, while the service runs.

    Most of the log is read beside the running service; only the newest entries are read
    while writers wait, and the rows are swapped in one transaction.
    """
    rows = GuardRows(tracked=False)
    with _uncollected():
        position = _fold(store, rows, 0, progress)

    def fold_tail() -> GuardRows:
        _fold(store, rows, position, progress)
        return settle(rows)

    store.replace_guards(fold_tail)
    retell(store, tuple(followers), progress)


def retell(
    store: Log, names: Sequence[str], progress: Progress, lines_at_once: int = LINES_AT_ONCE
) -> None:
    """Make followers anew; their indexes last, for to sort all lines once costs least."""
    for name in names:
        store.forget(name)
    with _uncollected():
        tellings = [_Telling(store, name, lines_at_once) for name in names]
        _tell_in_bulk(store, tellings, progress)
    # What has come meanwhile, and the rest of what another process has begun to tell.
    catch_up_all(store, names, progress)
    for name in names:
        store.index(name)


def _tell_in_bulk(store: Log, tellings: Sequence[_Telling], progress: Progress) -> None:
    head = store.head()
    for page in store.log(0, head):
        for telling in tellings:
            telling.add(page)
        progress(page[-1][0], head)
    for telling in tellings:
        telling.write()


class _Telling:
    """One follower made anew from the beginning: a page is written once it is worth it."""

    def __init__(self, store: Log, name: str, lines_at_once: int) -> None:
        self._store = store
        self._lines_at_once = lines_at_once
        self._name = name
        self._after = self._upto = 0
        self._gathered = Gathered(store.sheets[name])

    def add(self, page: Page) -> None:
        self._gathered.add(page)
        self._upto = page[-1][0]
        if len(self._gathered) >= self._lines_at_once:
            self.write()

    def write(self) -> None:
        """Write what was gathered, unless another process has told it meanwhile."""
        lines, self._gathered = self._gathered.lines(), Gathered(self._store.sheets[self._name])
        self._store.tell(self._name, self._after, self._upto, lines)
        self._after = self._upto


def verify(store: Log, progress: Progress) -> str | None:
    """Replay the log and check every invariant; return the first difference, if any.

    After each event: nothing is negative, every amount adds up, a charge is what its price
    list says, and each movement goes its way to at most one end. At the end: all accounts
    together are 0, and the books, the proofs and the guard rows tell the same as the log.
    """
    try:
        with _uncollected():
            return _difference(store, progress)
    except LedgerError as error:
        # The log could not even be read: a damaged or unknown event.
        return str(error)


def _difference(store: Log, progress: Progress) -> str | None:
    auditor = Auditor()
    position, head = 0, store.head()
    for page in store.log(position, head):
        if found := auditor.read(page):
            return found
        position = page[-1][0]
        progress(position, head)
    # The service may have gone on meanwhile: the rows are compared at the moment they
    # were read, with the log up to that very moment.
    head, kept = store.kept()
    for page in store.log(position, head):
        if found := auditor.read(page):
            return found
    differing = [*auditor.books.differences(auditor.rows), *differences(auditor.rows, kept)]
    return differing[0] if differing else None


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python's collector of cycles from looking through millions of rows for none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _fold(store: Log, rows: GuardRows, position: int, progress: Progress) -> int:
    head = store.head()
    for page in store.log(position, head):
        fold(rows, (entry for _, entry in page))
        position = page[-1][0]
        progress(position, head)
    return position
