from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import gevent
import pytest

from app.cashier.keys import Keys, Spender
from app.cashier.vault import Addresses
from app.store.errors import StoreBusyError, StoreError, StoreUnavailableError
from domain.hold import Charge, Hold, Release
from domain.identity import account_of_key
from domain.key import Changes, MakeKey
from domain.ledger import Ledger
from domain.msat import Msat
from tests.cashier.house import ALICE
from tests.cashier.shaky import ShakyStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from tests.cashier.house import House

    Make = Callable[[], int]

COST = Msat(700)


@pytest.fixture
def store(funded: House) -> ShakyStore:
    return ShakyStore(funded)


@pytest.fixture
def make(funded: House, store: ShakyStore) -> Make:
    """Ask for one child, always for the same."""
    ledger, salt = Ledger(store.record, "worker-1"), uuid4()
    keys = Keys(ledger, funded.store, Addresses(funded.vault), COST, pause=funded.pauses.append)

    def key_of(salt: UUID) -> UUID:
        return account_of_key(f"sk-{salt}")

    return lambda: keys.make(Spender(ALICE), key_of, [salt], Changes(), "one")


@pytest.mark.parametrize("recorded", [False, True], ids=["not recorded", "recorded"])
@pytest.mark.parametrize("error", [StoreUnavailableError(), StoreBusyError()], ids=repr)
def test_keys_that_were_made_are_charged_when_the_store_fails(
    make: Make, store: ShakyStore, funded: House, error: StoreError, *, recorded: bool
) -> None:
    store.fail(Charge, error, recorded=recorded)

    assert make() == COST.msat

    assert (funded.available_msat(), funded.held_msat()) == (100_000 - COST.msat, 0)


def test_a_hold_for_keys_that_were_not_made_is_given_back_when_the_store_fails(
    make: Make, store: ShakyStore, funded: House
) -> None:
    store.fail(MakeKey, StoreUnavailableError())
    store.fail(Release, StoreBusyError())

    with pytest.raises(StoreUnavailableError):
        make()

    assert (funded.available_msat(), funded.held_msat()) == (100_000, 0)


@pytest.mark.parametrize("recorded", [False, True], ids=["not recorded", "recorded"])
def test_a_hold_for_keys_that_may_have_been_recorded_is_given_back(
    make: Make, store: ShakyStore, funded: House, *, recorded: bool
) -> None:
    store.fail(Hold, StoreBusyError(), recorded=recorded)

    with pytest.raises(StoreBusyError):
        make()
    gevent.sleep(0.01)

    assert (funded.available_msat(), funded.held_msat()) == (100_000, 0)
    assert make() == COST.msat
