"""M35: what is left on an expired key goes back once, whatever is killed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID, uuid4

import pytest

from domain.key import Changes
from domain.refund import Issued, Started
from tests.integration.client import Client
from tests.integration.driver import Driver, Errand
from tests.integration.fuse import REPLY, after, before
from tests.integration.house import COST_MSAT, Address, House, build, new_address
from tests.integration.purse import take_home
from tests.integration.service import Service
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint

pytestmark = pytest.mark.integration

Kill: TypeAlias = Callable[[Errand], None]
FACE_SAT, REFUNDED_SAT, HOME_SAT = 1_000, 998, 997
WAIT_MAX_S = 60.0


@pytest.fixture
def address(tmp_path: Path, mint: RealMint, upstream: UpstreamDouble) -> Address:
    return new_address(f"sqlite:///{tmp_path}/ledger.db", mint.url, upstream.base_url)


@pytest.fixture
def house(address: Address) -> Iterator[House]:
    house = build(address)
    yield house
    house.close()


@pytest.fixture
def expired(house: House, mint: RealMint) -> UUID:
    """An account with 999 sat, whose key expired yesterday."""
    account_id = uuid4()
    house.deposit(mint.fund(FACE_SAT), account_id)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    house.ledger.set_key(account_id, account_id, Changes(expires_at=yesterday))
    return account_id


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
        pytest.param(before("Start"), id="before the refund is recorded"),
        pytest.param(after("Start"), id="after the refund is recorded"),
        pytest.param(before("swap"), id="before the mint is asked for the token"),
        pytest.param(after("swap"), id="when the mint has made it and its answer is lost"),
        pytest.param(before("Issue"), id="before the token is recorded"),
        pytest.param(after("Issue"), id="after the token is recorded"),
        pytest.param(REPLY, id="when all is done"),
    ],
)
@pytest.mark.parametrize("recovers", [True, False], ids=["recovered first", "at once"])
def test_an_expired_key_is_refunded_once(
    place: str, *, recovers: bool, kill: Kill, house: House, expired: UUID
) -> None:
    """M35."""
    kill(Errand("expire", place))

    if recovers:
        house.recover()
    house.refund_expired()
    house.recover()
    house.refund_expired()

    told = [entry.event for page in house.store.log() for _, entry in page]
    assert sum(isinstance(event, Started) for event in told) == 1
    assert sum(isinstance(event, Issued) for event in told) == 1
    assert house.msat(expired) == (0, 0)
    refund = house.refunds.refund(expired)
    assert refund.amount == REFUNDED_SAT
    assert_sound(house)
    assert_nothing_is_left_to_do(house)
    assert take_home(refund.token).amount == HOME_SAT


def wait_for(comes: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_MAX_S
    while not comes():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.1)


def test_a_service_refunds_what_is_left_though_its_back_office_is_killed(
    address: Address, mint: RealMint, tmp_path: Path
) -> None:
    """M35: until its end a key is served, then refunded; its owner fetches the token."""
    settings = {"REFUND_PROCESSING_INTERVAL": "1"}
    with Service(address, tmp_path / "home", settings) as service:
        end = int(time.time()) + 4
        opened = Client(service.base_url, "none").post(
            "/v1/wallet/create",
            {"initial_balance_token": mint.fund(FACE_SAT), "key_expiry_time": end},
        )
        client = Client(service.base_url, opened.document["api_key"])
        served = client.chat()
        service.kill_back_office()

        wait_for(lambda: client.msat()[0] < 1_000)
        service.kill_back_office()
        refused = client.chat()
        refund = client.refund().document
        again = client.refund().document

    assert served.status == 200
    assert (refused.status, refused.error["code"]) == (403, "key_expired")
    assert again["token"] == refund["token"]
    left_msat = (FACE_SAT - 1) * 1_000 - COST_MSAT
    assert int(refund["sats"]) in range(left_msat // 1_000 - 2, left_msat // 1_000 + 1)
    assert take_home(refund["token"]).amount >= int(refund["sats"]) - 2
    told = build(address)
    told.recover()
    assert_sound(told)
    told.close()
