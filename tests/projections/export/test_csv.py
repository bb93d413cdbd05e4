from __future__ import annotations

import csv
import io
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from projections.export.csv import COLUMNS, FORMULA, Number, journal_csv, table
from projections.export.record import by_day
from tests.projections.export.reading import told
from tests.projections.story import CLIENTS, Story, books_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def read(parts: Iterable[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(parts), newline="")))


def balances(rows: list[dict[str, str]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for row in rows:
        sums[row["source"]] -= int(row["amount_msat"])
        sums[row["destination"]] += int(row["amount_msat"])
    return {account: msat for account, msat in sums.items() if msat}


def test_the_lines_come_to_what_the_books_say(story: Story) -> None:
    assert balances(read(journal_csv(told(story.entries)))) == books_of(story.entries)
    assert balances(read(journal_csv(by_day(told(story.entries))))) == books_of(story.entries)


def test_every_line_says_the_same_amount_in_each_unit(story: Story) -> None:
    rows = read(journal_csv(told(story.entries)))

    assert set(rows[0]) == set(COLUMNS)
    for row in rows:
        msat = Decimal(row["amount_msat"])
        assert Decimal(row["amount_sat"]) * 1000 == msat
        if row["btc_usd"]:
            assert Decimal(row["amount_usd"]) * 10**11 == msat * Decimal(row["btc_usd"])


@pytest.mark.parametrize("first", FORMULA)
def test_no_text_can_be_a_formula(first: str) -> None:
    story = Story()
    story.deposit(CLIENTS[0], 100)
    story.hold(CLIENTS[0], 1, f"{first}cmd|' /C calc'!A0")

    *_, row = read(journal_csv(told(story.entries)))

    assert row["model"] == f"'{first}cmd|' /C calc'!A0"
    assert row["amount_msat"] == "1"


def test_no_cell_of_a_whole_export_begins_a_formula(story: Story) -> None:
    for row in read(journal_csv(told(story.entries))):
        assert not [cell for cell in row.values() if cell.startswith(FORMULA)]


def test_numbers_below_zero_stay_numbers() -> None:
    assert list(table(["n"], [[-1], [Number("-1.5")], ["-1.5"]]))[1:] == [
        "-1\r\n",
        "-1.5\r\n",
        "'-1.5\r\n",
    ]


def test_a_model_cannot_begin_a_line_of_its_own(story: Story) -> None:
    rows = read(journal_csv(told(story.entries)))

    assert {row["model"] for row in rows} >= {'a"b\n2026-01-01 ; [2020-01-01], x:y'}
    assert all(row["position"].isdecimal() for row in rows)
