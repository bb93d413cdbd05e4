"""M34, M41, M43 with real mints: a process killed at a payment pays once or not at all."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID, uuid4

import pytest

from app.cashier.payout import Status
from app.gateways.mint.wire import QuoteState
from domain.identity import OWNER
from domain.payout import PayoutPaid, PayoutStarted
from tests.doubles.mint_items import Payment
from tests.doubles.recipient import RecipientServer
from tests.gateways.conftest import free_port
from tests.integration.driver import Driver, Errand
from tests.integration.fuse import REPLY, after, before
from tests.integration.house import Address, House, build, new_address
from tests.integration.mint import RealMint
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.doubles.upstream import UpstreamDouble
    from tests.store.places import Place

pytestmark = pytest.mark.integration

Kill: TypeAlias = Callable[[Errand], None]
KILLED = -signal.SIGKILL
FACE_SAT, CREDITED_MSAT = 1_000, 999_000
PAID_MSAT = 100_000
THE_CLIENT, THE_BACK_OFFICE = "the client comes again", "the back office recovers"
FIRST = pytest.mark.parametrize("first", [THE_BACK_OFFICE, THE_CLIENT])
QUOTED, MELTED = 1, 2  # both are asked of a path that ends with bolt11, in this order


@pytest.fixture(scope="module")
def payer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMint]:
    """A mint whose payments a test may let fail, hang or be forgotten."""
    directory = tmp_path_factory.mktemp("payer")
    with RealMint(free_port(), directory, private_key="a mint that pays out") as mint:
        yield mint


@pytest.fixture(scope="module")
def bob() -> Iterator[RecipientServer]:
    with RecipientServer() as bob:
        yield bob


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with Driver() as driver:
        yield driver


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture
def address(
    engine: str,
    request: pytest.FixtureRequest,
    payer: RealMint,
    upstream: UpstreamDouble,
    bob: RecipientServer,
) -> Address:
    name = "sqlite_place" if engine == "sqlite" else "postgres_place"
    place: Place = request.getfixturevalue(name)
    where = place.where if engine == "postgresql" else f"sqlite:///{place.where}"
    return replace(new_address(where, payer.url, upstream.base_url), allow=(bob.netloc,))


@pytest.fixture
def house(address: Address) -> Iterator[House]:
    house = build(address)
    yield house
    house.close()


@pytest.fixture
def account_id(house: House, payer: RealMint) -> UUID:
    account_id = uuid4()
    assert house.deposit(payer.fund(FACE_SAT), account_id) == CREDITED_MSAT
    return account_id


@pytest.fixture
def kill(driver: Driver, address: Address) -> Kill:
    """How to send another process on an errand, from which it does not come back."""

    def kill(errand: Errand) -> None:
        assert driver.run(address, errand).code == KILLED, "the place was never reached"

    return kill


def errand(account_id: UUID, bob: RecipientServer, place: str, count: int = 1) -> Errand:
    return Errand(
        "pay",
        place,
        count,
        account_id=str(account_id),
        payout_id=str(uuid4()),
        recipient=bob.address,
        msat=PAID_MSAT,
    )


def assert_paid_at_the_mint_as_in_the_books(house: House) -> int:
    """Compare each payment with what the mint says of its quote; return how many there are."""
    begun, paid = {}, set()
    for page in house.store.log():
        for _, entry in page:
            if isinstance(entry.event, PayoutStarted):
                begun[entry.stream] = entry.event.payment
            elif isinstance(entry.event, PayoutPaid):
                paid.add(entry.stream)
    for stream, payment in begun.items():
        client = house.mints.get(payment.mint).client
        is_paid = client.melt_quote_state(payment.quote).state is QuoteState.PAID
        assert is_paid == (stream in paid)
    return len(paid)


def assert_survived(
    sent: Errand, first: str, house: House, status: Status, account_id: UUID
) -> None:
    """Recover, come again as the client does, and find all the money where it belongs."""
    if first == THE_BACK_OFFICE:
        house.recover()
    name = UUID(sent.payout_id)
    payout = house.payouts.refund_to(name, account_id, sent.recipient, sent.msat)
    house.recover()
    told = house.payouts.standing(name, account_id)

    assert payout.status is told.status is status
    gone_msat = told.fee_msat + (PAID_MSAT if status is Status.PAID else 0)
    assert house.msat(account_id) == (CREDITED_MSAT - gone_msat, 0)
    assert assert_paid_at_the_mint_as_in_the_books(house) == int(status is Status.PAID)
    assert_sound(house)
    assert_nothing_is_left_to_do(house)


# Whoever comes after a death before the payment was begun begins it anew.
PLACES = [
    pytest.param(
        before("bolt11"), QUOTED, Status.PAID, id="before the mint is asked its price"
    ),
    pytest.param(before("StartPayout"), 1, Status.PAID, id="before the payment is recorded"),
    pytest.param(after("StartPayout"), 1, Status.FAILED, id="after the payment is recorded"),
    pytest.param(before("bolt11"), MELTED, Status.FAILED, id="before the mint is asked to pay"),
    pytest.param(after("bolt11"), MELTED, Status.PAID, id="when the mint has paid, unheard"),
    pytest.param(before("EndPayout"), 1, Status.PAID, id="before the end is recorded"),
    pytest.param(after("EndPayout"), 1, Status.PAID, id="after the end is recorded"),
    pytest.param(REPLY, 1, Status.PAID, id="after the end and before the reply"),
]


@FIRST
@pytest.mark.parametrize(("place", "count", "status"), PLACES)
def test_a_payment_is_made_once_or_not_at_all(
    place: str,
    count: int,
    status: Status,
    first: str,
    kill: Kill,
    house: House,
    bob: RecipientServer,
    account_id: UUID,
) -> None:
    """M41."""
    sent = errand(account_id, bob, place, count)
    kill(sent)

    assert_survived(sent, first, house, status, account_id)


@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["postgresql"])
@pytest.mark.parametrize(("place", "count", "status"), PLACES[2:6])
def test_a_payment_is_made_once_or_not_at_all_on_postgresql(
    place: str,
    count: int,
    status: Status,
    engine: str,
    kill: Kill,
    house: House,
    bob: RecipientServer,
    account_id: UUID,
) -> None:
    sent = errand(account_id, bob, place, count)
    kill(sent)

    assert_survived(sent, THE_BACK_OFFICE, house, status, account_id)


@pytest.fixture
def failing(payer: RealMint) -> Iterator[RealMint]:
    """The mint, while its payments fail."""
    payer.pays(Payment.FAILED)
    yield payer
    payer.pays(Payment.SETTLED)


GIVING_UP = [
    pytest.param(before("AbandonPayout"), id="before it is given up"),
    pytest.param(after("AbandonPayout"), id="after it is given up"),
    pytest.param(before("swap"), id="before the inputs are taken back"),
    pytest.param(after("swap"), id="when they were taken back, unheard"),
    pytest.param(before("CancelPayout"), id="before the end is recorded"),
    pytest.param(after("CancelPayout"), id="after the end is recorded"),
]


def test_a_failed_payment_is_given_back_wherever_a_process_dies(
    kill: Kill, house: House, payer: RealMint, bob: RecipientServer, failing: RealMint
) -> None:
    """M34: all places with one mint, for it takes seconds to start."""
    for param in GIVING_UP:
        account_id = uuid4()
        assert house.deposit(payer.fund(FACE_SAT), account_id) == CREDITED_MSAT
        sent = errand(account_id, bob, str(param.values[0]))
        kill(sent)
        house.recover()
        payout = house.payouts.standing(UUID(sent.payout_id), account_id)

        assert payout.status is Status.FAILED
        assert house.msat(account_id) == (CREDITED_MSAT - payout.fee_msat, 0)
    assert assert_paid_at_the_mint_as_in_the_books(house) == 0
    assert_sound(house)
    assert_nothing_is_left_to_do(house)


@pytest.mark.parametrize("paid", [True, False])
def test_what_is_pending_at_the_mint_is_open_until_it_is_not(
    *,
    paid: bool,
    house: House,
    payer: RealMint,
    bob: RecipientServer,
    account_id: UUID,
) -> None:
    """M34: the mint is killed, and comes back knowing more."""
    payer.pays(Payment.PENDING)
    try:
        name = uuid4()
        payout = house.payouts.refund_to(name, account_id, bob.address, PAID_MSAT)
        house.recover()
        waiting = [row.kind for _, row in house.store.open_movements()]
        payer.kill()
        house.recover()
    finally:
        payer.settle_pending(paid=paid)
    for _ in range(50):
        house.recover()
        if not house.store.open_movements():
            break
    payer.pays(Payment.SETTLED)
    told = house.payouts.standing(name, account_id)

    assert payout.status is Status.PENDING
    assert waiting == ["payout"]
    assert told.status is (Status.PAID if paid else Status.FAILED)
    assert house.msat(account_id)[0] == CREDITED_MSAT - told.fee_msat - PAID_MSAT * paid
    assert assert_paid_at_the_mint_as_in_the_books(house) == int(paid)
    assert_sound(house)
    assert_nothing_is_left_to_do(house)


def test_what_the_mint_does_not_know_pays_nobody_twice(
    house: House, payer: RealMint, bob: RecipientServer, account_id: UUID
) -> None:
    """Nutshell 0.20 gives the inputs back then: they are swapped before anything else."""
    payer.pays(Payment.UNKNOWN)
    try:
        payout = house.payouts.refund_to(uuid4(), account_id, bob.address, PAID_MSAT)
    finally:
        payer.pays(Payment.SETTLED)

    assert payout.status is Status.FAILED
    assert house.msat(account_id) == (CREDITED_MSAT - payout.fee_msat, 0)
    assert assert_paid_at_the_mint_as_in_the_books(house) == 0
    assert_sound(house)


@pytest.mark.parametrize(
    ("place", "count"),
    [(after("StartPayout"), 1), (before("bolt11"), MELTED), (after("bolt11"), MELTED)],
)
def test_the_owner_is_paid_once_and_clients_keep_theirs(
    place: str,
    count: int,
    kill: Kill,
    house: House,
    payer: RealMint,
    bob: RecipientServer,
    account_id: UUID,
) -> None:
    """M38, M41, M43: between the quote and the melt, and after it."""
    house.chat(account_id, stream=False)
    owed_msat, _ = house.msat(account_id)
    surplus_msat = house.payouts.surplus_msat(payer.url)
    assert surplus_msat == CREDITED_MSAT - owed_msat > 1_000
    house.chat(account_id, stream=True)
    for _ in range(10):
        house.chat(account_id, stream=False)
    owed_msat, _ = house.msat(account_id)
    sent = replace(
        errand(OWNER, bob, place, count), act="draw", msat=house.payouts.surplus_msat(payer.url)
    )
    kill(sent)

    house.recover()

    assert house.msat(account_id) == (owed_msat, 0)
    assert house.payouts.surplus_msat(payer.url) >= 0
    assert assert_paid_at_the_mint_as_in_the_books(house) == int(place == after("bolt11"))
    assert_sound(house)
    assert_nothing_is_left_to_do(house)
