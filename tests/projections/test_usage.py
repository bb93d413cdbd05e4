from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from domain.allowance import Rules
from domain.hold import Charged, Metered
from projections.follow import catch_up
from projections.moments import day_of
from projections.usage import AMOUNTS, HOUSE, USAGE, lines, read_total, read_usage
from tests.domain.given import deposited, name
from tests.projections.story import CLIENTS, Story, put
from tests.store.work import fund, ledger_on, serve, silent

if TYPE_CHECKING:
    from uuid import UUID

    from projections.usage import Used
    from tests.store.places import Store

ALWAYS = ("2000-01-01", "2100-01-01")


def used(
    store: Store, owner: UUID, by: tuple[str, ...] = ("day", "model"), limit: int = 1000
) -> list[Used]:
    with store.snapshot() as query:
        return read_usage(query, owner, ALWAYS, by, limit)


def test_what_was_charged_is_counted_for_its_account_and_for_the_house() -> None:
    story = Story()
    story.deposit(CLIENTS[0], 100)
    usage = Metered(prompt_tokens=10, completion_tokens=5, cached_tokens=4, estimated=True)
    story.charge(story.hold(CLIENTS[0], 1000), 700, usage)

    told = lines(9, story.entries[-1])

    amounts = dict(zip(AMOUNTS, told[0][3:], strict=True))
    assert [line[:3] for line in told] == [
        (owner, "2026-01-01", "gpt-x") for owner in (CLIENTS[0], HOUSE)
    ]
    assert told[0][3:] == told[1][3:]
    assert {name: amount for name, amount in amounts.items() if amount} == {
        "requests": 1,
        "estimated": 1,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cached_tokens": 4,
        "cost_msat": 700,
    }


def test_what_a_child_used_is_told_of_it_and_of_its_parent(store: Store) -> None:
    ledger, child = ledger_on(store), name(50)
    fund(ledger, CLIENTS[0], 100)
    ledger.make_key(child, CLIENTS[0], name(51), Rules())
    serve(ledger, CLIENTS[0], 10_000, 700, child)
    serve(ledger, CLIENTS[0], 10_000, 50)

    catch_up(store, USAGE.name, silent)

    with store.snapshot() as query:
        told = [read_total(query, each) for each in (child, CLIENTS[0], HOUSE, CLIENTS[1])]
    assert told == [(1, 700), (2, 750), (2, 750), (0, 0)]


def test_nothing_else_is_usage() -> None:
    assert lines(1, deposited()[1]) == ()


def test_every_charge_is_in_it_once(story: Story, followed: Store) -> None:
    expected: Counter[tuple[str, str]] = Counter()
    for entry in story.entries:
        if isinstance(entry.event, Charged):
            key = day_of(entry.event.at), entry.event.terms.model
            expected[key] += entry.event.cost_msat

    house = {(row.day, row.model): row.amounts["cost_msat"] for row in used(followed, HOUSE)}
    clients = [row for client in CLIENTS for row in used(followed, client, ())]

    assert house == expected
    assert sum(row.amounts["cost_msat"] for row in clients) == expected.total()


def test_it_is_added_up_over_days_or_models_as_one_likes(followed: Store) -> None:
    (total,) = used(followed, HOUSE, ())

    for by in (("day",), ("model",), ("model", "day")):
        rows = used(followed, HOUSE, by)
        assert sum(row.amounts["requests"] for row in rows) == total.amounts["requests"]
        assert all(bool(row.day) == ("day" in by) for row in rows)
        assert all(bool(row.model) == ("model" in by) for row in rows)


def test_an_account_that_used_nothing_has_used_zero(store: Store) -> None:
    story = Story()
    story.deposit(CLIENTS[0], 100)
    put(store, story.entries)
    catch_up(store, USAGE.name, lambda _done, _all: None)

    (total,) = used(store, CLIENTS[0], ())

    assert set(total.amounts.values()) == {0}
    assert used(store, CLIENTS[0]) == []


def test_no_more_lines_than_asked_for_are_read(followed: Store) -> None:
    assert len(used(followed, HOUSE, limit=3)) == 3
