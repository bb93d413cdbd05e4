"""The tables of what is sealed: pages, tiles, what is owed; and checkpoints for ever."""

from __future__ import annotations

PAGE = """CREATE TABLE IF NOT EXISTS sealed_page (
    number BIGINT PRIMARY KEY,
    last_position BIGINT NOT NULL UNIQUE,
    before {bytes} NOT NULL,
    positions {bytes} NOT NULL,
    leaves {bytes} NOT NULL
)"""
TILE = """CREATE TABLE IF NOT EXISTS tree_tile (
    level BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hashes {bytes} NOT NULL,
    PRIMARY KEY (level, number)
)"""
CHECKPOINT = """CREATE TABLE IF NOT EXISTS checkpoint (
    size BIGINT PRIMARY KEY,
    position BIGINT NOT NULL,
    root {bytes} NOT NULL,
    note TEXT NOT NULL,
    at {time} NOT NULL
)"""

LIABILITIES = (
    """CREATE TABLE IF NOT EXISTS liability (
        made BIGINT NOT NULL,
        place BIGINT NOT NULL,
        account_id {uuid} NOT NULL,
        available_msat BIGINT NOT NULL,
        held_msat BIGINT NOT NULL,
        on_its_way_msat BIGINT NOT NULL,
        uncollected_msat BIGINT NOT NULL,
        PRIMARY KEY (made, place)
    )""",
    "CREATE INDEX IF NOT EXISTS liability_account ON liability (account_id, made)",
    """CREATE TABLE IF NOT EXISTS liability_tile (
        made BIGINT NOT NULL,
        level BIGINT NOT NULL,
        number BIGINT NOT NULL,
        nodes {bytes} NOT NULL,
        PRIMARY KEY (made, level, number)
    )""",
    """CREATE TABLE IF NOT EXISTS liability_note (
        made BIGINT PRIMARY KEY,
        salt {bytes} NOT NULL,
        depth BIGINT NOT NULL,
        note TEXT NOT NULL
    )""",
)
LIABILITY_NAMES = ("liability", "liability_tile", "liability_note")

SQLITE_SEALS = (
    *(table.format(bytes="BLOB", time="TEXT") for table in (PAGE, TILE, CHECKPOINT)),
    *(
        f"""CREATE TRIGGER IF NOT EXISTS checkpoint_refuse_{act.lower()}
            BEFORE {act} ON checkpoint
            BEGIN SELECT RAISE(ABORT, 'what was signed stays signed'); END"""
        for act in ("UPDATE", "DELETE")
    ),
)

POSTGRES_SEALS = (
    *(table.format(bytes="bytea", time="timestamptz") for table in (PAGE, TILE, CHECKPOINT)),
    """CREATE OR REPLACE FUNCTION refuse_unsigning() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'what was signed stays signed'; END $$""",
    """CREATE OR REPLACE TRIGGER checkpoint_append_only
       BEFORE UPDATE OR DELETE ON checkpoint
       FOR EACH ROW EXECUTE FUNCTION refuse_unsigning()""",
    """CREATE OR REPLACE TRIGGER checkpoint_no_truncate
       BEFORE TRUNCATE ON checkpoint
       FOR EACH STATEMENT EXECUTE FUNCTION refuse_unsigning()""",
)
