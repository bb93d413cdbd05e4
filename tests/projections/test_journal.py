from __future__ import annotations

from domain.hold import Charge
from domain.posting import EARNED, available, held, mint
from projections.journal import JOURNAL, lines
from tests.domain.given import (
    ALICE,
    LATER,
    MINT,
    TERMS,
    USAGE,
    deposited,
    fold,
    hold,
    made,
    name,
)


def test_an_entry_is_a_line_for_each_arrow() -> None:
    end = deposited()[1]

    (line,) = lines(7, end)

    assert line == (
        7,
        0,
        LATER,
        name(100),
        "deposit.credited",
        mint(MINT),
        available(ALICE),
        100_000,
        "",
    )


def test_what_moves_no_money_is_not_in_the_journal() -> None:
    assert lines(1, deposited()[0]) == []


def test_lines_of_one_entry_are_numbered() -> None:
    held_entry = made(hold(), fold(*deposited()))
    rows = fold(*deposited(), held_entry)
    charge = Charge(name(200), ALICE, 7, TERMS, USAGE)

    told = lines(9, made(charge, rows, held_entry))

    assert [(line[0], line[1]) for line in told] == [(9, 0), (9, 1)]
    assert [line[5:] for line in told] == [
        (held(ALICE), EARNED, 7, TERMS.btc_usd),
        (held(ALICE), available(ALICE), 59_993, TERMS.btc_usd),
    ]


def test_a_line_has_a_value_for_every_column() -> None:
    assert {len(line) for line in lines(1, deposited()[1])} == {len(JOURNAL.columns)}
    assert JOURNAL.lines is lines
