"""A database of an older version: its log stays, everything else is made anew from it.

The log's own tables never change, and what was signed of it stays. All other tables are told
from the log, so a new version may shape them as it likes: it drops them and folds the log.
Only the number of this version says whether that is to be done.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from app.store.errors import UpgradeError
from app.store.seal_tables import LIABILITY_NAMES
from app.store.tables import GUARD_TABLES
from domain.errors import LedgerError
from domain.guards import GuardRows
from projections.guard import fold, settle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.store.reads import Reads

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 2
"""One more than the last release had, once a table told from the log has changed since."""

OUTDATED = {
    "sqlite": ("PRAGMA user_version = 1",),
    "postgresql": (
        "UPDATE schema_version SET version = 1",
        (
            "SELECT setval(pg_get_serial_sequence('stored_events', 'notification_id'), newest)"
            " FROM (SELECT GREATEST(MAX(notification_id), 1) AS newest FROM stored_events) AS l"
        ),
    ),
}
"""What has the tables made anew from the log when the store is opened the next time."""


def disposal(sheets: Iterable[str]) -> list[str]:
    """Return the statements that drop all tables told from the log, and how far each had read.

    What is sealed stays, and so does how far a webhook has told: that cannot be made anew.
    """
    names = list(sheets)
    listed = ", ".join(f"'{name}'" for name in names)
    return [
        *(f"DROP TABLE IF EXISTS {table.name}" for table in GUARD_TABLES),
        *(f"DROP TABLE IF EXISTS {name}" for name in (*names, *LIABILITY_NAMES)),
        f"DELETE FROM follower WHERE name IN ({listed})",
    ]


def folded(store: Reads, version: int) -> GuardRows:
    """Return the guard rows that the whole log comes to; the caller keeps writers out.

    Takes about ten seconds for a million events. Raises `UpgradeError`.
    """
    logger.warning(
        "the database has schema %d, this is %d: its tables are made anew from %d events",
        version,
        SCHEMA_VERSION,
        store.head(),
    )
    rows = GuardRows(tracked=False)
    try:
        for page in store.log():
            fold(rows, (placed.entry for placed in page))
    except LedgerError as error:
        raise UpgradeError(f"the database cannot be upgraded: {error}") from error
    return settle(rows)
