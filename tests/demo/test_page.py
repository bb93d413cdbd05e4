"""The tour's page lines up, and a wrong amount cannot be overlooked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.demo.page import WIDTH_MAX, Page, Typewriter, amount_lines, entry_lines
from domain.posting import Posting

if TYPE_CHECKING:
    import pytest

CLIENT = "client:0f9d2c1e-8a3b-5c4d-9e6f-102030405060"
TABLE = """\
hold.held     client:0f9d2c1e…:available  →  client:0f9d2c1e…:held           1,234 msat
hold.charged  client:0f9d2c1e…:held       →  house:earned                       11 msat
              client:0f9d2c1e…:held       →  client:0f9d2c1e…:available      1,223 msat"""


def test_double_entries_line_up_under_the_event_that_made_them() -> None:
    moves = [
        ("hold.held", [Posting(f"{CLIENT}:available", f"{CLIENT}:held", 1_234)]),
        (
            "hold.charged",
            [
                Posting(f"{CLIENT}:held", "house:earned", 11),
                Posting(f"{CLIENT}:held", f"{CLIENT}:available", 1_223),
            ],
        ),
    ]

    lines = entry_lines(moves)

    assert "\n".join(lines) == TABLE


def test_no_entries_are_no_lines() -> None:
    assert entry_lines([]) == []
    assert amount_lines([]) == []


def test_amounts_stand_in_a_column() -> None:
    lines = amount_lines([("house:earned", 38), (f"{CLIENT}:available", 998_962)])

    assert lines == [
        "house:earned                       38 msat",
        "client:0f9d2c1e…:available    998,962 msat",
    ]


def test_an_amount_as_computed_is_ticked(capsys: pytest.CaptureFixture[str]) -> None:
    page = Page()

    page.amount("charged", 11, 11)

    assert "11 msat ✓" in capsys.readouterr().out
    assert page.differences == []


def test_an_amount_that_differs_is_crossed_out_and_remembered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = Page()
    page.step("A chat")

    page.amount("charged", 12, 11)

    assert "12 msat ✗ computed 11" in capsys.readouterr().out
    assert page.differences == ["step 1, charged: found 12, the tour computed 11"]


def test_what_does_not_hold_is_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    page = Page()

    page.held_true("all accounts together are 0 msat", holds=False)

    assert "✗" in capsys.readouterr().out
    assert page.differences == ["step 0: not true that all accounts together are 0 msat"]


def test_a_streamed_text_is_written_whole_in_lines_that_are_not_too_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [f"word{number}" for number in range(60)]
    typewriter = Typewriter("answered")

    for place, word in enumerate(words):
        typewriter.write(f" {word}" if place else word)
    typewriter.end()

    out = capsys.readouterr().out
    assert out.split() == ["answered", *words]
    assert max(map(len, out.splitlines())) <= WIDTH_MAX


def test_pieces_of_a_word_stay_together(capsys: pytest.CaptureFixture[str]) -> None:
    typewriter = Typewriter("answered")

    for piece in ("A tal", "ly st", "ick", ".\nTwo", " halves."):
        typewriter.write(piece)
    typewriter.end()

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["answered", "A", "tally", "stick."], ["Two", "halves."]]
