"""All movements at once, while workers, the back office and the mint are killed at random."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from domain.deposit import Credited
from domain.foreign import ForeignCredited
from domain.guards import FREE
from domain.identity import OWNER
from domain.instant import InstantCredited
from domain.invoice import InvoiceCredited
from domain.payout import PayoutPaid, PayoutStarted
from domain.posting import FEES_LIGHTNING, FEES_MINT
from tests.doubles.recipient import RecipientServer
from tests.gateways.conftest import free_port
from tests.integration.chaos import Killer
from tests.integration.crowd import (
    address_of,
    assert_books_and_crowd_agree,
    gather,
    settings_of,
)
from tests.integration.house import House, build
from tests.integration.mint import RealMint
from tests.integration.regulars import MintKiller, Regular
from tests.integration.service import Service
from tests.integration.test_payout import assert_paid_at_the_mint_as_in_the_books

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from projections.books import Books
    from tests.doubles.upstream import UpstreamDouble
    from tests.store.places import Place

CHAOS_S = float(os.environ.get("CHAOS_SECONDS", "60"))
REGULARS = 5

pytestmark = [pytest.mark.integration, pytest.mark.timeout(CHAOS_S + 400)]


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RealMint]:
    """A mint of this test's own, for it will be killed."""
    with RealMint(free_port(), tmp_path / "mint", private_key="a mint that dies") as mint:
        yield mint


@pytest.fixture(scope="module")
def abroad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMint]:
    """A mint that the house does not trust."""
    directory = tmp_path_factory.mktemp("abroad")
    with RealMint(free_port(), directory, private_key="a mint abroad") as mint:
        yield mint


@pytest.mark.parametrize(
    ("where", "chaos_s"),
    [
        pytest.param("sqlite_place", CHAOS_S, id="sqlite"),
        pytest.param(
            "postgres_place", CHAOS_S / 4, id="postgresql", marks=pytest.mark.postgres
        ),
    ],
)
def test_every_msat_is_explained_whatever_dies(
    where: str,
    chaos_s: float,
    request: pytest.FixtureRequest,
    mortal: RealMint,
    abroad: RealMint,
    upstream: UpstreamDouble,
    tmp_path: Path,
) -> None:
    """M10, M30 to M34, M38, M40, M41, M46: no msat is lost, none doubled."""
    place: Place = request.getfixturevalue(where)
    url = f"sqlite:///{place.where}" if place.engine == "sqlite" else place.where
    with RecipientServer() as bob:
        address = address_of(url, mortal, abroad, bob, upstream)
        settings = {
            **settings_of(abroad, bob),
            "RECEIVE_LN_ADDRESS": bob.address,
            "MINIMUM_PAYOUT": "5",
            "PAYOUT_INTERVAL_S": "2",
        }
        with Service(address, tmp_path / "home", settings) as service:
            regulars = gather(REGULARS, service, mortal, abroad, bob)
            kills = live_through(service, mortal, regulars, chaos_s)
        house = build(address)
        try:
            assert_all_is_explained(house, regulars)
        finally:
            house.close()
    assert min(kills) > 0
    assert [reply for regular in regulars for reply in regular.diary.unclean] == []


def live_through(
    service: Service, mint: RealMint, regulars: list[Regular], chaos_s: float
) -> tuple[int, int]:
    with ThreadPoolExecutor(REGULARS) as threads:
        list(threads.map(Regular.open, regulars))
        until_s = time.monotonic() + chaos_s
        killer = Killer(service, until_s, seed=11)
        mint_killer = MintKiller(mint, until_s, seed=12)
        killer.start()
        mint_killer.start()
        list(threads.map(lambda regular: regular.live(until_s), regulars))
        killer.join()
        mint_killer.join()
        list(threads.map(Regular.leave, regulars))
    return killer.kills, mint_killer.kills


def assert_all_is_explained(house: House, regulars: list[Regular]) -> None:
    told, _ = assert_books_and_crowd_agree(house, regulars)
    assert assert_paid_at_the_mint_as_in_the_books(house) > 0
    told_of = {entry for regular in regulars for entry in regular.diary.paid}
    assert told_of <= begun(house)
    assert_every_way_was_gone(house)
    assert_the_owner_took_only_what_was_earned(house, told.books)


def assert_every_way_was_gone(house: House) -> None:
    ways = {type(entry.event) for page in house.store.log() for _, entry in page}

    assert {Credited, InstantCredited, ForeignCredited, InvoiceCredited, PayoutPaid} <= ways


def begun(house: House) -> set[str]:
    return {
        str(entry.stream)
        for page in house.store.log()
        for _, entry in page
        if isinstance(entry.event, PayoutStarted)
    }


def assert_the_owner_took_only_what_was_earned(house: House, books: Books) -> None:
    _, kept = house.store.kept()
    free_msat = sum(
        row.amount * (1_000 if row.unit == "sat" else 1)
        for row in kept.proofs.rows.values()
        if row.state == FREE
    )
    # What mints keep of the house's own swaps may come after the owner has drawn all there was;
    # and what swapping locked tokens together has saved is the owner's too.
    saved_msat = books.balances_msat[FEES_MINT] + books.balances_msat[FEES_LIGHTNING]
    owed_msat = books.owed_msat() - books.balances_msat["tokens:outstanding"]
    assert free_msat + max(-saved_msat, 0) >= owed_msat
    drawn = [
        entry.event
        for page in house.store.log()
        for _, entry in page
        if isinstance(entry.event, PayoutPaid) and entry.event.payment.account_id == OWNER
    ]
    taken_msat = sum(event.payment.amount * event.payment.unit_msat for event in drawn)
    assert taken_msat <= books.balances_msat["house:earned"] + max(saved_msat, 0)
