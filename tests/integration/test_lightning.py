"""M10, with a real mint: what was paid over Lightning is credited, once, whoever dies."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from app.cashier.invoice import LATE_FOR, Status
from app.store.opening import open_store
from domain.invoice import InvoiceCredited
from tests.gateways.conftest import free_port
from tests.integration.client import Client
from tests.integration.driver import Driver, Errand
from tests.integration.fuse import REPLY, after, before
from tests.integration.house import Address, House, build, new_address
from tests.integration.mint import RealMint
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.service import Service

pytestmark = pytest.mark.integration

KILLED = -signal.SIGKILL
CREDIT_TIMEOUT_S = 40.0
AMOUNT_SAT, AMOUNT_MSAT = 1_000, 1_000_000


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


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(before("PlanInvoice"), id="before what is to be minted is recorded"),
        pytest.param(after("PlanInvoice"), id="after what is to be minted is recorded"),
        pytest.param(before("bolt11"), id="before the mint is asked to mint"),
        pytest.param(after("bolt11"), id="when the mint has minted and its answer is lost"),
        pytest.param(before("CreditInvoice"), id="before the credit is recorded"),
        pytest.param(after("CreditInvoice"), id="after the credit is recorded"),
        pytest.param(REPLY, id="after the credit and before the reply"),
    ],
)
def test_a_paid_invoice_is_credited_once_wherever_a_process_dies(
    place: str, driver: Driver, address: Address, house: House
) -> None:
    account_id, invoice_id = uuid4(), uuid4()
    house.invoices.open(invoice_id, account_id, AMOUNT_SAT, "topup")
    errand = Errand("look at invoice", place, invoice_id=str(invoice_id))
    assert driver.run(address, errand).code == KILLED, "the place was never reached"

    house.recover()
    house.recover()

    assert house.invoices.standing(invoice_id).status is Status.PAID
    assert house.msat(account_id) == (AMOUNT_MSAT, 0)
    assert assert_sound(house).faces_msat == AMOUNT_MSAT
    assert_nothing_is_left_to_do(house)


@pytest.mark.parametrize(
    ("place", "paid_msat"),
    [
        pytest.param(after("bolt11"), 0, id="when the mint's invoice has come in"),
        pytest.param(before("OpenInvoice"), 0, id="before the invoice is recorded"),
        pytest.param(after("OpenInvoice"), AMOUNT_MSAT, id="after the invoice is recorded"),
    ],
)
def test_an_invoice_is_shown_to_nobody_before_it_is_recorded(
    place: str, paid_msat: int, driver: Driver, address: Address, house: House
) -> None:
    account_id, invoice_id = str(uuid4()), str(uuid4())
    errand = Errand("open invoice", place, account_id=account_id, invoice_id=invoice_id)

    outcome = driver.run(address, errand)

    assert (outcome.code, outcome.reply) == (KILLED, None)
    assert len(house.store.history(UUID(invoice_id))) == bool(paid_msat)
    house.recover()
    house.recover()
    assert house.msat(UUID(account_id))[0] == paid_msat
    assert_sound(house)


def test_processes_that_find_it_paid_at_the_same_time_credit_it_once(
    address: Address, house: House
) -> None:
    others = [build(address) for _ in range(3)]
    account_id, invoice_id = uuid4(), uuid4()
    house.invoices.open(invoice_id, account_id, AMOUNT_SAT, "topup")

    with ThreadPoolExecutor(len(others)) as threads:
        list(threads.map(lambda other: other.invoices.standing(invoice_id), others))
    house.recover()

    assert house.msat(account_id) == (AMOUNT_MSAT, 0)
    assert_sound(house)
    for other in others:
        other.close()


def test_a_mint_killed_meanwhile_is_asked_again(
    tmp_path: Path, upstream: UpstreamDouble
) -> None:
    with RealMint(free_port(), tmp_path / "mint", private_key="one that falls") as mint:
        address = new_address(f"sqlite:///{tmp_path}/l.db", mint.url, upstream.base_url)
        house = build(address)
        account_id, invoice_id = uuid4(), uuid4()
        house.invoices.open(invoice_id, account_id, AMOUNT_SAT, "topup")
        mint.kill()
        assert house.invoices.standing(invoice_id).status is Status.PENDING
        mint.start()

        assert house.invoices.standing(invoice_id).status is Status.PAID
        assert house.msat(account_id) == (AMOUNT_MSAT, 0)
        assert_sound(house)
        house.close()


def test_what_nobody_pays_is_pending_then_expired_then_lapsed(
    tmp_path: Path, upstream: UpstreamDouble
) -> None:
    mint = RealMint(
        free_port(), tmp_path / "mint", private_key="never paid", pays_invoices=False
    )
    with mint:
        address = new_address(f"sqlite:///{tmp_path}/l.db", mint.url, upstream.base_url)
        house = build(address)
        invoice_id = uuid4()
        bill = house.invoices.open(invoice_id, uuid4(), AMOUNT_SAT, "topup")
        assert house.invoices.standing(invoice_id).status is Status.PENDING

        expired = bill.expires_at + timedelta(seconds=1)
        house.invoices._now = lambda: expired
        assert house.invoices.standing(invoice_id).status is Status.EXPIRED
        assert len(house.store.open_movements()) == 1
        house.invoices._now = lambda: expired + LATE_FOR
        assert house.invoices.standing(invoice_id).status is Status.EXPIRED

        assert house.store.open_movements() == []
        assert bill.expires_at > datetime.now(UTC)
        assert_sound(house)
        house.close()


def test_a_client_that_never_polls_is_credited_by_the_back_office(service: Service) -> None:
    anybody = Client(service.base_url, "none")
    given = anybody.post("/lightning/invoice", {"amount_sats": AMOUNT_SAT}).document
    store, _ = open_store(service.address.database_url)
    deadline_s = time.monotonic() + CREDIT_TIMEOUT_S

    # It is looked up in the log: to ask for the status would be to poll.
    while not isinstance(store.history(UUID(given["invoice_id"]))[-1].event, InvoiceCredited):
        assert time.monotonic() < deadline_s, "nobody has credited the invoice"
        time.sleep(0.5)
    store.close()

    recovered = anybody.post("/v2/lightning/recover", {"bolt11": given["bolt11"]}).document
    assert recovered["status"] == "paid"
    assert Client(service.base_url, recovered["api_key"]).msat() == (AMOUNT_MSAT, 0)


def test_a_client_that_polls_both_workers_is_credited_once(service: Service) -> None:
    anybody = Client(service.base_url, "none")
    given = anybody.post("/v1/lightning/invoice", {"amount_sats": AMOUNT_SAT}).document
    path = f"/v1/lightning/invoice/{given['invoice_id']}/status"

    with ThreadPoolExecutor(20) as threads:
        replies = list(threads.map(lambda _: anybody._ask("GET", path, None, {}), range(20)))
    found = anybody._ask("GET", path, None, {}).document

    assert {reply.status for reply in replies} == {200}
    assert found["status"] == "paid"
    assert Client(service.base_url, found["api_key"]).msat() == (AMOUNT_MSAT, 0)
