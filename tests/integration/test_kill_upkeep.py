"""Killed while it keeps order or takes tokens back, a process loses and doubles nothing.

Each test kills a real process at one place, against a real mint; then another goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID, uuid4

import pytest

from domain.guards import FREE
from domain.reclaim import Swept
from domain.refund import Cancelled, Collected, Started
from tests.integration.driver import Driver, Errand
from tests.integration.fuse import REPLY, after, before
from tests.integration.house import AT_ONCE, Address, House, build, new_address
from tests.integration.purse import take_home
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint

pytestmark = pytest.mark.integration

Kill: TypeAlias = Callable[[Errand], None]


@pytest.fixture
def address(tmp_path: Path, mint: RealMint, upstream: UpstreamDouble) -> Address:
    return new_address(f"sqlite:///{tmp_path}/ledger.db", mint.url, upstream.base_url)


@pytest.fixture
def house(address: Address) -> Iterator[House]:
    house = build(address)
    yield house
    house.close()


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with Driver() as driver:
        yield driver


@pytest.fixture
def kill(driver: Driver, address: Address) -> Kill:
    def kill(errand: Errand) -> None:
        assert driver.run(address, errand).code == -9, "the place was never reached"

    return kill


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(before("StartSwap"), id="before the swap is recorded"),
        pytest.param(after("StartSwap"), id="after the swap is recorded"),
        pytest.param(before("swap"), id="before the mint is asked"),
        pytest.param(after("swap"), id="when the mint has swapped and its answer is lost"),
        pytest.param(before("FinishSwap"), id="before its end is recorded"),
        pytest.param(after("FinishSwap"), id="after its end is recorded"),
        pytest.param(REPLY, id="when all is done"),
    ],
)
def test_order_in_the_purse_is_made_once(
    place: str, kill: Kill, house: House, mint: RealMint
) -> None:
    """M42: every proof we call free can be spent, before and after."""
    account_id = uuid4()
    credited_msat = sum(house.deposit(mint.fund(4), account_id) for _ in range(6))
    kill(Errand("tidy", place))

    house.recover()
    house.swaps.tidy()

    _, rows = house.store.kept()
    free = [row.amount for row in rows.proofs.rows.values() if row.state == FREE]
    assert max(free.count(amount) for amount in free) <= 2
    assert house.msat(account_id) == (credited_msat, 0)
    assert_sound(house)
    assert_nothing_is_left_to_do(house)


@pytest.mark.parametrize("collector", ["nobody", "the client"])
@pytest.mark.parametrize(
    "place",
    [
        pytest.param(before("StartSweep"), id="before the sweep is recorded"),
        pytest.param(after("StartSweep"), id="after the sweep is recorded"),
        pytest.param(before("swap"), id="before the mint is asked"),
        pytest.param(after("swap"), id="when the mint has swapped and its answer is lost"),
        pytest.param(before("Sweep"), id="before its end is recorded"),
        pytest.param(after("Sweep"), id="after its end is recorded"),
    ],
)
def test_an_uncollected_token_is_its_owners_or_its_accounts(
    place: str, collector: str, kill: Kill, house: House, mint: RealMint
) -> None:
    """M44: the mint alone decides whose it is."""
    account_id = uuid4()
    house.deposit(mint.fund(1_000), account_id)
    refund = house.refunds.refund(account_id)
    kill(Errand("sweep", place))
    was_swapped = place not in {before("StartSweep"), after("StartSweep"), before("swap")}
    if collector == "the client" and not was_swapped:
        take_home(refund.token)

    house.recover()
    house.recovery.sweep_tokens(older_than=AT_ONCE)
    house.recover()

    ends = [entry.event for page in house.store.log() for _, entry in page]
    taken = [event for event in ends if isinstance(event, Swept)]
    gone = [event for event in ends if isinstance(event, Collected)]
    is_home = collector == "the client" and not was_swapped
    assert (len(taken), len(gone)) == ((0, 1) if is_home else (1, 0))
    available_msat = 0 if is_home else refund.amount * 1_000 - taken[0].swap.fee_msat
    assert house.msat(account_id) == (available_msat, 0)
    assert_sound(house)
    assert_nothing_is_left_to_do(house)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(before("swap"), id="before the mint is asked"),
        pytest.param(after("swap"), id="when the mint has swapped and its answer is lost"),
        pytest.param(before("Cancel"), id="before its end is recorded"),
        pytest.param(after("Cancel"), id="after its end is recorded"),
    ],
)
def test_a_refused_refund_is_taken_back_once(
    place: str, kill: Kill, house: House, mint: RealMint
) -> None:
    account_id = uuid4()
    credited_msat = house.deposit(mint.fund(1_000), account_id)
    recall(house, account_id, mint.url)
    kill(Errand("recover", place))

    house.recover()

    (cancelled,) = (
        entry.event
        for page in house.store.log()
        for _, entry in page
        if isinstance(entry.event, Cancelled)
    )
    assert house.msat(account_id) == (credited_msat, 0)
    assert cancelled.fee_msat == 1_000
    assert_sound(house)
    assert_nothing_is_left_to_do(house)


def recall(house: House, account_id: UUID, mint_url: str) -> None:
    """Have a refund that the mint is said to have refused, and whose recall is recorded."""
    purse = house.mints.get(mint_url).purse("sat")
    begun = house.ledger.start_refund(uuid4(), account_id, purse)
    assert isinstance(begun.event, Started)
    house.ledger.recall_refund(begun, begun.event.draft, purse, "for this test")
