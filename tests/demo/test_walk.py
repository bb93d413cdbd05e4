"""A price that is not the tour's own sum is found, whoever tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from app.demo.customer import Answer, HouseError
from app.demo.page import Page
from app.demo.reckoning import Deal, PriceTag
from app.demo.walk import show_cost, the_one
from domain.event import Entry
from domain.hold import Charged, Metered, Released, Terms

if TYPE_CHECKING:
    from collections.abc import Mapping

CENT = Fraction(1, 100)
PRICE = PriceTag(CENT, 2 * CENT, Fraction(0), CENT, 2 * CENT)
DEAL = Deal(Fraction(1), Fraction(1), Fraction(100_000))
USAGE: Mapping[str, Any] = {"prompt_tokens": 3, "completion_tokens": 4}
RIGHT_MSAT = 110_000


def charged(cost_msat: int) -> Charged:
    return Charged(
        at=datetime(2026, 1, 1, tzinfo=UTC),
        account_id=UUID(int=1),
        held_msat=200_000,
        cost_msat=cost_msat,
        from_hold_msat=cost_msat,
        terms=Terms(model="sample", route="", price_version=""),
        usage=Metered(prompt_tokens=3, completion_tokens=4),
    )


def test_a_price_that_is_right_everywhere_is_no_difference() -> None:
    page = Page()

    cost_msat = show_cost(page, PRICE, DEAL, Answer("", USAGE, RIGHT_MSAT), charged(RIGHT_MSAT))

    assert cost_msat == RIGHT_MSAT
    assert page.differences == []


@pytest.mark.parametrize(
    ("told_msat", "charged_msat"),
    [(RIGHT_MSAT + 1, RIGHT_MSAT), (RIGHT_MSAT, RIGHT_MSAT - 1), (None, RIGHT_MSAT)],
    ids=["told too much", "charged too little", "not told"],
)
def test_a_price_that_is_wrong_anywhere_is_found(
    told_msat: int | None, charged_msat: int
) -> None:
    page = Page()

    show_cost(page, PRICE, DEAL, Answer("", USAGE, told_msat), charged(charged_msat))

    assert len(page.differences) == 1


def test_without_a_usage_the_houses_estimate_is_shown_as_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = Page()

    cost_msat = show_cost(page, PRICE, DEAL, Answer("", {}, None), charged(7))

    assert cost_msat == 7
    assert "estimated" in capsys.readouterr().out
    assert page.differences == []


def test_a_step_has_one_charge_and_not_two() -> None:
    stream, one = UUID(int=2), charged(1)

    assert the_one([Entry(stream, 2, one)], Charged) is one
    with pytest.raises(HouseError, match=r"2 of hold\.charged"):
        the_one([Entry(stream, 2, one), Entry(stream, 3, one)], Charged)
    with pytest.raises(HouseError, match=r"0 of hold\.released"):
        the_one([Entry(stream, 2, one)], Released)
