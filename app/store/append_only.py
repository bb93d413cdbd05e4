"""What makes a database itself refuse to change the log, or to forget any of it."""

from __future__ import annotations

SQLITE_APPEND_ONLY = (
    *(
        f"""CREATE TRIGGER IF NOT EXISTS stored_events_refuse_{act.lower()}
            BEFORE {act} ON stored_events
            BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"""
        for act in ("UPDATE", "DELETE")
    ),
    # INSERT OR REPLACE deletes without a DELETE, unless the connection it comes from has
    # asked for recursive triggers; an administrator's shell has not.
    """CREATE TRIGGER IF NOT EXISTS stored_events_refuse_replace
       BEFORE INSERT ON stored_events
       WHEN EXISTS (SELECT 1 FROM stored_events WHERE rowid = NEW.rowid OR (
           originator_id = NEW.originator_id AND originator_version = NEW.originator_version))
       BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END""",
)

POSTGRES_APPEND_ONLY = (
    """CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$""",
    """CREATE OR REPLACE TRIGGER stored_events_append_only
       BEFORE UPDATE OR DELETE ON stored_events
       FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
    """CREATE OR REPLACE TRIGGER stored_events_no_truncate
       BEFORE TRUNCATE ON stored_events
       FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
)
