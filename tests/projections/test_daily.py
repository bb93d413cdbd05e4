from __future__ import annotations

from typing import TYPE_CHECKING

from domain.posting import available, postings
from projections.books import Books
from projections.daily import DAILY, WHOLES, names
from projections.follow import rebuild
from projections.moments import day_of
from projections.sheets import SHEETS
from tests.domain.given import ALICE, deposited
from tests.projections.conftest import follow
from tests.projections.story import books_of, put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.store.reads import Placed
    from tests.projections.story import Story
    from tests.store.places import Place, Store


def rows(store: Store, sheet: str) -> list[tuple[object, ...]]:
    with store.snapshot() as query:
        return sorted(query(f"SELECT * FROM {sheet}"), key=repr)  # noqa: S608


def test_an_arrow_is_told_of_both_its_ends_and_of_their_kinds() -> None:
    told = DAILY.told([(7, deposited()[1])])

    assert [line[0] for line in told] == [
        "mint:https://mint.example",
        available(ALICE),
        "mint:*",
        "client:*:available",
    ]
    assert {line[1] for line in told} == {"2026-01-02"}
    assert [line[2:4] for line in told] == [(0, 100_000), (100_000, 0)] * 2


def test_every_kind_of_account_there_are_many_of_has_a_whole() -> None:
    many = (available(ALICE), "client:x:held", "mint:y")

    assert {names(account)[1] for account in many} == set(WHOLES)


def test_the_sums_are_those_of_the_books_day_by_day(story: Story, followed: Store) -> None:
    with followed.snapshot() as query:
        told = query("SELECT account, day, in_msat - out_msat FROM daily")

    for day in {day for _, day, _ in told}:
        upto = [entry for entry in story.entries if day_of(entry.event.at) <= day]
        sums: dict[str, int] = {}
        for account, on, msat in told:
            if on <= day and account not in WHOLES:
                sums[account] = sums.get(account, 0) + msat
        assert {account: msat for account, msat in sums.items() if msat} == books_of(upto)


def test_the_wholes_are_the_sums_of_their_accounts(story: Story, followed: Store) -> None:
    books = Books()
    for entry in story.entries:
        books.post(entry.event)

    with followed.snapshot() as query:
        whole = "SELECT SUM(in_msat - out_msat) FROM daily WHERE account = ?"
        told = {name: int(query(whole, (name,))[0][0]) for name in WHOLES}

    assert told["mint:*"] == -books.at_mints_msat()
    for part in ("available", "held"):
        names_of = [name for name in books.balances_msat if name.endswith(f":{part}")]
        assert told[f"client:*:{part}"] == sum(books.balances_msat[n] for n in names_of)


def test_rebuilt_from_the_log_every_sheet_has_the_same_rows(followed: Store) -> None:
    before = {sheet.name: rows(followed, sheet.name) for sheet in SHEETS}

    rebuild(followed, [sheet.name for sheet in SHEETS], lambda _done, _all: None)

    assert {sheet.name: rows(followed, sheet.name) for sheet in SHEETS} == before
    assert all(before[name] for name in ("journal", "daily", "usage", "invoice"))


def test_two_processes_that_follow_at_once_add_nothing_twice(
    story: Story, store: Store, place: Place
) -> None:
    put(store, story.entries)
    rival = place.open()
    pages = store.log

    def overtaken(after: int = 0, upto: int | None = None) -> Iterator[list[Placed]]:
        for page in pages(after, upto):
            follow(rival)
            yield page

    store.log = overtaken  # type: ignore[method-assign]
    follow(store)

    assert rows(store, DAILY.name) == rows(rival, DAILY.name)
    with store.snapshot() as query:
        (total,) = query("SELECT SUM(lines) FROM daily WHERE account NOT LIKE ?", ("%*%",))
    assert int(total[0]) == 2 * sum(len(postings(entry.event)) for entry in story.entries)


def test_what_another_process_has_added_is_not_added_again(followed: Store) -> None:
    before = rows(followed, DAILY.name)
    page = next(followed.log())

    told = followed.follow(DAILY.name, 0, page)

    assert not told
    assert rows(followed, DAILY.name) == before
    assert followed.follower_position(DAILY.name) == followed.head()
