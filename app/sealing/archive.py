"""The log up to a day in one sealed file that proves itself, and that can be replayed.

It is a backup whose last checkpoint is of exactly what is in it: `tallystick restore` makes
a ledger of it, and `tools/verify_ledger.py` verifies it without anything of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from app.sealing.check import verifies
from app.store.backup import Reader, dump
from domain.errors import LedgerBrokenError
from domain.event import Entry
from projections.audit import Auditor
from projections.chain import leaf
from projections.checkpoint import Checkpoint, VerifierKey, opened, read
from projections.merkle import Frontier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from app.sealing.sign import Sealing
    from app.store.mapper import LedgerMapper
    from app.store.opening import Store
    from app.store.seals import Seals

    Progress = Callable[[int, int], None]

PROGRESS_EVERY = 10_000


class Archived(NamedTuple):
    """What an archive holds: so many events, the last one at `position`, sealed by `origin`."""

    events: int
    position: int
    origin: str


def end_before(store: Store, moment: datetime, progress: Progress) -> int:
    """Return the position in front of the first event that was not before `moment`.

    It is 0 when there is nothing before it. The log is read in order, for where clocks have
    disagreed a later position can be of an earlier time.
    """
    end, head = 0, store.head()
    for page in store.log(0, head):
        for position, entry in page:
            if entry.event.at >= moment:
                return end
            end = position
        progress(end, head)
    return end


def archived(seals: Seals, sealing: Sealing, end: int, progress: Progress) -> Iterator[str]:
    """Yield the lines of an archive of the log up to the event at `end`, and sign that.

    Raises `LedgerBrokenError`, and then signs nothing.
    """
    sealing.seal_upto(end)
    yield from dump(seals, end, progress)


def check_archive(
    lines: Iterable[str], mapper: LedgerMapper, progress: Progress, key: VerifierKey | None
) -> Archived:
    """Replay an archive, and hold it against every checkpoint in it; return what it holds.

    Signatures are verified with `key`, if given. Raises `BackupError` when it was changed or
    is not whole, `LedgerBrokenError` when it is not what was signed or does not add up, and
    `CheckpointError`.
    """
    reader, auditor = Reader(lines), Auditor()
    leaves: list[bytes] = []
    position = 0
    for stored in reader.events():
        position = stored.position
        event = mapper.decode(stored.topic, stored.state)
        entry = Entry(UUID(bytes=stored.stream), stored.version, event)
        if found := auditor.read([(position, entry)]):
            raise LedgerBrokenError(found)
        leaves.append(leaf(stored))
        if len(leaves) % PROGRESS_EVERY == 0:
            progress(len(leaves), len(leaves))
    for difference in auditor.books.differences(auditor.rows):
        raise LedgerBrokenError(difference)
    said = [_said(document.get("note"), key) for document in reader.checkpoints]
    if not said or said[-1].size != len(leaves):
        raise LedgerBrokenError("the archive is not sealed to its end")
    _compare(said, leaves)
    return Archived(len(leaves), position, said[-1].origin)


def _said(note: object, key: VerifierKey | None) -> Checkpoint:
    text = str(note)
    if key is None:
        return read(text)
    # A house may have changed its address since, and with it the name that it signs under.
    return opened(text, VerifierKey(read(text).origin, key.public), verifies(key.public))


def _compare(said: Iterable[Checkpoint], leaves: list[bytes]) -> None:
    tree = Frontier()
    for checkpoint in said:
        tree.extend(leaves[tree.size : checkpoint.size])
        if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
            raise LedgerBrokenError(
                f"the first {checkpoint.size} events are not those that were signed"
            )
