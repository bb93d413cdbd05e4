from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.cashier.enquiry import Enquiry
from app.cashier.errors import NothingOpenError, RefundPendingError
from domain.guards import ISSUED, REFUND
from tests.cashier.house import ALICE, BOB

if TYPE_CHECKING:
    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint


@pytest.fixture
def house(build: Build, mint: MoodyMint) -> House:
    house = build(mint)
    house.deposit(mint.fund(100))
    return house


def enquiry(house: House) -> Enquiry:
    ways = {REFUND: house.refunds.resume, ISSUED: house.refunds.collected}
    return Enquiry(house.store, ways)


def test_a_movement_that_waited_for_its_mint_goes_on(house: House, mint: MoodyMint) -> None:
    mint.go_away()
    with pytest.raises(RefundPendingError):
        house.refunds.refund(ALICE)
    ((stream, row),) = house.store.open_movements()
    assert row.kind == REFUND
    mint.come_back()

    has_ended = enquiry(house).ask(stream)

    assert not has_ended
    assert house.topics(stream)[-1] == "refund.issued"


def test_a_token_that_was_collected_has_come_to_its_end(house: House) -> None:
    refund = house.refunds.refund(ALICE)
    house.deposit(refund.token, BOB)

    assert enquiry(house).ask(refund.refund_id)


def test_while_the_mint_is_away_it_is_said_so(house: House, mint: MoodyMint) -> None:
    mint.go_away()
    with pytest.raises(RefundPendingError):
        house.refunds.refund(ALICE)
    ((stream, _),) = house.store.open_movements()

    with pytest.raises(RefundPendingError):
        enquiry(house).ask(stream)

    mint.come_back()


def test_what_is_not_open_is_not_asked_about(house: House) -> None:
    with pytest.raises(NothingOpenError):
        enquiry(house).ask(uuid4())
