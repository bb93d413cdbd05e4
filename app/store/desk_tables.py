"""The tables of what no event tells: hashes of passwords, attempts to sign in, runs of jobs.

None of it is the truth about money. Lost with the database, passwords are set anew; attempts
and runs are forgotten.
"""

from __future__ import annotations

DESK_TABLES = (
    """CREATE TABLE IF NOT EXISTS operator_password (
        password_id TEXT PRIMARY KEY,
        hash TEXT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS sign_in_attempt (
        source TEXT PRIMARY KEY,
        attempts BIGINT NOT NULL,
        newest_ms BIGINT NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS sign_in_attempt_newest ON sign_in_attempt (newest_ms)",
    """CREATE TABLE IF NOT EXISTS job_run (
        name TEXT PRIMARY KEY,
        every_ms BIGINT NOT NULL,
        begun_ms BIGINT NOT NULL,
        took_ms BIGINT NOT NULL,
        runs BIGINT NOT NULL,
        failures BIGINT NOT NULL,
        failed_ms BIGINT NOT NULL,
        error TEXT NOT NULL
    )""",
)
