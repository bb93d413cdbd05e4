"""Guard rows and events on their way into and out of PostgreSQL, a whole batch at a time."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any
from zlib import crc32

from app.store.shape import POSTGRES_TYPES, GuardTable
from app.store.sheet_tables import write_lines
from app.store.tables import (
    API_KEY,
    BALANCE,
    EXPOSURE,
    GUARD_TABLES,
    KEYSET_COUNTER,
    LOCKED_PROOF,
    OPEN_HOLD,
    OPEN_MOVEMENT,
    OPERATOR,
    PROOF,
    PROVIDER,
    RECONCILED,
    SETTING,
    TOTALS,
    totals_of,
)
from domain.command import Needs
from domain.guards import FREE, NO_ACCOUNT, AccountRow, GuardRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    import psycopg

    from domain.command import Command
    from projections.sheet import Line, Sheet

LOG_LOCK = 0x7A11_571C
"""Advisory lock that orders the log: who inserts events holds it until its commit."""

OWNERS_LOCK = "owner"

TYPES = {**POSTGRES_TYPES, "bytes": "bytea"}
EVENT = ("uuid", "int", "text", "bytes")


def _places(kinds: Iterable[str]) -> str:
    return ", ".join(f"%s::{TYPES[kind]}[]" for kind in kinds)


INSERT_EVENTS = (
    "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
    f" SELECT * FROM unnest({_places(EVENT)})"
)
CHANGE = tuple(kind for _, kind in BALANCE.columns)
CHANGE_BALANCES = (
    "UPDATE balance AS b SET available_msat = b.available_msat + c.available_msat,"
    " held_msat = b.held_msat + c.held_msat, mint = c.mint, unit = c.unit, keyed = c.keyed"
    f" FROM unnest({_places(CHANGE)})"
    " AS c (account_id, available_msat, held_msat, mint, unit, keyed)"
    " WHERE b.account_id = c.account_id"
)
OPEN_BALANCES = (
    "INSERT INTO balance AS b (account_id, available_msat, held_msat, mint, unit, keyed)"
    f" SELECT * FROM unnest({_places(CHANGE)})"
    " ON CONFLICT (account_id) DO UPDATE SET"
    " available_msat = b.available_msat + excluded.available_msat,"
    " held_msat = b.held_msat + excluded.held_msat,"
    " mint = excluded.mint, unit = excluded.unit, keyed = GREATEST(b.keyed, excluded.keyed)"
)
READ = {
    table.name: f"{table.select()} WHERE {table.keys[0]}"
    f" = ANY({_places([table.columns[0][1]])}){tail}"
    for table, tail in (
        (BALANCE, " ORDER BY 1 FOR UPDATE"),
        (OPEN_HOLD, ""),
        (API_KEY, ""),
        (KEYSET_COUNTER, ""),
        (OPEN_MOVEMENT, ""),
        (RECONCILED, ""),
        (PROVIDER, ""),
        (OPERATOR, ""),
        (SETTING, ""),
        (LOCKED_PROOF, ""),
        (EXPOSURE, ""),
    )
}
UPSERT = {
    table.name: table.upsert(f"SELECT * FROM unnest({_places(k for _, k in table.columns)})")
    for table in GUARD_TABLES
}
DELETE = {
    table.name: f"DELETE FROM {table.name} WHERE ({', '.join(table.keys)})"
    f" IN (SELECT * FROM unnest({_places(k for _, k in table.columns[: table.key_count])}))"
    for table in GUARD_TABLES
}


def load(db: psycopg.Connection[tuple[Any, ...]], commands: Sequence[Command]) -> GuardRows:
    """Return the rows that `commands` need, locked until the transaction ends.

    In a pipeline it waits for the server once.
    """
    needs = Needs()
    for command in commands:
        command.need(needs)
    rows = GuardRows()
    wanted = (
        (BALANCE, needs.accounts),
        (OPEN_HOLD, needs.holds),
        # Behind the balances, whose locks are those of all keys of an account.
        (API_KEY, needs.keys),
        (KEYSET_COUNTER, needs.keysets),
        (OPEN_MOVEMENT, needs.movements),
        (RECONCILED, needs.reconciled),
        (PROVIDER, needs.providers),
        (OPERATOR, needs.operators),
        (SETTING, needs.settings),
        (LOCKED_PROOF, needs.ys),
        (EXPOSURE, needs.exposures),
    )
    # Locks are taken in one order everywhere, so that two
    # batches wait for each other in a line and never in a circle.
    for number in _numbers(needs):
        db.execute("SELECT pg_advisory_xact_lock(%s)", (number,))
    cursors = [
        (table, db.execute(READ[table.name], [_array(table.columns[0][1], map(_plain, keys))]))
        for table, keys in wanted
        if keys
    ]
    for table, cursor in cursors:
        table.of(rows).rows.update(map(table.build, cursor.fetchall()))
    for mint, unit in needs.purses:
        _load_proofs(db, rows, "mint = %s AND unit = %s AND state = %s", (mint, unit, FREE))
    for movement in needs.proofs_of:
        _load_proofs(db, rows, "movement_id = %s", (movement,))
    if needs.totals:
        rows.see_totals(totals_of(db.execute(TOTALS.replace("?", "%s"), (FREE,))))
        rows.reconciled.rows.update(map(RECONCILED.build, db.execute(RECONCILED.select())))
    return rows


def change_balances(
    db: psycopg.Connection[tuple[Any, ...]],
    rows: GuardRows,
    before: dict[UUID, AccountRow],
) -> None:
    """Write by how much accounts have changed since they were as they were `before`."""
    changed = sorted(rows.accounts.changed, key=attrgetter("int"))
    known = [account_id for account_id in changed if account_id in before]
    fresh = [account_id for account_id in changed if account_id not in before]
    for statement, accounts in ((CHANGE_BALANCES, known), (OPEN_BALANCES, fresh)):
        if accounts:
            changes = [_difference(account_id, rows, before) for account_id in accounts]
            db.execute(statement, _columns(CHANGE, changes))


def delete(db: psycopg.Connection[tuple[Any, ...]], table: GuardTable, rows: GuardRows) -> None:
    """Delete the changed rows of `table` that are there no more."""
    here = table.of(rows)
    gone = [key for key in here.changed if key not in here.rows]
    if gone:
        kinds = [kind for _, kind in table.columns[: table.key_count]]
        keys = gone if table.key_count > 1 else [(_plain(key),) for key in gone]
        db.execute(DELETE[table.name], _columns(kinds, keys))


def upsert(db: psycopg.Connection[tuple[Any, ...]], table: GuardTable, rows: GuardRows) -> None:
    """Write the changed rows of `table`."""
    here = table.of(rows)
    kept = [table.flatten(key, here.rows[key]) for key in here.changed if key in here.rows]
    if kept:
        db.execute(UPSERT[table.name], _columns([kind for _, kind in table.columns], kept))


def insert_events(
    db: psycopg.Connection[tuple[Any, ...]], encoded: Sequence[tuple[Any, ...]]
) -> None:
    """Append events, each as `LedgerMapper.encode` wrote it."""
    db.execute(INSERT_EVENTS, _columns(EVENT, encoded))


def add_lines(
    db: psycopg.Connection[tuple[Any, ...]], sheet: Sheet, lines: Sequence[Line]
) -> None:
    """Add lines to a follower's table: one statement, where one a line takes thrice as long."""
    kinds = [kind for _, kind in sheet.columns]
    source = f"SELECT * FROM unnest({_places(kinds)})"
    db.execute(write_lines(sheet, source), _columns(kinds, lines))


def _numbers(needs: Needs) -> list[int]:
    """Return the locks of what is no row yet: of keysets, purses and names."""
    names = {*needs.keysets, *(f"{mint} {unit}" for mint, unit in needs.purses)}
    names |= {f"provider {name}" for name in needs.providers}
    names |= {f"operator {name}" for name in needs.operators}
    names |= {f"setting {name}" for name in needs.settings}
    # What a mint's locked tokens have come to is one number, and each proof counts once.
    names |= {f"instant {mint}" for mint in needs.exposures}
    if needs.totals or needs.surplus:
        # Whoever draws waits for whoever draws: two must not draw the same surplus.
        names.add(OWNERS_LOCK)
    return sorted({LOG_LOCK << 32 | crc32(name.encode()) for name in names})


def _load_proofs(
    db: psycopg.Connection[tuple[Any, ...]],
    rows: GuardRows,
    where: str,
    values: tuple[Any, ...],
) -> None:
    found = db.execute(f"{PROOF.select()} WHERE {where}", values)
    rows.proofs.rows.update(PROOF.build(row) for row in found)


def _difference(
    account_id: UUID, rows: GuardRows, before: dict[UUID, AccountRow]
) -> tuple[str, int, int, str, str, int]:
    # Differences, not results: two hosts may credit a new account at the same moment,
    # when there is no row yet that the first of them could lock.
    row = rows.accounts.rows[account_id]
    old = before.get(account_id, NO_ACCOUNT)
    available_msat = row.available_msat - old.available_msat
    held_msat = row.held_msat - old.held_msat
    return account_id.hex, available_msat, held_msat, row.mint, row.unit, row.keyed


def _columns(kinds: Iterable[str], rows: Sequence[Iterable[Any]]) -> list[str]:
    return [
        _array(kind, column)
        for kind, column in zip(kinds, zip(*rows, strict=True), strict=True)
    ]


def _array(kind: str, values: Iterable[Any]) -> str:
    """Return an array as PostgreSQL reads it.

    The driver asks of each value of a list what it is, which takes four times as long.
    """
    if kind == "text":
        members = ["NULL" if value is None else _quoted(value) for value in values]
    elif kind == "bytes":
        members = ['"\\\\x' + value.hex() + '"' for value in values]
    else:
        members = ["NULL" if value is None else str(value) for value in values]
    return "{" + ",".join(members) + "}"


def _plain(key: UUID | str) -> str:
    return key if isinstance(key, str) else key.hex


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
