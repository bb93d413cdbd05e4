from __future__ import annotations

import re
from collections import Counter

import pytest
from beancount import loader
from beancount.core.data import Open, Price, Transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.posting import available, held
from projections.export.beancount import beancount
from projections.export.record import Selection, by_day
from projections.moments import Period, start_of_day
from tests.projections.export.reading import (
    as_accountants_sign,
    expected,
    told,
    totals,
    transactions,
)
from tests.projections.story import CLIENTS, Story, books_of, made_up

ALICE = CLIENTS[0]


def read(text: str) -> dict[str, int]:
    """What beancount itself says the file comes to, in msat; no error is allowed."""
    entries, errors, _ = loader.load_string(text)
    assert errors == []
    sums: Counter[str] = Counter()
    for entry in entries:
        for posting in entry.postings if isinstance(entry, Transaction) else ():
            assert posting.units is not None
            assert posting.units.currency == "SAT"
            assert posting.units.number is not None
            sums[posting.account] += int(posting.units.number * 1000)
    return {account: msat for account, msat in sums.items() if msat}


@given(st.integers(0, 2**32), st.integers(0, 120))
@settings(max_examples=25, deadline=None)
def test_any_ledger_comes_to_what_its_books_say(seed: int, steps: int) -> None:
    entries = made_up(seed, steps).entries

    text = "".join(beancount(told(entries)))

    assert totals(text) == expected(entries)
    assert all(sum(each.values()) == 0 for each in transactions(text))


@given(st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_any_day_by_day_ledger_comes_to_the_same(seed: int) -> None:
    entries = made_up(seed, 100).entries

    text = "".join(beancount(by_day(told(entries))))

    assert totals(text) == expected(entries)


@pytest.mark.integration
@given(st.integers(0, 2**32), st.integers(1, 60))
@settings(max_examples=8, deadline=None)
def test_beancount_reads_any_ledger_without_an_error(seed: int, steps: int) -> None:
    entries = made_up(seed, steps).entries

    assert read("".join(beancount(told(entries)))) == expected(entries)
    assert read("".join(beancount(by_day(told(entries))))) == expected(entries)


def test_beancount_reads_every_kind_of_thing_we_write(story: Story) -> None:
    entries, errors, _ = loader.load_string("".join(beancount(told(story.entries[:60]))))

    assert errors == []
    assert {type(entry) for entry in entries} >= {Open, Price, Transaction}
    charged = next(
        entry
        for entry in entries
        if isinstance(entry, Transaction) and entry.narration == "hold.charged"
    )
    assert charged.meta["request-id"] in charged.links
    assert set(charged.meta) >= {"position", "time", "model", "btc-usd"}
    assert charged.meta["model"].isascii()


def test_a_file_that_begins_later_brings_the_balances_forward(story: Story) -> None:
    begin = start_of_day(story.entries[250].event.at)
    before = [entry for entry in story.entries if entry.event.at < begin]
    records = told(story.entries, Selection(Period(begin, None)))

    text = "".join(beancount(records, begin.date().isoformat(), books_of(before)))

    assert totals(text) == expected(story.entries)
    assert transactions(text)[0] == expected(before)
    assert read(text) == expected(story.entries)


def test_a_file_of_one_account_balances_too(story: Story) -> None:
    accounts = (available(ALICE), held(ALICE))
    begin = story.entries[250].event.at
    before = books_of(entry for entry in story.entries if entry.event.at < begin)
    selection = Selection(Period(begin, None), frozenset(accounts))
    brought = {name: before[name] for name in accounts if name in before}

    text = "".join(beancount(told(story.entries, selection), "2026-01-09", brought))

    end = as_accountants_sign(books_of(story.entries))
    names = as_accountants_sign(dict.fromkeys(accounts, 0))
    assert {name: totals(text).get(name, 0) for name in names} == {
        name: end.get(name, 0) for name in names
    }
    assert sum(read(text).values()) == 0


def test_a_model_cannot_write_into_the_file() -> None:
    story = Story()
    story.deposit(ALICE, 100)
    story.hold(ALICE, 1, 'x"\n2026-01-01 open Assets:Evil\n; option "title" "owned')

    text = "".join(beancount(told(story.entries)))

    assert "Evil SAT" not in text
    assert not re.search(r"^2026-01-01 open", text, flags=re.MULTILINE)
    assert read(text) == expected(story.entries)


def test_an_empty_ledger_is_a_file_without_transactions() -> None:
    assert read("".join(beancount([]))) == {}
