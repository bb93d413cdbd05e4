from __future__ import annotations

from typing import TYPE_CHECKING

from domain.guards import FREE, OUT, RESERVED
from domain.msat import MSAT_PER_UNIT
from domain.posting import mint as account_of_mint
from domain.reconcile import Compared
from projections.past import as_of
from tests.domain.given import MINT
from tests.projections.story import CLIENTS, Story, books_of, made_up, put

if TYPE_CHECKING:
    from tests.store.places import Store


def silent(_done: int, _of: int) -> None:
    """No progress is shown."""


def test_the_past_is_what_the_log_told_until_then(store: Store) -> None:
    story = made_up(seed=5, steps=120)
    put(store, story.entries)
    at = story.entries[70].event.at
    before = [entry for entry in story.entries if entry.event.at < at]

    upto, told = as_of(store, at, silent)

    assert upto == len(before)
    booked = books_of(before)
    assert {mint: past.booked_msat for mint, past in told.items()} == {
        mint: -booked[account_of_mint(mint)] for mint in told
    }
    for past in told.values():
        states = past.free_msat + past.in_flight_msat + past.uncollected_msat
        assert states == past.booked_msat
        assert past.unexplained_msat == 0
        assert past.asked_at is None


def test_what_a_mint_said_last_before_that_moment_counts(store: Store) -> None:
    story = Story()
    story.deposit(CLIENTS[0], 100)
    story.wait(hours=1)
    story.ledger.reconcile(
        MINT, Compared(booked_msat=100_000, free_msat=99_000, missing_msat=1_000)
    )
    asked_at = story.now
    story.wait(hours=1)
    story.ledger.reconcile(MINT, Compared(booked_msat=100_000, free_msat=100_000))
    put(store, story.entries)

    (past,) = as_of(store, story.now, silent)[1].values()
    (now,) = as_of(store, story.now.replace(year=2100), silent)[1].values()

    assert past.asked_at == asked_at
    assert past.unexplained_msat == 1_000
    assert now.unexplained_msat == 0
    assert set(now.msat) <= {FREE, RESERVED, OUT}
    assert now.msat[FREE] == 100 * MSAT_PER_UNIT["sat"]


def test_before_the_first_event_there_was_nothing(store: Store) -> None:
    assert as_of(store, Story().now, silent) == (0, {})
