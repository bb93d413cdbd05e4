from __future__ import annotations

from typing import TYPE_CHECKING

import gevent
import pytest

from app.cashier.bill import Bill, Policy
from app.cashier.plan import tries_of
from app.store.errors import StoreBusyError, StoreError, StoreUnavailableError
from domain.bounds import Usage
from domain.hold import Charge, Charged, Hold, Metered, Release, Released
from domain.ledger import Ledger
from domain.msat import Msat
from tests.cashier.counter import COST_MSAT, chat
from tests.cashier.shaky import ShakyStore

if TYPE_CHECKING:
    from app.cashier.bill import Call
    from tests.cashier.counter import Counter
    from tests.cashier.house import House

USAGE = Usage(prompt_tokens=3, completion_tokens=14)
METERED = Metered(prompt_tokens=3, completion_tokens=14)
POLICY = Policy(missing_usage="estimate", drain_s=1.0)


@pytest.fixture
def store(funded: House) -> ShakyStore:
    return ShakyStore(funded)


@pytest.fixture
def call() -> Call:
    return chat()


@pytest.fixture
def bill(counter: Counter, store: ShakyStore, call: Call) -> Bill:
    size = call.prompt_bytes
    tries = tries_of(counter.quotes, call.path, call.model, call.document, size)
    ledger = Ledger(store.record, "worker-1")
    return Bill(ledger, call, tries, POLICY)


def test_a_bill_ends_once(bill: Bill, counter: Counter, funded: House) -> None:
    bill.hold()

    bill.charge(USAGE, 0)
    bill.charge(Usage(completion_tokens=100), 0)
    bill.release("too late")

    assert counter.charged().cost_msat == COST_MSAT
    assert funded.available_msat() == 100_000 - COST_MSAT


def test_a_bill_that_was_released_is_not_charged(
    bill: Bill, counter: Counter, funded: House
) -> None:
    bill.hold()

    bill.release("first")
    bill.charge(USAGE, 0)
    bill.release("second")

    assert counter.released().reason == "first"
    assert funded.available_msat() == 100_000


@pytest.mark.parametrize("recorded", [False, True], ids=["not recorded", "recorded"])
@pytest.mark.parametrize("error", [StoreUnavailableError(), StoreBusyError()], ids=repr)
def test_a_charge_is_insisted_on_when_the_store_fails(
    bill: Bill,
    store: ShakyStore,
    counter: Counter,
    funded: House,
    error: StoreError,
    *,
    recorded: bool,
) -> None:
    """M4: what was delivered is charged, and charged once."""
    bill.hold()
    store.fail(Charge, error, recorded=recorded)

    bill.charge(USAGE, 0)

    assert counter.charged().cost_msat == COST_MSAT
    assert (funded.available_msat(), funded.held_msat()) == (100_000 - COST_MSAT, 0)


def test_a_release_is_insisted_on_when_the_store_fails(
    bill: Bill, store: ShakyStore, counter: Counter, funded: House
) -> None:
    """M13."""
    bill.hold()
    store.fail(Release, StoreUnavailableError())

    bill.release("empty answer")

    assert counter.released().reason == "empty answer"
    assert (funded.available_msat(), funded.held_msat()) == (100_000, 0)


@pytest.mark.parametrize("recorded", [False, True], ids=["not recorded", "recorded"])
def test_a_hold_that_may_have_been_recorded_is_given_back(
    bill: Bill, store: ShakyStore, funded: House, *, recorded: bool
) -> None:
    """M13: nobody else would, while this process lives."""
    store.fail(Hold, StoreBusyError(), recorded=recorded)

    with pytest.raises(StoreBusyError):
        bill.hold()
    gevent.sleep(0.01)

    assert (funded.available_msat(), funded.held_msat()) == (100_000, 0)
    assert funded.store.hold_owners() == []


def test_a_hold_the_back_office_has_released_is_not_charged(
    bill: Bill, call: Call, counter: Counter, funded: House
) -> None:
    """It was told that this process is dead; its word is final."""
    bill.hold()
    funded.ledger.release(call.request_id, call.account_id, "the serving process died")

    bill.charge(USAGE, 0)

    assert [type(end) for end in counter.ends()] == [Released]
    assert funded.available_msat() == 100_000


def test_a_charge_that_is_already_recorded_is_left_as_it_is(
    bill: Bill, call: Call, counter: Counter, funded: House
) -> None:
    """M1."""
    bill.hold()
    terms = counter.held().terms
    funded.ledger.charge(call.request_id, call.account_id, Msat(1), terms, METERED)

    bill.charge(USAGE, 0)
    bill.release("too late")

    assert [type(end) for end in counter.ends()] == [Charged]
    assert counter.charged().cost_msat == 1


def test_calls_and_their_bodies_are_not_shown(call: Call) -> None:
    shown = repr(call)

    assert str(call.request_id) in shown
    assert "how are you" not in shown
