"""Lightning out as clients and owners have it: gunicorn, back office and a real mint."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from app.store.opening import open_store
from domain.identity import OWNER
from domain.payout import PayoutPaid
from projections.books import Books
from tests.doubles.recipient import RecipientServer
from tests.integration.client import open_account
from tests.integration.house import new_address
from tests.integration.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.store.opening import Store
    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint

pytestmark = pytest.mark.integration

PAID_TIMEOUT_S = 40.0
CREDITED_MSAT = 999_000


@pytest.fixture(scope="module")
def bob() -> Iterator[RecipientServer]:
    with RecipientServer() as bob:
        yield bob


@pytest.fixture(scope="module")
def owner() -> Iterator[RecipientServer]:
    with RecipientServer() as owner:
        yield owner


@pytest.fixture(scope="module")
def service(
    mint: RealMint,
    upstream: UpstreamDouble,
    bob: RecipientServer,
    owner: RecipientServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("service")
    address = new_address(f"sqlite:///{directory}/ledger.db", mint.url, upstream.base_url)
    settings = {
        "GUARD_ALLOW": f"{bob.netloc},{owner.netloc}",
        "RECEIVE_LN_ADDRESS": owner.address,
        "MINIMUM_PAYOUT": "5",
        "PAYOUT_INTERVAL_S": "1",
    }
    with Service(address, directory / "home", settings) as service:
        yield service


@pytest.fixture
def store(service: Service) -> Iterator[Store]:
    store, _ = open_store(service.address.database_url)
    yield store
    store.close()


def payments(store: Store) -> list[PayoutPaid]:
    events = (placed.entry.event for page in store.log() for placed in page)
    return [event for event in events if isinstance(event, PayoutPaid)]


def test_a_client_is_paid_by_whichever_worker_answers(
    service: Service, mint: RealMint, bob: RecipientServer, store: Store
) -> None:
    client = open_account(service.base_url, mint.fund(1_000))
    wish = {"lightning_address": bob.address, "amount_sats": 100}
    name = {"Idempotency-Key": "once"}

    with ThreadPoolExecutor(8) as threads:
        replies = list(
            threads.map(lambda _: client.post("/v1/wallet/refund", wish, name), range(8))
        )
    told = client.post("/v1/wallet/refund", wish, name).document

    assert {reply.status for reply in replies} <= {200, 202}
    assert len({reply.document["refund_id"] for reply in replies}) == 1
    assert (told["status"], told["sats"], told["recipient"]) == ("paid", "100", bob.address)
    assert client.msat() == (CREDITED_MSAT - 100_000 - int(told["fee_msats"]), 0)
    assert len([paid for paid in payments(store) if paid.payment.account_id != OWNER]) == 1
    assert bob.address not in service.log


def test_the_owner_is_paid_by_the_clock_and_clients_keep_theirs(
    service: Service, mint: RealMint, owner: RecipientServer, store: Store
) -> None:
    """M38."""
    client = open_account(service.base_url, mint.fund(1_000))
    for _ in range(10):
        assert client.chat().status == 200
    left_msat, _ = client.msat()
    deadline_s = time.monotonic() + PAID_TIMEOUT_S

    while not (drawn := [p for p in payments(store) if p.payment.account_id == OWNER]):
        assert time.monotonic() < deadline_s, service.log[-2_000:]
        time.sleep(0.2)

    assert owner.invoices
    assert client.msat() == (left_msat, 0)
    books = Books()
    for page in store.log():
        for placed in page:
            books.post(placed.entry.event)
    gone_msat = sum(paid.payment.taken_msat - paid.returned_msat for paid in drawn)
    assert gone_msat <= CREDITED_MSAT - left_msat
    assert books.at_mints_msat() >= books.owed_msat()
