from __future__ import annotations

from domain.command import Needs
from domain.guards import NEWEST, GuardRows, RateRow
from domain.rate import ObserveRate, RateObserved
from tests.domain.given import LATER, made, name

OBSERVE = ObserveRate(name(400), "64123.45", ("a", "b", "c"))


def test_the_newest_rate_is_the_one_that_holds() -> None:
    rows = GuardRows()

    made(OBSERVE, rows)
    made(ObserveRate(name(401), "64200", ("a",)), rows)

    assert rows.rates.get(NEWEST) == RateRow("64200", LATER)


def test_a_rate_says_who_said_so() -> None:
    entry = made(OBSERVE, GuardRows())

    assert entry.event == RateObserved(at=LATER, btc_usd="64123.45", sources=("a", "b", "c"))


def test_a_rate_recorded_twice_is_recorded_once() -> None:
    first = made(OBSERVE, GuardRows())

    assert made(OBSERVE, GuardRows(), first) == first


def test_a_rate_reads_nothing() -> None:
    needs = Needs()

    OBSERVE.need(needs)

    assert needs == Needs()
