from __future__ import annotations

from domain.command import Needs
from domain.guards import GuardRows
from domain.identity import prices_of_version
from domain.prices import AdoptPrices, PricesAdopted
from projections.guard import TABLES
from tests.domain.given import LATER, made

DOCUMENT: dict[str, object] = {"models": [], "aliases": {}, "flat": None}
ADOPT = AdoptPrices(prices_of_version("p1"), "p1", DOCUMENT)


def test_a_price_list_is_recorded_whole() -> None:
    entry = made(ADOPT, GuardRows())

    assert entry.event == PricesAdopted(at=LATER, version="p1", document=DOCUMENT)


def test_a_price_list_is_recorded_once_for_ever() -> None:
    first = made(ADOPT, GuardRows())

    assert made(ADOPT, GuardRows(), first) == first


def test_a_price_list_neither_reads_nor_changes_a_guard_row() -> None:
    needs, rows = Needs(), GuardRows()

    ADOPT.need(needs)
    made(ADOPT, rows)

    assert needs == Needs()
    assert not any(getattr(rows, name).changed for name in TABLES)
