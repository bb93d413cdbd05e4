"""What the mints say of our proofs, beside what the log and the purse say."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import RefundPendingError
from app.cashier.reconcile import (
    IN_FLIGHT,
    RECORD_AFTER,
    STUCK,
    UNCOLLECTED,
    UNEXPLAINED,
    Reconciliation,
)
from app.gateways.mint import crypto
from domain.errors import UnexplainedError
from domain.guards import FREE, ProofKey, ProofRow
from domain.identity import OWNER
from domain.msat import Msat
from domain.reconcile import Reconciled
from projections.follow import catch_up
from projections.sheets import SHEETS
from tests.cashier.house import ALICE, SEED, House, MoodyMint, ys_of
from tests.doubles.mint import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STUCK_AFTER = timedelta(hours=1)


@pytest.fixture
def mint() -> Iterator[MoodyMint]:
    with MoodyMint(fee_ppk=0) as mint:
        yield mint


@pytest.fixture
def house(store, mint: MoodyMint) -> Iterator[House]:  # type: ignore[no-untyped-def]
    house = House(store, [mint])
    yield house
    house.close()


class Desk:
    """A reconciliation whose clock can be set forward."""

    def __init__(self, house: House) -> None:
        self.late_by = timedelta(0)
        self.books = house.store
        self.told = Reconciliation(
            house.ledger,
            house.mints,
            house.store,
            STUCK_AFTER,
            lambda: datetime.now(UTC) + self.late_by,
        )


def comparisons(house: House) -> list[Reconciled]:
    return [event for event in house.log() if isinstance(event, Reconciled)]


def test_a_quiet_house_has_all_it_says(house: House, mint: MoodyMint) -> None:
    house.deposit(mint.fund(100))

    (report,) = Desk(house).told.run()

    assert report.compared is not None
    assert report.compared.booked_msat == report.compared.free_msat == 100_000
    assert report.compared.unexplained_msat == 0
    assert report.items == ()


@pytest.mark.parametrize("told", [False, True])
def test_the_books_are_complete_whatever_the_followers_have_told(
    house: House, mint: MoodyMint, *, told: bool
) -> None:
    house.deposit(mint.fund(100))
    if told:
        for sheet in SHEETS:
            catch_up(house.store, sheet.name, lambda _done, _of: None)
    house.deposit(mint.fund(28))

    (report,) = Desk(house).told.run()

    assert report.compared is not None
    assert report.compared.booked_msat == 128_000


def test_a_token_that_nobody_has_collected_has_that_name(house: House, mint: MoodyMint) -> None:
    house.deposit(mint.fund(100))
    refund = house.refunds.refund(ALICE, Msat(30_000))
    desk = Desk(house)

    (report,) = desk.told.run()

    assert report.compared is not None
    assert report.compared.uncollected_msat == 30_000
    assert {item.name for item in report.items} == {UNCOLLECTED}
    assert {item.movement for item in report.items} == {refund.refund_id}

    mint.spent |= ys_of(refund.token)
    (report,) = desk.told.run()
    assert report.compared is not None
    assert report.compared.in_flight_msat == 30_000
    assert report.compared.unexplained_msat == 0


def test_what_a_movement_has_set_aside_is_in_flight_and_later_stuck(
    house: House, mint: MoodyMint
) -> None:
    house.deposit(mint.fund(100))
    mint.fault("swap", Fault.DROP_REQUEST, times=1_000)
    with pytest.raises(RefundPendingError):
        house.refunds.refund(ALICE, Msat(30_000))
    desk = Desk(house)

    (report,) = desk.told.run()
    desk.late_by = STUCK_AFTER + timedelta(minutes=1)
    (later,) = desk.told.run()

    assert report.compared is not None
    assert later.compared is not None
    assert report.compared.in_flight_msat == later.compared.stuck_msat == 32_000
    assert {item.name for item in report.items} == {IN_FLIGHT}
    assert {item.name for item in later.items} == {STUCK}
    assert later.compared.unexplained_msat == 0


def test_a_proof_that_is_gone_without_a_reason_stops_the_owner(
    house: House, mint: MoodyMint, caplog: pytest.LogCaptureFixture
) -> None:
    """M42: what the purse calls ours is compared with what the mint says of it."""
    house.deposit(mint.fund(100))
    (key, *_) = house.store.holdings(mint.url)[1]
    mint.spent.add(crypto.hash_to_curve(SEED.derive(*key).secret))
    desk = Desk(house)

    with caplog.at_level(logging.ERROR):
        (report,) = desk.told.run()

    assert report.compared is not None
    missing_msat = report.compared.missing_msat
    assert missing_msat == report.compared.unexplained_msat > 0
    assert [(item.name, item.key, item.state) for item in report.items] == [
        (UNEXPLAINED, key, "spent")
    ]
    assert "ALARM" in caplog.text
    purse = house.refunds._purse(house.mints.get(mint.url), "sat")
    with pytest.raises(UnexplainedError):
        house.ledger.start_refund(ALICE, OWNER, purse)

    mint.spent.clear()
    desk.told.run()
    assert [event.compared.unexplained_msat for event in comparisons(house)] == [
        missing_msat,
        0,
    ]


def test_what_the_service_did_meanwhile_is_not_unexplained(
    house: House, mint: MoodyMint
) -> None:
    house.deposit(mint.fund(100))
    before = house.store.holdings(mint.url)
    house.refunds.collected(
        house.store.history(house.refunds.refund(ALICE, Msat(30_000)).refund_id)[-1]
    )

    class Earlier:
        def __getattr__(self, name: str) -> object:
            return getattr(house.store, name)

        def holdings(self, _mint: str) -> tuple[int, dict[ProofKey, ProofRow]]:
            return before

        def proofs(self, keys: Sequence[ProofKey]) -> dict[ProofKey, ProofRow]:
            return house.store.proofs(keys)

    books = Earlier()
    (report,) = Reconciliation(house.ledger, house.mints, books, STUCK_AFTER).run()  # type: ignore[arg-type]

    assert report.compared is not None
    assert report.compared.booked_msat == 100_000
    assert report.compared.unexplained_msat == 0
    assert report.compared.in_flight_msat > 0
    assert all(row.state == FREE for row in before[1].values())


def test_a_mint_that_is_away_is_said_to_be_and_recorded_as_nothing(
    house: House, mint: MoodyMint, caplog: pytest.LogCaptureFixture
) -> None:
    house.deposit(mint.fund(100))
    mint.go_away()

    (report,) = Desk(house).told.run()

    assert report.compared is None
    assert report.trouble
    assert "was not compared" in caplog.text
    assert comparisons(house) == []


def test_only_news_is_written_down_and_a_line_a_day(house: House, mint: MoodyMint) -> None:
    house.deposit(mint.fund(100))
    desk = Desk(house)

    desk.told.run(record=False)
    assert comparisons(house) == []
    desk.told.run()
    desk.told.run()
    assert len(comparisons(house)) == 1
    desk.late_by = RECORD_AFTER + timedelta(minutes=1)
    desk.told.run()
    assert len(comparisons(house)) == 2
    house.check()
