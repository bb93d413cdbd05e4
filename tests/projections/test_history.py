from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from domain.allowance import Rules
from domain.posting import available, held
from projections.books import Books
from projections.follow import catch_up
from projections.history import Change, read_history
from projections.sheets import SHEETS
from tests.domain.given import MINT, name
from tests.projections.story import CLIENTS, made_up, put
from tests.store.work import fund, ledger_on, refund, serve, silent

if TYPE_CHECKING:
    from uuid import UUID

    from tests.store.places import Store

ALICE = CLIENTS[0]


def told(
    store: Store, account_id: UUID = ALICE, before: int | None = None, limit: int = 100
) -> tuple[list[Change], int | None]:
    for sheet in SHEETS:
        catch_up(store, sheet.name, silent)
    with store.snapshot() as query:
        return read_history(query, account_id, before, limit)


def test_what_came_in_and_went_out_is_told_newest_first(store: Store) -> None:
    ledger = ledger_on(store)
    begun = fund(ledger, ALICE, 100)
    hold_id = serve(ledger, ALICE, 20_000, 7_000)
    gift = uuid4()
    ledger.donate(gift, ALICE)

    changes, older = told(store)

    assert older is None
    assert [(each.topic, each.stream, each.change_msat) for each in changes] == [
        ("donation.given", gift, -93_000),
        ("hold.charged", hold_id, -7_000),
        ("deposit.credited", begun.stream, 100_000),
    ]
    assert [each.balance_msat for each in changes] == [0, 93_000, 100_000]
    assert [each.mint for each in changes] == ["", "", MINT]


def test_what_is_only_set_aside_or_given_back_is_no_change(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    for _ in range(3):
        hold_id = serve(ledger, ALICE, 5_000, 0)
    refund(ledger, ALICE, 10)

    changes, _ = told(store)

    assert [each.topic for each in changes] == ["refund.started", "deposit.credited"]
    assert changes[0].balance_msat == 90_000
    assert hold_id != changes[0].stream


def test_what_a_child_spent_is_in_its_parents_history(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    ledger.make_key(name(50), ALICE, name(51), Rules())
    serve(ledger, ALICE, 5_000, 300, name(50))

    changes, _ = told(store)

    assert [each.change_msat for each in changes] == [-300, 100_000]
    assert told(store, name(50)) == ([], None)


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_page_by_page_it_is_the_same(store: Store, limit: int) -> None:
    put(store, made_up(11, 120).entries)
    whole, _ = told(store, limit=1000)

    pages: list[Change] = []
    before = None
    while True:
        page, before = told(store, before=before, limit=limit)
        pages += page
        assert len(page) <= limit
        if before is None:
            break

    assert pages == whole
    assert len(whole) > 10


def test_it_adds_up_to_what_the_books_say(store: Store) -> None:
    entries = made_up(7, 150).entries
    put(store, entries)
    books = Books()
    for entry in entries:
        books.post(entry.event)

    for client in CLIENTS:
        changes, _ = told(store, client, limit=1000)
        stands = books.balances_msat
        assert changes[0].balance_msat == stands[available(client)] + stands[held(client)]
        assert sum(each.change_msat for each in changes) == changes[0].balance_msat
        for newer, older in itertools.pairwise(changes):
            assert older.balance_msat == newer.balance_msat - newer.change_msat


def test_nobody_has_no_history(store: Store) -> None:
    assert told(store, uuid4()) == ([], None)
