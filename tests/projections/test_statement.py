from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from domain.posting import EARNED, available, held
from projections.chart import NotToldError
from projections.journal import JOURNAL
from projections.journal import lines as journal_lines
from projections.moments import Period
from projections.statement import Line, Place, Statement, accounts_of, read_part
from tests.projections.story import CLIENTS, OTHER_MINT, books_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.projections.story import Story
    from tests.store.places import Store

ALICE = CLIENTS[0]
BOTH = (available(ALICE), held(ALICE))
SCOPES = [BOTH, (EARNED,), (f"mint:{OTHER_MINT}",), (held(ALICE),)]


def arrows(story: Story, accounts: Sequence[str], period: Period) -> list[tuple[object, ...]]:
    """What the journal would tell of `accounts`, worked out from the story."""
    return [
        (position, line, at, *rest[:-1])
        for position, entry in enumerate(story.entries, 1)
        for position_, line, at, *rest in journal_lines(position, entry)
        if period.has(at) and {rest[2], rest[3]} & set(accounts)
    ]


def without_balances(lines: Sequence[Line]) -> list[tuple[object, ...]]:
    return [line[:-2] for line in lines]


@pytest.fixture
def middle(story: Story) -> Period:
    """A period that begins and ends within a day, at the time of an event."""
    return Period(story.entries[100].event.at, story.entries[400].event.at)


@pytest.mark.parametrize("accounts", SCOPES)
def test_a_statement_has_every_line_of_its_period_once(
    story: Story, told: Store, middle: Period, accounts: tuple[str, ...]
) -> None:
    lines = list(Statement(told, accounts, middle).lines())

    assert without_balances(lines) == arrows(story, accounts, middle)
    assert lines


@pytest.mark.parametrize("accounts", SCOPES)
def test_opening_and_lines_come_to_what_the_books_say(
    story: Story, told: Store, middle: Period, accounts: tuple[str, ...]
) -> None:
    statement = Statement(told, accounts, middle)

    *_, last = statement.lines()

    assert middle.begin is not None
    assert middle.end is not None
    before = books_of(e for e in story.entries if e.event.at < middle.begin)
    after = books_of(e for e in story.entries if e.event.at < middle.end)
    assert statement.opening.msat == tuple(before.get(name, 0) for name in accounts)
    assert last.balances_msat == tuple(after.get(name, 0) for name in accounts)
    assert statement.upto == told.head()


def test_a_statement_that_begins_behind_what_the_journal_tells(
    story: Story, told: Store
) -> None:
    period = Period(story.entries[-20].event.at, None)

    statement = Statement(told, (EARNED,), period)

    before = books_of(e for e in story.entries if period.begin and e.event.at < period.begin)
    assert statement.opening.msat == (before[EARNED],)
    assert without_balances(list(statement.lines())) == arrows(story, (EARNED,), period)


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_read_in_parts_it_is_the_same_statement(
    story: Story, followed: Store, middle: Period, limit: int
) -> None:
    lines: list[Line] = []
    after: Place | None = None
    with followed.snapshot() as query:
        while True:
            part = read_part(query, BOTH, middle, after, limit)
            assert not lines or part.opening.msat == lines[-1].balances_msat
            lines += part.lines
            after = part.next
            if after is None:
                break

    assert lines == list(Statement(followed, BOTH, middle).lines())
    assert part.closing.msat == lines[-1].balances_msat


def test_a_whole_statement_begins_with_nothing(story: Story, followed: Store) -> None:
    with followed.snapshot() as query:
        part = read_part(query, BOTH, Period(), limit=10_000)

    assert part.opening.msat == (0, 0)
    assert part.upto == followed.head()
    assert without_balances(part.lines) == arrows(story, BOTH, Period())


def test_an_account_nobody_has_is_empty(followed: Store) -> None:
    with followed.snapshot() as query:
        part = read_part(query, ("house:nothing",), Period())

    assert (part.opening.msat, part.closing.msat) == ((0,), (0,))
    assert (part.lines, part.next) == ((), None)


def test_when_the_journal_is_dropped_in_between_nothing_wrong_is_told(followed: Store) -> None:
    lines = Statement(followed, BOTH, Period(), page=3).lines()
    next(lines)

    followed.forget(JOURNAL.name)
    followed.forget("daily")

    with pytest.raises(NotToldError):
        list(lines)


def test_a_name_means_an_account_and_a_clients_id_both_it_has() -> None:
    assert accounts_of(EARNED) == (EARNED,)
    assert accounts_of(str(ALICE)) == BOTH


def test_times_are_compared_as_times_whatever_their_fractions(
    story: Story, followed: Store
) -> None:
    for entry in story.entries[::37]:
        begin = entry.event.at.replace(microsecond=0)
        period = Period(begin, begin + timedelta(seconds=1))
        lines = list(Statement(followed, BOTH, period).lines())
        assert without_balances(lines) == arrows(story, BOTH, period)
