"""How a SQLite file is opened by whoever writes money into it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def connected(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Return a connection whose commits are on the disk when they return."""
    db = sqlite3.connect(
        path,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    db.execute("PRAGMA journal_mode = WAL")
    # NORMAL may roll back money that was acknowledged, when the power fails.
    db.execute("PRAGMA synchronous = FULL")
    # Four times the default: a page that many transactions change is copied back from the
    # write-ahead log once and not again and again (a quarter of a commit's CPU).
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    # Without it INSERT OR REPLACE slips past the triggers that keep the log as it is.
    db.execute("PRAGMA recursive_triggers = ON")
    return db
