from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.export.hledger import hledger
from projections.export.record import Selection, by_day
from projections.moments import Period, start_of_day
from tests.projections.export.reading import expected, told, totals, transactions
from tests.projections.story import Story, books_of, made_up

if TYPE_CHECKING:
    from pathlib import Path


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def balances(told_by_program: str) -> dict[str, int]:
    """What `-F '%A,%T'` or hledger's CSV says by account, in msat."""
    sums: Counter[str] = Counter()
    for line in told_by_program.splitlines():
        account, _, amount = line.replace('"', "").rpartition(",")
        if ":" in account:
            sums[account] += int(Decimal(amount.removesuffix(" SAT")) * 1000)
    return {account: msat for account, msat in sums.items() if msat}


def later_half(story: Story) -> str:
    begin = start_of_day(story.entries[250].event.at)
    before = books_of(entry for entry in story.entries if entry.event.at < begin)
    records = told(story.entries, Selection(Period(begin, None)))
    return "".join(hledger(records, begin.date().isoformat(), before))


@given(st.integers(0, 2**32), st.integers(0, 120))
@settings(max_examples=25, deadline=None)
def test_any_ledger_comes_to_what_its_books_say(seed: int, steps: int) -> None:
    entries = made_up(seed, steps).entries

    text = "".join(hledger(told(entries)))

    assert totals(text) == expected(entries)
    assert all(sum(each.values()) == 0 for each in transactions(text))
    assert totals("".join(hledger(by_day(told(entries))))) == expected(entries)


def test_a_file_that_begins_later_brings_the_balances_forward(story: Story) -> None:
    text = later_half(story)

    assert "* balances brought forward" in text
    assert totals(text) == expected(story.entries)


@pytest.mark.integration
@pytest.mark.parametrize("seed", range(3))
def test_hledger_reads_any_ledger_strictly(seed: int, tmp_path: Path) -> None:
    name, entries = program("hledger"), made_up(seed, 200).entries
    for text in ("".join(hledger(told(entries))), "".join(hledger(by_day(told(entries))))):
        file = tmp_path / "books.journal"
        file.write_text(text)

        run(name, "-f", str(file), "check", "--strict")

        said = run(name, "-f", str(file), "balance", "--flat", "--no-total", "-O", "csv")
        assert balances(said) == expected(entries)


@pytest.mark.integration
@pytest.mark.parametrize("seed", range(3))
def test_ledger_reads_any_ledger(seed: int, tmp_path: Path) -> None:
    name, entries = program("ledger"), made_up(seed, 200).entries
    file = tmp_path / "books.journal"
    file.write_text("".join(hledger(told(entries))))

    said = run(name, "-f", str(file), "balance", "--flat", "--no-total", "-F", "%A,%T\n")

    assert balances(said) == expected(entries)


@pytest.mark.integration
def test_both_read_a_file_that_begins_later(story: Story, tmp_path: Path) -> None:
    file = tmp_path / "books.journal"
    file.write_text(later_half(story))

    for name, shape in (("hledger", ("-O", "csv")), ("ledger", ("-F", "%A,%T\n"))):
        said = run(program(name), "-f", str(file), "balance", "--flat", "--no-total", *shape)
        assert balances(said) == expected(story.entries)
