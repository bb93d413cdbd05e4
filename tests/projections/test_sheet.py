from __future__ import annotations

from dataclasses import replace

from projections.sheet import Line, Sheet
from projections.sheets import SHEETS
from tests.domain.given import deposited


def sheet(*lines: Line, added: tuple[str, ...]) -> Sheet:
    return Sheet(
        name="test",
        columns=(("key", "text"), ("first", "int"), ("sum", "int"), ("last", "int")),
        key_count=1,
        indexes=(),
        lines=lambda _position, _entry: lines,
        added=added,
        newest=("last",) if added else (),
    )


def test_lines_of_one_key_become_one_line_before_they_are_written() -> None:
    adding = sheet(("a", 1, 10, 1), ("b", 2, 20, 2), ("a", 3, 30, 3), added=("sum",))

    told = adding.told([(1, deposited()[1])])

    assert told == [("a", 1, 40, 3), ("b", 2, 20, 2)]


def test_what_is_told_of_a_whole_is_the_sum_of_its_parts() -> None:
    parts = sheet(("a", 1, 10, 1), ("b", 2, 20, 2), ("a", 3, 30, 3), added=("sum",))
    with_whole = replace(parts, wholes=lambda line: [("*", *line[1:])])

    told = with_whole.told([(1, deposited()[1])])

    assert told == [("a", 1, 40, 3), ("b", 2, 20, 2), ("*", 1, 60, 3)]


def test_a_sheet_that_adds_nothing_up_keeps_every_line() -> None:
    keeping = sheet(("a", 1, 10, 1), ("a", 3, 30, 3), added=())

    assert keeping.told([(1, deposited()[1])]) == [("a", 1, 10, 1), ("a", 3, 30, 3)]


def test_every_line_of_every_sheet_has_a_value_for_each_column() -> None:
    for each in SHEETS:
        told = each.told([(7, deposited()[1])])
        names = {name for name, _ in each.columns}

        assert {len(line) for line in told} <= {len(each.columns)}
        assert {*each.added, *each.newest} <= names
