"""What a process has taken is free again once it gives it back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from app.store.locks import FileLocks, PostgresLocks

if TYPE_CHECKING:
    from tests.store.places import Place


def locks_of(place: Place) -> FileLocks | PostgresLocks:
    if place.engine == "sqlite":
        return FileLocks(Path(f"{place.where}.locks"))
    return PostgresLocks(place.where)


def test_what_was_taken_is_free_once_it_is_given_back(place: Place) -> None:
    with closing(locks_of(place)) as others:
        holder = locks_of(place)
        taken = holder.take("one"), holder.take("two")
        before = others.is_free("one"), others.is_free("two")

        holder.close()

        assert taken == (True, True)
        assert before == (False, False)
        assert (others.is_free("one"), others.is_free("two")) == (True, True)


def test_who_has_taken_nothing_has_nothing_to_give_back(place: Place) -> None:
    locks_of(place).close()

    with closing(locks_of(place)) as others:
        assert others.take("one")
