"""The floor: the bytes of the same events inserted as fast as the database takes them.

The same table, the same rows in a transaction, the same durability; no decisions, no guard
rows, no greenlets. `python -m tests.bench.floor URL 0 SECONDS` speaks as `load` does.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, process_time
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg

from app.store.mapper import LedgerMapper
from app.store.opening import SQLITE
from app.web.visit import new_request_id
from domain.command import Needs
from domain.guards import AccountRow, GuardRows
from domain.hold import Charge, Hold
from tests.bench.databases import COST_MSAT, FUNDS_MSAT, GROUP, HELD_MSAT, TERMS, USAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.event import Entry

WARM_S = 0.3
Row = tuple[str, int, str, bytes]


def sample_pair() -> tuple[Row, Row]:
    """Return the two rows that a hold and its charge leave in the log."""
    rows, at, needs = GuardRows(), datetime.now(UTC), Needs()
    stream, account_id = uuid4(), uuid4()
    rows.accounts.put(account_id, AccountRow(FUNDS_MSAT, 0, "", ""))
    hold = Hold(stream, account_id, HELD_MSAT, f"process-{uuid4().hex}", TERMS)
    charge = Charge(stream, account_id, COST_MSAT, TERMS, USAGE)
    entries: list[Entry] = []
    for command in (hold, charge):
        command.need(needs)
        entry = command.decide(rows, at)
        entry.event.apply(rows, stream, entry.version)
        entries.append(entry)
    encode = LedgerMapper().encode
    return encode(entries[0]), encode(entries[1])


def sqlite_insert(path: str) -> Callable[[list[Row]], object]:
    db = sqlite3.connect(path, isolation_level=None, timeout=30)
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        db.execute(f"PRAGMA {pragma}")
    queue = Path(path + ".writer").open("w")  # noqa: SIM115  (open until the process ends)

    def insert(rows: list[Row]) -> None:
        fcntl.flock(queue, fcntl.LOCK_EX)
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO stored_events VALUES (?, ?, ?, ?)", rows)
        db.execute("COMMIT")
        fcntl.flock(queue, fcntl.LOCK_UN)

    return insert


def postgres_insert(url: str) -> Callable[[list[Row]], object]:
    db = psycopg.connect(url, autocommit=True, connect_timeout=10)
    statement = (
        "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
        " SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[])"
    )

    def insert(rows: list[Row]) -> None:
        db.execute(statement, [list(column) for column in zip(*rows, strict=True)])

    return insert


def run(insert: Callable[[list[Row]], object], seconds: float) -> tuple[int, float, float]:
    """Insert for so many seconds; return pairs, seconds and CPU seconds."""
    (_, _, held, held_state), (_, _, charged, charged_state) = sample_pair()
    pairs = 0
    started, cpu = monotonic(), process_time()
    while monotonic() < started + seconds:
        rows: list[Row] = []
        for _ in range(GROUP // 2):
            stream = new_request_id().hex
            rows.append((stream, 1, held, held_state))
            rows.append((stream, 2, charged, charged_state))
        insert(rows)
        pairs += GROUP // 2
    return pairs, monotonic() - started, process_time() - cpu


def main(url: str, _accounts: str, seconds: str) -> None:
    if url.startswith(SQLITE):
        insert = sqlite_insert(url.removeprefix(SQLITE))
    else:
        insert = postgres_insert(url)
    run(insert, WARM_S)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    pairs, wall_s, cpu_s = run(insert, float(seconds))
    json.dump({"pairs": pairs, "wall_s": wall_s, "cpu_s": cpu_s}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
