from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.diary import ERROR_CHARACTERS_MAX, Diary
from app.store.threads import changing_one_by_one

if TYPE_CHECKING:
    from tests.store.places import Store


class Clock:
    now_s = 1_800_000_000.0

    def __call__(self) -> float:
        self.now_s += 0.5
        return self.now_s


def rows(store: Store) -> dict[str, Any]:
    with store.transaction() as query:
        found = query("SELECT name, every_ms, took_ms, runs, failures, error FROM job_run")
    return {row[0]: tuple(row[1:]) for row in found}


def diary(store: Store, **every_s: float) -> Diary:
    kept = Diary(changing_one_by_one(store), Clock())
    kept.expect(every_s)
    return kept


def test_a_run_is_noted_with_how_long_it_took(store: Store) -> None:
    kept = diary(store, rate=60, seal=5)

    with kept.watched("rate"):
        pass
    kept.write()

    assert rows(store) == {"rate": (60_000, 500, 1, 0, ""), "seal": (5_000, 0, 0, 0, "")}


def test_a_failure_is_noted_and_raised_on_without_what_is_secret(store: Store) -> None:
    """M48."""
    kept = diary(store, rate=60)
    secret = "Bearer sk-" + "a1" * 32

    with pytest.raises(ValueError, match="no rate"), kept.watched("rate"):
        raise ValueError(f"no rate with {secret} {'x' * 1000}")
    with kept.watched("rate"):
        pass
    kept.write()

    *_, runs, failures, error = rows(store)["rate"]
    assert (runs, failures) == (2, 1)
    assert error.startswith("ValueError: no rate")
    assert "a1a1" not in error
    assert len(error) == ERROR_CHARACTERS_MAX


def test_a_job_there_is_no_more_is_forgotten(store: Store) -> None:
    diary(store, old=1).write()

    diary(store, new=1).write()

    assert set(rows(store)) == {"new"}


def test_jobs_that_are_changed_keep_what_was_noted_of_them(store: Store) -> None:
    kept = diary(store, rate=60, old=1)
    with kept.watched("rate"):
        pass

    kept.expect({"rate": 30, "new": 1})
    kept.write()

    found = rows(store)
    assert set(found) == {"rate", "new"}
    assert (found["rate"][0], found["rate"][2]) == (30_000, 1)


def test_what_is_no_job_is_not_noted(store: Store) -> None:
    kept = diary(store, rate=60)

    with kept.watched("lease"):
        pass
    kept.write()

    assert set(rows(store)) == {"rate"}
