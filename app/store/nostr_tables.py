"""The table of what was found on Nostr: rows that are made anew at any time."""

from __future__ import annotations

TABLE = """CREATE TABLE IF NOT EXISTS nostr_row (
    room TEXT NOT NULL,
    name TEXT NOT NULL,
    place BIGINT NOT NULL,
    document TEXT NOT NULL,
    more TEXT NOT NULL,
    at {time} NOT NULL,
    PRIMARY KEY (room, name)
)"""

SQLITE_NOSTR = (TABLE.format(time="TEXT"),)
POSTGRES_NOSTR = (TABLE.format(time="timestamptz"),)
