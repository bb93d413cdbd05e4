"""A backup: the log as lines, what was signed of it, and a last line that says it is whole.

    {"tallystick_backup":1}
    {"position":1,"stream":…,"version":1,"topic":…,"state":…,"chain":…}   one for each event
    {"size":…,"position":…,"root":…,"note":…,"at":…}                      one a checkpoint
    {"events":…,"checkpoints":…,"chain":…}

Everything else is made anew from the log. The lines of events are those of an export, so
that the stand-alone verifier reads them too; and a backup of one engine is restored into
the other.
"""

from __future__ import annotations

import json
import zlib
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from app.store.errors import BackupError
from app.store.upgrade import OUTDATED
from domain.errors import LedgerBrokenError
from projections.chain import GENESIS, Stored, leaf, link, log_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from app.store.opening import Store
    from app.store.reads import Query
    from app.store.seals import Seals

    Progress = Callable[[int, int], None]

FORMAT = 1
PAGE = 500
SIGN = "INSERT INTO checkpoint (size, position, root, note, at) VALUES (?, ?, ?, ?, ?)"
LINE_CHARS_MAX = 16 * 1024 * 1024


def dump(seals: Seals, head: int, progress: Progress) -> Iterator[str]:
    """Yield the backup of the log up to the position `head`, while the service runs.

    Raises `LedgerBrokenError` at a row that holds no event.
    """
    yield _line({"tallystick_backup": FORMAT})
    chain, events = GENESIS, 0
    for page in seals.events():
        for event in page:
            if event.position > head:
                break
            chain = link(chain, leaf(event))
            events += 1
            yield log_line(event, chain) + "\n"
        progress(min(page[-1].position, head), head)
        if page[-1].position >= head:
            break
    checkpoints = 0
    for signed in seals.all_signed():
        if signed.position <= head:
            checkpoints += 1
            document = {**signed._asdict(), "root": signed.root.hex()}
            yield _line({**document, "at": signed.at.isoformat()})
    yield _line({"events": events, "checkpoints": checkpoints, "chain": chain.hex()})


def load(store: Store, lines: Iterable[str], progress: Progress) -> int:
    """Fill an empty store from a backup, in one transaction; return how many events.

    Every line's link of the chain is worked out again. Raises `BackupError` when the store
    is not empty or the backup is not whole, and then changes nothing;
    `StoreUnavailableError`. The tables told from the log are made when the store is opened
    the next time.
    """
    reader = Reader(lines)
    with store.transaction() as query:
        if query("SELECT COUNT(*) FROM stored_events")[0][0]:
            raise BackupError("the database has a log already; a backup needs an empty one")
        page: list[Stored] = []
        for event in reader.events():
            page.append(event)
            if len(page) == PAGE:
                _insert(store, query, page)
                progress(reader.count, reader.count)
                page = []
        _insert(store, query, page)
        for document in reader.checkpoints:
            _sign(query, document)
        for statement in OUTDATED[store.engine]:
            query(statement)
    return reader.count


class Reader:
    """Reads a backup once, from its first line to the last."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.count = 0
        self.checkpoints: list[dict[str, Any]] = []

    def events(self) -> Iterator[Stored]:
        if self._next().get("tallystick_backup") != FORMAT:
            raise BackupError("this is not a backup, or one of a newer version")
        chain = GENESIS
        while "topic" in (document := self._next()):
            event = _event(document)
            chain = link(chain, leaf(event))
            if document.get("chain") != chain.hex():
                raise BackupError(f"the event at position {event.position} was changed")
            self.count += 1
            yield event
        while "note" in document:
            self.checkpoints.append(document)
            document = self._next()
        whole = {
            "events": self.count,
            "checkpoints": len(self.checkpoints),
            "chain": chain.hex(),
        }
        if document != whole:
            raise BackupError("the backup is not whole")

    def _next(self) -> dict[str, Any]:
        try:
            document = json.loads(next(self._lines, "")[:LINE_CHARS_MAX])
        except (ValueError, EOFError, OSError, zlib.error) as error:
            raise BackupError(
                f"the backup ends or is damaged behind event {self.count}"
            ) from error
        if not isinstance(document, dict):
            raise BackupError(f"the backup is damaged behind event {self.count}")
        return document


def _event(document: dict[str, Any]) -> Stored:
    try:
        return Stored(
            document["position"],
            UUID(document["stream"]).bytes,
            document["version"],
            document["topic"],
            document["state"].encode(),
        )
    except (KeyError, ValueError, AttributeError, LedgerBrokenError) as error:
        raise BackupError("the backup has a line that is no event") from error


def _insert(store: Store, query: Query, page: list[Stored]) -> None:
    if not page:
        return
    rows = ", ".join(["(?, ?, ?, ?, ?)"] * len(page))
    values = [
        value
        for event in page
        for value in (
            event.position,
            UUID(bytes=event.stream),
            event.version,
            event.topic,
            event.state,
        )
    ]
    query(
        f"INSERT INTO stored_events ({store.position}, originator_id, originator_version,"
        f" topic, state) VALUES {rows}",
        values,
    )


def _sign(query: Query, document: dict[str, Any]) -> None:
    try:
        root, at = bytes.fromhex(document["root"]), datetime.fromisoformat(document["at"])
        values = [document["size"], document["position"], root, document["note"], at]
    except (KeyError, ValueError, TypeError) as error:
        raise BackupError("the backup has a line that is no checkpoint") from error
    query(
        "INSERT INTO checkpoint (size, position, root, note, at) VALUES (?, ?, ?, ?, ?)", values
    )


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n"
