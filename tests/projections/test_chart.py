from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest

from domain.posting import EARNED
from projections.books import Books
from projections.chart import NotToldError, balance_msat, passed_msat, read_chart, told_upto
from projections.journal import JOURNAL
from projections.moments import Period, start_of_day
from projections.statement import moment_of
from tests.projections.story import CLIENTS, Story, books_of, put

if TYPE_CHECKING:
    from tests.store.places import Store


def test_before_every_event_the_chart_is_that_of_those_before_it(
    story: Story, told: Store
) -> None:
    books = Books()
    for entry, later in pairwise(story.entries):
        books.post(entry.event)
        if later.event.at == entry.event.at:
            continue
        upto, balances = read_chart(told, later.event.at)
        assert balances == {name: msat for name, msat in books.balances_msat.items() if msat}
        assert sum(balances.values()) == 0
        assert upto == told.head()


def test_just_after_every_event_the_chart_has_it(story: Story, followed: Store) -> None:
    instant = timedelta(microseconds=1)

    for entry in story.entries[::29]:
        at = entry.event.at + instant
        before = [each for each in story.entries if each.event.at < at]
        assert read_chart(followed, at)[1] == books_of(before)


def test_as_of_a_day_is_as_of_its_beginning(story: Story, followed: Store) -> None:
    midnight = start_of_day(story.entries[200].event.at)

    _, balances = read_chart(followed, midnight)

    assert balances == books_of(e for e in story.entries if e.event.at < midnight)


def test_now_is_after_all_events(story: Story, told: Store) -> None:
    assert read_chart(told, None) == (told.head(), books_of(story.entries))


def test_before_the_first_event_there_is_nothing(story: Story, told: Store) -> None:
    assert read_chart(told, story.entries[0].event.at)[1] == {}


def test_without_any_follower_the_log_tells_it_all(story: Story, store: Store) -> None:
    put(store, story.entries)

    assert read_chart(store, None)[1] == books_of(story.entries)


def test_one_account_is_asked_for_by_itself(story: Story, followed: Store) -> None:
    with followed.snapshot() as query:
        upto = told_upto(query)
        for entry in story.entries[::13]:
            before = [each for each in story.entries if each.event.at < entry.event.at]
            for account in (EARNED, f"client:{CLIENTS[0]}:available"):
                stood = balance_msat(query, account, entry.event.at, upto)
                assert stood == books_of(before).get(account, 0)
        assert balance_msat(query, EARNED, None, upto) == books_of(story.entries)[EARNED]


def test_clocks_that_disagree_around_midnight_change_no_balance(store: Store) -> None:
    story = Story()
    story.deposit(CLIENTS[0], 100)
    story.now = start_of_day(story.now) + timedelta(days=1, seconds=1)
    story.deposit(CLIENTS[0], 10)
    story.now -= timedelta(seconds=2)
    story.deposit(CLIENTS[0], 1)
    put(store, story.entries)

    _, balances = read_chart(store, start_of_day(story.now) + timedelta(days=1))

    assert balances[f"client:{CLIENTS[0]}:available"] == 101_000


def test_while_the_journal_is_made_anew_nothing_is_told(followed: Store) -> None:
    followed.forget(JOURNAL.name)

    with pytest.raises(NotToldError, match="made anew"):
        read_chart(followed, None)


def test_what_has_passed_is_what_the_lines_say(followed: Store, story: Story) -> None:
    """Of any account, in any period, up to any place."""
    chance = Random(3)  # noqa: S311  (a sample is no secret)
    times = [None, *(entry.event.at for entry in story.entries[::40])]
    with followed.snapshot() as query:
        journal = query(
            "SELECT position, line, at, source, destination, amount_msat FROM journal"
        )
        for _ in range(60):
            account, position = chance.choice(journal)[4], chance.randrange(1, 500)
            begin, end = chance.choice(times), chance.choice(times)
            place = (position, chance.randrange(-1, 3))
            expected = sum(
                amount * ((destination == account) - (source == account))
                for at_position, line, at, source, destination, amount in journal
                if (at_position, line) <= place and Period(begin, end).has(moment_of(at))
            )

            assert passed_msat(query, account, Period(begin, end), place) == expected
