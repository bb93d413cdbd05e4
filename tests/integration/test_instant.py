"""Locked tokens at a real mint: credited once and swapped once, whoever dies when."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from domain.errors import TokenTakenError
from domain.guards import ExposureRow
from domain.instant import BatchSwapped, InstantCredited
from tests.integration.driver import Driver, Errand
from tests.integration.fuse import REPLY, after, before
from tests.integration.house import Address, House, build, new_address
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint
    from tests.store.places import Place

pytestmark = pytest.mark.integration

KILLED = -signal.SIGKILL
# A token of 1,000 sat is 6 proofs, each of which costs a tenth of a sat.
FACE_SAT, CREDITED_MSAT = 1_000, 999_000


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with Driver() as driver:
        yield driver


@pytest.fixture
def address(tmp_path: Path, mint: RealMint, upstream: UpstreamDouble) -> Address:
    return new_address(f"sqlite:///{tmp_path}/ledger.db", mint.url, upstream.base_url)


@pytest.fixture
def house(address: Address) -> Iterator[House]:
    house = build(address)
    yield house
    house.close()


def fund(house: House, mint: RealMint, sat: int = FACE_SAT) -> str:
    return mint.fund(sat, lock_to=house.deposits._opener.pubkey)


def assert_swapped(house: House, mint: RealMint, *account_ids: UUID) -> None:
    """Check that each account was credited once, and that all of it is proofs of ours."""
    for account_id in account_ids:
        assert house.msat(account_id) == (CREDITED_MSAT, 0)
    assert_sound(house)
    assert_nothing_is_left_to_do(house)
    assert house.store.kept()[1].exposures.get(mint.url) == ExposureRow(0, 0)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(before("CreditInstantly"), id="before the credit is recorded"),
        pytest.param(after("CreditInstantly"), id="after the credit is recorded"),
        pytest.param(REPLY, id="after the credit and before the reply"),
    ],
)
@pytest.mark.parametrize("first", ["the back office sweeps", "the client comes again"])
def test_a_locked_token_is_credited_once_wherever_a_process_dies(
    place: str, first: str, driver: Driver, address: Address, house: House, mint: RealMint
) -> None:
    token, account_id = fund(house, mint), uuid4()
    errand = Errand("deposit", place, token=token, account_id=str(account_id))
    assert driver.run(address, errand).code == KILLED, "the place was never reached"

    if first == "the back office sweeps":
        house.recover()
    assert house.deposit(token, account_id) == CREDITED_MSAT
    house.recover()

    assert isinstance(
        house.deposits.deposit(house.deposits.read(token), account_id), InstantCredited
    )
    assert_swapped(house, mint, account_id)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(before("PlanBatch"), id="before the batch is recorded"),
        pytest.param(after("PlanBatch"), id="after the batch is recorded"),
        pytest.param(before("swap"), id="before the mint is asked to swap"),
        pytest.param(after("swap"), id="when the mint has swapped and its answer is lost"),
        pytest.param(before("SwapBatch"), id="before what was swapped is recorded"),
        pytest.param(after("SwapBatch"), id="after what was swapped is recorded"),
    ],
)
def test_a_batch_is_swapped_once_wherever_a_process_dies(
    place: str, driver: Driver, address: Address, house: House, mint: RealMint
) -> None:
    account_ids = [uuid4() for _ in range(3)]
    for account_id in account_ids:
        house.deposit(fund(house, mint), account_id)
    assert driver.run(address, Errand("recover", place)).code == KILLED

    house.recover()

    assert_swapped(house, mint, *account_ids)
    ends = [
        placed.entry.event
        for page in house.store.log()
        for placed in page
        if isinstance(placed.entry.event, BatchSwapped)
    ]
    assert sum(end.swapped_msat for end in ends) == 2_998_000


def test_processes_that_sweep_at_the_same_time_swap_once(
    address: Address, house: House, mint: RealMint
) -> None:
    account_ids = [uuid4() for _ in range(4)]
    for account_id in account_ids:
        house.deposit(fund(house, mint), account_id)
    others = [build(address) for _ in range(3)]

    with ThreadPoolExecutor(len(others)) as threads:
        list(threads.map(lambda other: other.batches.sweep(), others))
    house.recover()

    assert_swapped(house, mint, *account_ids)
    for other in others:
        other.close()


def test_a_mint_killed_meanwhile_is_asked_again(house: House, mint: RealMint) -> None:
    account_id = uuid4()
    token = fund(house, mint)
    house.deposit(fund(house, mint, 8), uuid4())
    house.recover()
    mint.kill()
    assert house.deposit(token, account_id) == CREDITED_MSAT
    house.batches.sweep()
    mint.start()

    house.recover()

    assert_swapped(house, mint, account_id)


@pytest.mark.postgres
def test_one_proof_in_two_tokens_at_once_is_credited_once_on_postgresql(
    postgres_place: Place, mint: RealMint, upstream: UpstreamDouble
) -> None:
    address = new_address(postgres_place.where, mint.url, upstream.base_url)
    houses = [build(address) for _ in range(2)]
    token = houses[0].deposits.read(fund(houses[0], mint))
    part = type(token)(token.mint, token.unit, token.proofs[1:])
    for each in houses:
        # Both know the mint already.
        each.deposit(fund(each, mint, 8), uuid4())

    def deposit(house_and_token: tuple[House, object]) -> int:
        house, shown = house_and_token
        try:
            return house.deposits.deposit(shown, uuid4()).credited_msat  # type: ignore[arg-type]
        except TokenTakenError:
            return 0

    with ThreadPoolExecutor(2) as threads:
        credited = list(threads.map(deposit, zip(houses, (token, part), strict=True)))
    houses[0].recover()

    assert min(credited) == 0
    assert sorted(credited)[1] > 0
    assert_sound(houses[0])
    for each in houses:
        each.close()
