"""How a PostgreSQL server is reached: what the database URL says, and what we add to it."""

from __future__ import annotations

from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from app.store.errors import StoreUnavailableError

DEFAULTS = {"host": "127.0.0.1", "port": "5432", "user": "postgres", "password": ""}
# A server whose machine has lost its power answers nothing, not even no: without these a
# commit would wait for it for a quarter of an hour, and no other server would be looked for.
PATIENCE: dict[str, Any] = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


def conninfo_of(url: str) -> dict[str, Any]:
    """Return what libpq is to be told of `url`, its query (`?sslmode=…`) included.

    A URL may name several servers, `postgresql://user@one:5432,other:5432/house`: the one
    that takes writes is looked for among them, so that a promoted standby is found. Raises
    `StoreUnavailableError` if nobody can make sense of it.
    """
    try:
        told = conninfo_to_dict(url)
    except ProgrammingError as error:
        # What libpq says of it may repeat the password.
        raise StoreUnavailableError("PostgreSQL: DATABASE_URL cannot be read") from error
    info = DEFAULTS | PATIENCE | {name: value for name, value in told.items() if value != ""}
    info.setdefault("dbname", info["user"])
    if "," in str(info["host"]):
        info.setdefault("target_session_attrs", "read-write")
    return info
