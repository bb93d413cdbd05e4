"""What is exported of a period is all of it, and little more of the log is read for it."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from beancount import loader
from msgspec.structs import replace

from app.verbs.accounts import exported
from projections.chart import read_chart
from projections.export.beancount import beancount
from projections.export.csv import journal_csv
from projections.export.hledger import hledger
from projections.export.jsonl import jsonl
from projections.export.record import Selection, records
from projections.moments import Period, day_of
from projections.statement import accounts_of
from tests.projections.conftest import follow
from tests.projections.export.reading import expected, totals
from tests.projections.story import CLIENTS, made_up, put, stored
from tests.store.work import silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tests.projections.story import Story
    from tests.store.places import Store

ALICE = str(CLIENTS[0])
LAYOUTS = ("beancount", "hledger", "csv", "jsonl")


class Recorder:
    """A store that counts the rows of the log which are read from it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.rows = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        with self._store.snapshot() as query:

            def counted(statement: str, values: Any = ()) -> list[tuple[Any, ...]]:
                found = query(statement, values)
                self.rows += len(found) if "FROM stored_events" in statement else 0
                return found

            yield counted

    def log(self, after: int = 0, upto: int | None = None) -> Iterator[Any]:
        for page in self._store.log(after, upto):
            self.rows += len(page)
            yield page

    def first_since(self, moment: datetime) -> int:
        return type(self._store).first_since(self, moment)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def story() -> Story:
    return made_up(seed=19, steps=600)


@pytest.fixture
def told(store: Store, story: Story) -> Store:
    put(store, story.entries)
    follow(store)
    return store


def from_the_beginning(store: Store, story: Story, layout: str, wanted: Selection) -> str:
    """The same export, by reading all of the log and leaving out the rest."""
    each = records(stored(story.entries, store.mapper), wanted)
    if layout in {"csv", "jsonl"}:
        return "".join(journal_csv(each) if layout == "csv" else jsonl(each))
    begin, brought = wanted.period.begin, {}
    if begin is not None:
        names = wanted.accounts
        chart = read_chart(store, begin)[1].items()
        brought = {name: msat for name, msat in chart if not names or name in names}
    write = beancount if layout == "beancount" else hledger
    return "".join(write(each, day_of(begin) if begin else "", brought))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("account", [None, ALICE])
def test_what_is_read_from_the_middle_is_what_is_read_from_the_beginning(
    told: Store, story: Story, layout: str, account: str | None
) -> None:
    ats = [entry.event.at for entry in story.entries]
    accounts = frozenset(accounts_of(account) if account else ())

    for begin, end in ((-99, None), (len(ats) // 2, -99), (None, 99), (0, -1)):
        period = Period(*(None if place is None else ats[place] for place in (begin, end)))
        wanted = Selection(period, accounts)
        text = "".join(exported(told, layout, wanted, silent))
        assert text == from_the_beginning(told, story, layout, wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_of_a_long_log_only_the_period_is_read(told: Store, story: Story, layout: str) -> None:
    ats = [entry.event.at for entry in story.entries]
    period = Period(ats[int(len(ats) * 0.9)], ats[int(len(ats) * 0.95)])
    hour = timedelta(hours=1)
    around = sum(period.begin - hour <= at < period.end + hour for at in ats)  # type: ignore[operator]
    store = Recorder(told)

    lines = list(exported(store, layout, Selection(period), silent))  # type: ignore[arg-type]

    # Each end is found by halving.
    halvings = 2 * (len(ats).bit_length() + 2)
    assert len(lines) > 10
    assert around <= store.rows <= around + halvings < len(ats) / 3


@pytest.mark.parametrize("layout", ["beancount", "hledger"])
def test_with_what_was_brought_forward_the_totals_are_those_of_the_books(
    told: Store, story: Story, layout: str
) -> None:
    for place in (2, len(story.entries) // 2, -2):
        wanted = Selection(Period(story.entries[place].event.at, None))

        text = "".join(exported(told, layout, wanted, silent))

        assert totals(text) == expected(story.entries)
        if layout == "beancount":
            assert loader.load_string(text)[1] == []


@pytest.mark.parametrize("daily", [True, False])
def test_what_the_followers_have_not_told_is_brought_forward_too(
    store: Store, story: Story, *, daily: bool
) -> None:
    cut = len(story.entries) // 2
    put(store, story.entries[:cut])
    follow(store)
    put(store, story.entries[cut:])
    begin = story.entries[cut + cut // 2].event.at

    text = "".join(
        exported(store, "beancount", Selection(Period(begin, None)), silent, daily=daily)
    )

    assert totals(text) == expected(story.entries)


def test_nothing_is_missed_though_clocks_disagree(store: Store, story: Story) -> None:
    def off(place: int) -> timedelta:
        return timedelta(minutes=29 if place % 3 else -29)

    entries = [
        entry._replace(event=replace(entry.event, at=entry.event.at + off(place)))
        for place, entry in enumerate(story.entries)
    ]
    put(store, entries)
    follow(store)

    for place in range(0, len(entries), 97):
        begin = entries[place].event.at
        period = Period(begin, begin + timedelta(hours=5))
        text = "".join(exported(store, "jsonl", Selection(period), silent))
        inside = sum(period.has(entry.event.at) for entry in entries)
        assert len(text.splitlines()) == inside > 0
