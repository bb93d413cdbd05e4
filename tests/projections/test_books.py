from __future__ import annotations

from domain.deposit import Signed
from domain.guards import AccountRow, GuardRows, KeysetRow
from domain.refund import Issue, Start, Started
from projections.books import Books
from tests.domain.given import (
    ALICE,
    BOB,
    KEYSET,
    MINT,
    PURSE,
    deposited,
    fold,
    hold,
    made,
    name,
    signed,
)

HELD = made(hold(), fold(*deposited()))
HISTORY = (*deposited(), HELD)


def booked() -> Books:
    books = Books()
    for entry in HISTORY:
        books.post(entry.event)
    return books


def test_balances_are_the_sums_of_arrows() -> None:
    assert booked().balances_msat == {
        f"mint:{MINT}": -100_000,
        f"client:{ALICE}:available": 40_000,
        f"client:{ALICE}:held": 60_000,
    }


def test_everything_together_is_nothing() -> None:
    books = booked()

    assert books.total_msat == 0
    assert books.owed_msat() == books.at_mints_msat() == 100_000


def test_books_and_rows_of_one_log_agree() -> None:
    assert list(booked().differences(fold(*HISTORY))) == []


def test_a_row_that_tells_otherwise_is_named() -> None:
    rows = fold(*HISTORY)
    rows.add(BOB, 5)
    rows.accounts.put(ALICE, AccountRow(40_001, 60_000, MINT, "sat"))

    assert list(booked().differences(rows)) == [
        f"client:{ALICE}:available: booked 40000 msat, the rows tell 40001",
        f"client:{BOB}:available: booked 0 msat, the rows tell 5",
    ]


def test_a_proof_that_is_not_in_the_books_is_named() -> None:
    rows = fold(*HISTORY)
    rows.proofs.rows.popitem()

    (line,) = booked().differences(rows)

    assert line.startswith(f"mint:{MINT}: booked -100000 msat, the rows tell")


def test_a_sum_that_is_not_nothing_is_named_first() -> None:
    books = booked()
    books.balances_msat["house:earned"] += 1

    assert next(books.differences(fold(*HISTORY))) == (
        "the sum over all accounts is 1 msat, not 0"
    )


def test_tokens_that_are_out_are_owed() -> None:
    begun = made(Start(name(300), ALICE, PURSE), fold(*deposited()))
    assert isinstance(begun.event, Started)
    draft = begun.event.draft
    issued = made(Issue(name(300), 1, draft, signed(draft.plan)), fold(*deposited(), begun))
    history = (*deposited(), begun, issued)
    books = Books()
    for entry in history:
        books.post(entry.event)

    told = list(books.differences(fold(*history)))

    assert told == []
    assert books.balances_msat["tokens:outstanding"] == books.owed_msat() == 100_000


def test_units_of_a_thousandth_are_counted_as_such() -> None:
    rows, books = GuardRows(), Books()
    proof = Signed(keyset_id=KEYSET, counter=0, amount=8, c="c")
    rows.proofs.put(
        proof.key, fold(*HISTORY).proofs.rows[proof.key]._replace(unit="msat", amount=8)
    )
    rows.keysets.put(KEYSET, KeysetRow(MINT, "msat", 1))
    books.balances_msat[f"mint:{MINT}"] = -8
    books.balances_msat["house:earned"] = 8

    assert list(books.differences(rows)) == []
