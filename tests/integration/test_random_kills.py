"""Killed at random, again and again, the service loses nothing and pays nothing twice."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from domain.payout import PayoutPaid
from domain.posting import FEES_LIGHTNING, FEES_MINT
from tests.doubles.recipient import RecipientServer
from tests.integration.chaos import Customer, Killer
from tests.integration.crowd import charges
from tests.integration.house import COST_MSAT, House, build, new_address
from tests.integration.service import Service
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint
    from tests.store.places import Place

CHAOS_S = float(os.environ.get("CHAOS_SECONDS", "10"))
CUSTOMERS = 6
TOKENS_SAT = (512, 128, 64, 16)
"""What each customer has: a key is bought with the first, the last stays at home."""

pytestmark = [pytest.mark.integration, pytest.mark.timeout(CHAOS_S + 240)]


def payments(house: House) -> set[UUID]:
    """Return the payments over Lightning that were made."""
    return {
        entry.stream
        for page in house.store.log()
        for _, entry in page
        if isinstance(entry.event, PayoutPaid)
    }


def go_through_chaos(service: Service, customers: list[Customer], chaos_s: float) -> int:
    """Let all live while processes are killed; return how many were."""
    with ThreadPoolExecutor(CUSTOMERS) as threads:
        list(threads.map(Customer.open, customers))
        until_s = time.monotonic() + chaos_s
        killer = Killer(service, until_s, seed=7)
        killer.start()
        list(threads.map(lambda customer: customer.live(until_s), customers))
        killer.join()
        list(threads.map(Customer.leave, customers))
    return killer.kills


@pytest.mark.parametrize(
    ("where", "chaos_s"),
    [
        pytest.param("sqlite_place", CHAOS_S, id="sqlite"),
        pytest.param("postgres_place", CHAOS_S, id="postgresql", marks=pytest.mark.postgres),
    ],
)
def test_nothing_is_lost_and_nothing_paid_twice(
    where: str,
    chaos_s: float,
    request: pytest.FixtureRequest,
    mint: RealMint,
    upstream: UpstreamDouble,
    tmp_path: Path,
) -> None:
    place: Place = request.getfixturevalue(where)
    url = f"sqlite:///{place.where}" if place.engine == "sqlite" else place.where
    address = new_address(url, mint.url, upstream.base_url)
    with (
        RecipientServer() as bob,
        Service(address, tmp_path / "home", {"GUARD_ALLOW": bob.netloc}) as service,
    ):
        customers = [
            Customer(
                service.base_url, [mint.fund(sat) for sat in TOKENS_SAT], seed, bob.address
            )
            for seed in range(CUSTOMERS)
        ]
        kills = go_through_chaos(service, customers, chaos_s)

    assert kills > 0
    assert [reply for customer in customers for reply in customer.diary.unclean] == []
    house = build(address)
    try:
        assert_books_and_diaries_agree(house, customers)
    finally:
        house.close()


def assert_books_and_diaries_agree(house: House, customers: list[Customer]) -> None:
    house.recover()
    told = assert_sound(house)
    assert_nothing_is_left_to_do(house)

    charged = charges(house)
    served = [request_id for customer in customers for request_id in customer.diary.served]
    assert len(served) == len(set(served)) > 0
    assert set(served) <= charged.keys()
    assert len(charged) <= sum(customer.diary.asked for customer in customers)
    assert {charge.cost_msat for charge in charged.values()} == {COST_MSAT}

    presented_msat = 1_000 * sum(customer.presented_sat for customer in customers)
    refunded_msat = 1_000 * sum(customer.refunded_sat for customer in customers)
    assert told.faces_msat == presented_msat
    assert told.collected_msat == refunded_msat
    paid = {name for customer in customers for name in customer.diary.paid}
    assert {str(stream) for stream in payments(house)} == paid
    # What the house keeps its purse in order for, no client pays.
    own_fees_msat = sum(told.books.balances_msat[name] for name in (FEES_MINT, FEES_LIGHTNING))
    gone_msat = told.fees_msat + own_fees_msat + refunded_msat + told.paid_msat
    left_msat = presented_msat - gone_msat - COST_MSAT * len(charged)
    assert told.books.owed_msat() == left_msat
    # What is too little for a token stays with each client.
    assert 0 <= left_msat < 2_000 * len(customers)
