"""A ledger brought back from an old copy finds out what it has forgotten, and goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.cashier.probe import Probe
from domain.keyset import KeysetAdvanced
from projections.follow import catch_up, verify
from projections.found import read_found
from projections.sheets import SHEETS
from tests.integration.house import House, build, new_address
from tests.integration.purse import is_unspent, take_home

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint

pytestmark = pytest.mark.integration


def test_a_house_restored_from_an_old_copy_moves_on_and_tells_what_it_has_forgotten(
    tmp_path: Path, mint: RealMint, upstream: UpstreamDouble, caplog: pytest.LogCaptureFixture
) -> None:
    """M1: nothing is credited twice; what clients hold stays theirs."""
    # given: a house, an old copy of its books, and what happened after the copy was made
    address = new_address(f"sqlite:///{tmp_path}/ledger.db", mint.url, upstream.base_url)
    alice, bob = uuid4(), uuid4()
    first = build(address)
    first.deposit(mint.fund(1_000), alice)
    copy(tmp_path / "ledger.db", tmp_path / "old.db")
    first.deposit(mint.fund(500), bob)
    token = first.refunds.refund(bob)
    first.close()

    # when: the copy is put in place, and the back office starts
    restored = build(replace(address, database_url=f"sqlite:///{tmp_path}/old.db"))
    moved = Probe(restored.ledger, restored.mints, restored.store).run()
    (found,) = events(restored)

    # then: the counters have moved, an alarm was raised, and nobody was credited
    assert moved == 1
    assert "old backup" in caplog.text
    assert restored.msat(alice) == (999_000, 0)
    assert restored.msat(bob) == (0, 0)
    assert found.unspent_msat >= token.amount * 1_000
    follow(restored)
    with restored.store.snapshot() as query:
        assert [each.unspent_msat for each in read_found(query)] == [found.unspent_msat]

    # and then: deposits and refunds go on, and the forgotten token is still its holder's
    carol = uuid4()
    assert restored.deposit(mint.fund(200), carol) == 199_000
    again = restored.refunds.refund(carol)
    assert is_unspent(again.token)
    assert take_home(token.token).amount == token.amount - 1
    assert Probe(restored.ledger, restored.mints, restored.store).run() == 0
    assert verify(restored.store, quietly) is None
    restored.close()


def copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def events(house: House) -> list[KeysetAdvanced]:
    return [
        entry.event
        for page in house.store.log()
        for _, entry in page
        if isinstance(entry.event, KeysetAdvanced)
    ]


def follow(house: House) -> None:
    for sheet in SHEETS:
        catch_up(house.store, sheet.name, quietly)


def quietly(_done: int, _all: int) -> None:
    """Show no progress."""
