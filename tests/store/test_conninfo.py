from __future__ import annotations

import pytest

from app.store.conninfo import conninfo_of
from app.store.errors import StoreUnavailableError


def test_what_the_url_says_is_told_to_libpq() -> None:
    info = conninfo_of("postgresql://alice:se%40cret@db.example:5433/house?sslmode=verify-full")

    assert (info["host"], info["port"], info["dbname"]) == ("db.example", "5433", "house")
    assert (info["user"], info["password"]) == ("alice", "se@cret")
    assert info["sslmode"] == "verify-full"


def test_what_it_does_not_say_is_this_machine() -> None:
    info = conninfo_of("postgresql:///house")

    assert (info["host"], info["port"], info["user"]) == ("127.0.0.1", "5432", "postgres")


def test_among_several_servers_the_one_that_takes_writes_is_looked_for() -> None:
    info = conninfo_of("postgresql://alice@one:5432,other:5433/house")

    assert (info["host"], info["port"]) == ("one,other", "5432,5433")
    assert info["target_session_attrs"] == "read-write"


def test_a_server_that_fell_silent_is_given_up_within_seconds() -> None:
    assert conninfo_of("postgresql:///house")["tcp_user_timeout"] == "10000"
    assert conninfo_of("postgresql:///house?connect_timeout=2")["connect_timeout"] == "2"


def test_what_makes_no_sense_is_refused_without_its_password() -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        conninfo_of("postgresql://alice:secret@house?nonsense=1")

    assert "secret" not in str(caught.value)
