"""A ledger of a few hundred events over two weeks, and a store that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from projections.follow import catch_up
from projections.sheets import SHEETS
from tests.projections.story import Story, made_up, put

if TYPE_CHECKING:
    from tests.store.places import Store


def follow(store: Store) -> None:
    """Let every follower read all there is."""
    for sheet in SHEETS:
        catch_up(store, sheet.name, lambda _done, _all: None)


@pytest.fixture(scope="session")
def story() -> Story:
    return made_up(seed=7, steps=400)


@pytest.fixture
def told(story: Story, store: Store) -> Store:
    """The story in a store whose followers have read two thirds of it."""
    cut = len(story.entries) * 2 // 3
    put(store, story.entries[:cut])
    follow(store)
    put(store, story.entries[cut:])
    return store


@pytest.fixture
def followed(told: Store) -> Store:
    """The story in a store whose followers have read all of it."""
    follow(told)
    return told
