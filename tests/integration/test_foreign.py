"""Two real mints, of which one is not trusted: its tokens arrive once, whoever dies when."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import requests

from app.cashier.errors import DepositPendingError, ForeignSwapError
from app.gateways.mint import crypto
from app.gateways.mint.client import MintClient
from app.gateways.mint.tokens import decode, token_id
from app.gateways.mint.wire import ProofState
from domain.foreign import ForeignCredited
from domain.identity import deposit_of_token
from tests.doubles.mint_items import Payment
from tests.gateways.conftest import free_port
from tests.integration.driver import Driver, Errand
from tests.integration.fuse import REPLY, after, before
from tests.integration.house import Address, House, build, new_address
from tests.integration.lightning import LOOK_EVERY_S, Network
from tests.integration.mint import RealMint
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.doubles.upstream import UpstreamDouble

pytestmark = pytest.mark.integration

KILLED = -signal.SIGKILL
FACE_SAT, ARRIVES_MSAT = 1_000, 980_000
MINT_INVOICE, MELT_QUOTE, MELT, MINT = 1, 2, 3, 4
"""Which of the calls whose path ends in /bolt11 is which, counted from the first."""


@dataclass
class World:
    """Our mint, a foreign one, and the network between them."""

    ours: RealMint
    theirs: RealMint
    network: Network


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    ours_at, theirs_at = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("theirs")
    ours = RealMint(free_port(), ours_at, private_key="our mint", pays_invoices=False)
    theirs = RealMint(free_port(), theirs_at, private_key="a foreign mint")
    with ours, theirs, Network(theirs_at, ours_at) as network:
        yield World(ours, theirs, network)


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with Driver() as driver:
        yield driver


@pytest.fixture
def address(tmp_path: Path, world: World, upstream: UpstreamDouble) -> Address:
    where = f"sqlite:///{tmp_path}/ledger.db"
    address = new_address(where, world.ours.url, upstream.base_url)
    return replace(address, foreign_url=world.theirs.url)


@pytest.fixture
def house(address: Address) -> Iterator[House]:
    house = build(address)
    yield house
    house.close()


def states(world: World, token: str) -> set[ProofState]:
    ys = [crypto.hash_to_curve(proof.secret) for proof in decode(token).proofs]
    with requests.Session() as session:
        client = MintClient(
            world.theirs.url,
            session,
            connect_timeout_s=5.0,
            read_timeout_s=20.0,
            answer_bytes_max=1_000_000,
        )
        return set(client.states(ys).values())


def assert_arrived(world: World, house: House, token: str, account_id: UUID) -> None:
    """Check that the token is spent there, here once, and what is left of it spendable."""
    end = house.deposits.deposit(house.deposits.read(token), account_id)
    assert isinstance(end, ForeignCredited)
    assert house.msat(account_id) == (ARRIVES_MSAT, 0)
    assert end.credited_msat + end.change_msat + end.fee_msat == FACE_SAT * 1_000
    assert states(world, token) == {ProofState.SPENT}
    assert assert_sound(house).faces_msat == ARRIVES_MSAT
    assert_nothing_is_left_to_do(house)
    left = house.deposits.left_over(decode(token))
    assert left is not None
    assert decode(left).amount * 1_000 == end.change_msat
    assert states(world, left) == {ProofState.UNSPENT}


PLACES = [
    pytest.param((after("bolt11"), MINT_INVOICE), id="when our mint has made the invoice"),
    pytest.param((after("bolt11"), MELT_QUOTE), id="when the foreign mint has quoted"),
    pytest.param((before("QuoteForeign"), 1), id="before the quotes are recorded"),
    pytest.param((after("QuoteForeign"), 1), id="after the quotes are recorded"),
    pytest.param((before("bolt11"), MELT), id="before the foreign mint is asked to pay"),
    pytest.param((after("bolt11"), MELT), id="when it has paid and its answer is lost"),
    pytest.param((before("ArriveForeign"), 1), id="before the arrival is recorded"),
    pytest.param((after("ArriveForeign"), 1), id="after the arrival is recorded"),
    pytest.param((before("bolt11"), MINT), id="before our mint is asked to mint"),
    pytest.param((after("bolt11"), MINT), id="when our mint has minted, its answer is lost"),
    pytest.param((before("CreditForeign"), 1), id="before the credit is recorded"),
    pytest.param((after("CreditForeign"), 1), id="after the credit is recorded"),
    pytest.param((REPLY, 1), id="after the credit and before the reply"),
]


@pytest.mark.parametrize("first", ["the back office recovers", "the client comes again"])
@pytest.mark.parametrize("place", PLACES)
def test_a_foreign_token_is_credited_once_wherever_a_process_dies(
    place: tuple[str, int],
    first: str,
    driver: Driver,
    world: World,
    address: Address,
    house: House,
) -> None:
    token, account_id = world.theirs.fund(FACE_SAT), uuid4()
    errand = Errand("deposit", *place, token=token, account_id=str(account_id))
    assert driver.run(address, errand).code == KILLED, "the place was never reached"

    if first == "the back office recovers":
        house.recover()
    house.deposit(token, account_id)
    house.recover()

    assert_arrived(world, house, token, account_id)


def test_what_is_held_up_between_the_mints_is_credited_when_it_arrives(
    world: World, house: House
) -> None:
    token, account_id = world.theirs.fund(FACE_SAT), uuid4()
    world.network.carries = False
    with pytest.raises(DepositPendingError):
        house.deposit(token, account_id)
    house.recover()
    assert house.msat(account_id) == (0, 0)

    world.network.carries = True
    wait_for(world, house, token)

    house.recover()
    assert_arrived(world, house, token, account_id)


def wait_for(world: World, house: House, token: str) -> None:
    """Wait until the payment for a token has been carried."""
    stream = deposit_of_token(token_id(decode(token).proofs))
    quoted: Any = house.store.history(stream)[0].event
    while quoted.bill.request not in world.network.carried:
        time.sleep(LOOK_EVERY_S)


@pytest.mark.parametrize("killed", ["theirs", "ours"])
def test_a_mint_that_falls_meanwhile_is_asked_again(
    killed: str, world: World, house: House
) -> None:
    token, account_id = world.theirs.fund(FACE_SAT), uuid4()
    world.network.carries = False
    with pytest.raises(DepositPendingError):
        house.deposit(token, account_id)
    mint: RealMint = getattr(world, killed)
    mint.kill()
    house.recover()
    mint.start()
    world.network.carries = True
    wait_for(world, house, token)

    house.recover()

    assert_arrived(world, house, token, account_id)


@pytest.mark.parametrize("paid", [True, False])
def test_a_payment_that_is_pending_there_ends_here(
    world: World, house: House, *, paid: bool
) -> None:
    token, account_id = world.theirs.fund(FACE_SAT), uuid4()
    world.theirs.pays(Payment.PENDING)
    with pytest.raises(DepositPendingError):
        house.deposit(token, account_id)
    house.recover()
    assert states(world, token) == {ProofState.PENDING}
    world.theirs.settle_pending(paid=paid)
    # If it failed, its quote is unpaid, and is asked to be paid once more.
    world.theirs.pays(Payment.SETTLED)

    while house.msat(account_id) == (0, 0):
        house.recover()

    assert house.msat(account_id) == (ARRIVES_MSAT, 0)
    assert states(world, token) == {ProofState.SPENT}
    assert_sound(house)


@pytest.mark.parametrize("payment", [Payment.FAILED, Payment.UNKNOWN])
def test_a_payment_that_fails_there_leaves_the_token_to_its_owner(
    world: World, house: House, payment: Payment
) -> None:
    """Nutshell 0.20 gives back what it knows nothing of, as what has failed."""
    token, account_id = world.theirs.fund(FACE_SAT), uuid4()
    world.theirs.pays(payment)
    with pytest.raises(ForeignSwapError):
        house.deposit(token, account_id)
    assert states(world, token) == {ProofState.UNSPENT}
    assert house.store.open_movements() == []
    world.theirs.pays(Payment.SETTLED)

    house.deposit(token, account_id)

    assert_arrived(world, house, token, account_id)
