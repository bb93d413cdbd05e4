from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from app.sample.year import sample
from projections.audit import Auditor
from tests.projections.story import books_of

END = datetime(2026, 3, 1, tzinfo=UTC)


def entries_of(seed: int, events: int = 3_000) -> list[object]:
    return [entry for part in sample(seed, events, END) for entry in part.entries]


def test_the_same_seed_makes_the_same_log() -> None:
    assert entries_of(3, 500) == entries_of(3, 500)


def test_another_seed_makes_another_log() -> None:
    assert entries_of(3, 500) != entries_of(4, 500)


@pytest.mark.parametrize("events", [1, 40, 3_000])
def test_it_is_as_long_as_asked_but_for_the_last_movement(events: int) -> None:
    assert events <= len(entries_of(1, events)) < events + 50


def test_an_auditor_finds_nothing_wrong_with_it() -> None:
    auditor = Auditor()

    for part in sample(5, 5_000, END):
        assert auditor.read(enumerate(part.entries)) is None

    assert not auditor.books.total_msat


def test_it_holds_every_kind_of_movement_that_a_busy_house_has() -> None:
    kinds = {entry.event.TOPIC for part in sample(2, 20_000, END) for entry in part.entries}

    assert kinds >= {
        "deposit.credited",
        "donation.given",
        "hold.charged",
        "hold.released",
        "invoice.credited",
        "invoice.lapsed",
        "mint.reconciled",
        "payout.paid",
        "prices.adopted",
        "rate.observed",
        "refund.collected",
        "refund.issued",
        "swap.done",
    }


def test_its_times_rise_to_the_end() -> None:
    times = [entry.event.at for part in sample(1, 2_000, END) for entry in part.entries]

    assert all(before <= after for before, after in pairwise(times))
    assert END - timedelta(hours=2) < times[-1] < END + timedelta(minutes=1)


def test_the_owner_draws_in_a_long_one() -> None:
    entries = [entry for part in sample(1, 30_000, END) for entry in part.entries]

    assert books_of(entries)["house:drawn"] < 0
