"""A process killed anywhere between intent and outcome loses nothing and pays nothing twice.

Each test kills a real process at one place, against a real mint. Then another process
recovers and the client comes again, as clients do, in either order.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID, uuid4

import pytest

from tests.integration.driver import Driver, Errand
from tests.integration.fuse import (
    REPLY,
    UPSTREAM_ASKED,
    UPSTREAM_DATA,
    UPSTREAM_END,
    UPSTREAM_HEAD,
    after,
    before,
)
from tests.integration.house import COST_MSAT, Address, House, build, new_address
from tests.integration.purse import is_unspent, take_home
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint
    from tests.store.places import Place

pytestmark = pytest.mark.integration

Kill: TypeAlias = Callable[[Errand], None]
KILLED = -signal.SIGKILL
# A token of 1,000 sat is 6 proofs, our 999 sat are 8, and each proof costs a tenth of a sat.
FACE_SAT, CREDITED_MSAT, REFUNDED_SAT, HOME_SAT = 1_000, 999_000, 998, 997
THE_CLIENT, THE_BACK_OFFICE = "the client comes again", "the back office recovers"
FIRST = pytest.mark.parametrize("first", [THE_BACK_OFFICE, THE_CLIENT])


@pytest.fixture
def engine() -> str:
    """Where the books are kept; a test names another one by a parameter of this name."""
    return "sqlite"


@pytest.fixture
def address(
    engine: str, request: pytest.FixtureRequest, mint: RealMint, upstream: UpstreamDouble
) -> Address:
    name = "sqlite_place" if engine == "sqlite" else "postgres_place"
    place: Place = request.getfixturevalue(name)
    where = place.where if engine == "postgresql" else f"sqlite:///{place.where}"
    return new_address(where, mint.url, upstream.base_url)


@pytest.fixture
def house(address: Address) -> Iterator[House]:
    """A process that lives: it sets the scene, and recovers from the death of another."""
    house = build(address)
    yield house
    house.close()


@pytest.fixture
def account_id(house: House, mint: RealMint) -> UUID:
    """A client with `CREDITED_MSAT`."""
    account_id = uuid4()
    assert house.deposit(mint.fund(FACE_SAT), account_id) == CREDITED_MSAT
    return account_id


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with Driver() as driver:
        yield driver


@pytest.fixture
def kill(driver: Driver, address: Address) -> Kill:
    """How to send another process on an errand, from which it does not come back."""

    def kill(errand: Errand) -> None:
        assert driver.run(address, errand).code == KILLED, "the place was never reached"

    return kill


DEPOSIT_PLACES = [
    pytest.param(before("Receive"), id="before the token's receipt is recorded"),
    pytest.param(after("Receive"), id="after the token's receipt is recorded"),
    pytest.param(before("swap"), id="before the mint is asked to swap"),
    pytest.param(after("swap"), id="when the mint has swapped and its answer is lost"),
    pytest.param(before("Credit"), id="after the swap and before the credit is recorded"),
    pytest.param(after("Credit"), id="after the credit is recorded"),
    pytest.param(REPLY, id="after the credit and before the reply"),
]


@FIRST
@pytest.mark.parametrize("place", DEPOSIT_PLACES)
def test_a_deposit_is_credited_once(
    place: str, first: str, kill: Kill, house: House, mint: RealMint
) -> None:
    assert_deposit_survives(place, first, kill, house, mint)


@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["postgresql"])
@pytest.mark.parametrize("place", DEPOSIT_PLACES[3:6:2])
def test_a_deposit_is_credited_once_on_postgresql(
    place: str, engine: str, kill: Kill, house: House, mint: RealMint
) -> None:
    assert_deposit_survives(place, THE_BACK_OFFICE, kill, house, mint)


def assert_deposit_survives(
    place: str, first: str, kill: Kill, house: House, mint: RealMint
) -> None:
    token, account_id = mint.fund(FACE_SAT), uuid4()
    kill(Errand("deposit", place, token=token, account_id=str(account_id)))

    if first == THE_BACK_OFFICE:
        house.recover()
    credited_msat = house.deposit(token, account_id)
    house.recover()

    assert credited_msat == CREDITED_MSAT
    assert house.msat(account_id) == (CREDITED_MSAT, 0)
    assert assert_sound(house).faces_msat == FACE_SAT * 1_000
    assert_nothing_is_left_to_do(house)


REFUND_PLACES = [
    pytest.param(before("Start"), id="before the refund is recorded"),
    pytest.param(after("Start"), id="after the refund is recorded"),
    pytest.param(before("swap"), id="before the mint is asked for the token"),
    pytest.param(after("swap"), id="when the mint has made the token and its answer is lost"),
    pytest.param(before("Issue"), id="before the token is recorded"),
    pytest.param(after("Issue"), id="after the token is recorded"),
    pytest.param(REPLY, id="after the token is recorded and before the reply"),
]


@FIRST
@pytest.mark.parametrize("place", REFUND_PLACES)
def test_a_refund_is_paid_once(
    place: str, first: str, kill: Kill, house: House, account_id: UUID
) -> None:
    assert_refund_survives(place, first, kill, house, account_id)


@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["postgresql"])
@pytest.mark.parametrize("place", REFUND_PLACES[3:6:2])
def test_a_refund_is_paid_once_on_postgresql(
    place: str, engine: str, kill: Kill, house: House, account_id: UUID
) -> None:
    assert_refund_survives(place, THE_BACK_OFFICE, kill, house, account_id)


def assert_refund_survives(
    place: str, first: str, kill: Kill, house: House, account_id: UUID
) -> None:
    kill(Errand("refund", place, account_id=str(account_id)))

    if first == THE_BACK_OFFICE:
        house.recover()
    refund = house.refunds.refund(account_id)
    house.recover()

    assert (refund.amount, refund.unit, refund.fee) == (REFUNDED_SAT, "sat", 1)
    assert house.refunds.refund(account_id).token == refund.token
    assert house.msat(account_id) == (0, 0)
    assert is_unspent(refund.token)
    assert_sound(house)
    assert_nothing_is_left_to_do(house)
    assert take_home(refund.token).amount == HOME_SAT


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(before("checkstate"), id="before the mint is asked"),
        pytest.param(before("Collect"), id="before the collection is recorded"),
        pytest.param(after("Collect"), id="after the collection is recorded"),
    ],
)
def test_a_token_is_collected_once(
    place: str, kill: Kill, house: House, account_id: UUID
) -> None:
    refund = house.refunds.refund(account_id)
    take_home(refund.token)
    kill(Errand("watch", place))

    house.recover()

    told = assert_sound(house)
    assert told.collected_msat == REFUNDED_SAT * 1_000
    assert told.books.at_mints_msat() == 0
    assert_nothing_is_left_to_do(house)


PLAIN_PLACES = [
    pytest.param(before("Hold"), 0, id="before the hold is recorded"),
    pytest.param(after("Hold"), 0, id="after the hold is recorded"),
    pytest.param(UPSTREAM_ASKED, 0, id="before the upstream is asked"),
    pytest.param(UPSTREAM_HEAD, 0, id="after the upstream's head"),
    pytest.param(UPSTREAM_END, 0, id="after the upstream's end"),
    pytest.param(before("Charge"), 0, id="before the charge is recorded"),
    pytest.param(after("Charge"), COST_MSAT, id="after the charge is recorded"),
    pytest.param(REPLY, COST_MSAT, id="after the charge and before the reply"),
]


@pytest.mark.parametrize(("place", "charged_msat"), PLAIN_PLACES)
def test_a_plain_request_is_charged_once_or_not_at_all(
    place: str, charged_msat: int, kill: Kill, house: House, account_id: UUID
) -> None:
    errand = Errand("chat", place, account_id=str(account_id))

    assert_chat_survives(errand, charged_msat, kill, house)


STREAM_PLACES = [
    pytest.param(UPSTREAM_HEAD, 1, 0, id="after the upstream's head"),
    pytest.param(UPSTREAM_DATA, 1, 0, id="in the middle of the stream"),
    pytest.param(UPSTREAM_END, 1, 0, id="after the upstream's end"),
    pytest.param(before("Charge"), 1, 0, id="before the charge is recorded"),
    pytest.param(after("Charge"), 1, COST_MSAT, id="after the charge is recorded"),
    pytest.param(REPLY, 1, COST_MSAT, id="after the charge and before the last byte"),
]


@pytest.mark.parametrize(("place", "count", "charged_msat"), STREAM_PLACES)
def test_a_stream_is_charged_once_or_not_at_all(
    place: str, count: int, charged_msat: int, kill: Kill, house: House, account_id: UUID
) -> None:
    errand = Errand("chat", place, count, account_id=str(account_id), stream=True)

    assert_chat_survives(errand, charged_msat, kill, house)


@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["postgresql"])
@pytest.mark.parametrize(("place", "count", "charged_msat"), STREAM_PLACES[1:5])
def test_a_stream_is_charged_once_or_not_at_all_on_postgresql(
    place: str, count: int, charged_msat: int, kill: Kill, house: House, account_id: UUID
) -> None:
    errand = Errand("chat", place, count, account_id=str(account_id), stream=True)

    assert_chat_survives(errand, charged_msat, kill, house)


@pytest.mark.parametrize(
    ("place", "count", "charged_msat"),
    [
        pytest.param(UPSTREAM_DATA, 2, 0, id="while it is read on for the usage"),
        pytest.param(before("Charge"), 1, 0, id="before the charge is recorded"),
        pytest.param(after("Charge"), 1, COST_MSAT, id="after the charge is recorded"),
    ],
)
def test_a_stream_its_client_has_left_is_charged_once_or_not_at_all(
    place: str, count: int, charged_msat: int, kill: Kill, house: House, account_id: UUID
) -> None:
    errand = Errand("chat", place, count, account_id=str(account_id), stream=True, leaves=True)

    assert_chat_survives(errand, charged_msat, kill, house)


def assert_chat_survives(errand: Errand, charged_msat: int, kill: Kill, house: House) -> None:
    account_id = UUID(errand.account_id)
    kill(errand)

    house.recover()
    after_death = house.msat(account_id)
    assert_nothing_is_left_to_do(house)
    house.chat(account_id, stream=errand.stream)

    assert after_death == (CREDITED_MSAT - charged_msat, 0)
    assert house.msat(account_id) == (CREDITED_MSAT - charged_msat - COST_MSAT, 0)
    assert_sound(house)
    assert_nothing_is_left_to_do(house)


@pytest.mark.parametrize(
    ("errand", "place"),
    [
        pytest.param(
            Errand("deposit", after("swap")),
            before("Credit"),
            id="of a deposit, before its end",
        ),
        pytest.param(
            Errand("deposit", after("swap")), after("Credit"), id="of a deposit, after its end"
        ),
        pytest.param(
            Errand("refund", after("swap")), before("Issue"), id="of a refund, before its end"
        ),
        pytest.param(
            Errand("refund", after("swap")), after("Issue"), id="of a refund, after its end"
        ),
        pytest.param(
            Errand("chat", UPSTREAM_DATA, 1, stream=True),
            before("Release"),
            id="of a hold, before its end",
        ),
        pytest.param(
            Errand("chat", UPSTREAM_DATA, 1, stream=True),
            after("Release"),
            id="of a hold, after its end",
        ),
    ],
)
def test_a_recovery_that_dies_is_recovered_from(
    errand: Errand, place: str, kill: Kill, house: House, mint: RealMint, account_id: UUID
) -> None:
    token = mint.fund(FACE_SAT) if errand.act == "deposit" else ""
    kill(replace(errand, token=token, account_id=str(account_id)))
    kill(Errand("recover", place))

    house.recover()

    expected_msat = {"deposit": 2 * CREDITED_MSAT, "refund": 0, "chat": CREDITED_MSAT}
    assert house.msat(account_id) == (expected_msat[errand.act], 0)
    assert_sound(house)
    assert_nothing_is_left_to_do(house)
