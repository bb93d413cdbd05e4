"""What tests of every room ask for: a store of either kind, fresh."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.store.places import (
    Place,
    PostgresPlace,
    SqlitePlace,
    Store,
    own_database,
    postgres_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The same stories every time, and no story fails because the machine is busy.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")

ENGINES = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgres),
]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A database of this session's own, where a PostgreSQL answers."""
    with own_database(postgres_server()) as url:
        yield url


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Commands decide what their process logs; here they share one with the other tests."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture
def postgres_place(postgres_url: str) -> Iterator[Place]:
    place = PostgresPlace(postgres_url)
    yield place
    place.close()


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Iterator[Place]:
    place = SqlitePlace(tmp_path)
    yield place
    place.close()


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest) -> Place:
    """An empty database of either kind."""
    name = "sqlite_place" if request.param == "sqlite" else "postgres_place"
    found: Place = request.getfixturevalue(name)
    return found


@pytest.fixture
def store(place: Place) -> Store:
    """A store on an empty database of either kind."""
    return place.open()
