"""What names a person can be read by the house, and by nobody once the key is destroyed."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.cashier.vault import OLD_DESTINATIONS, Addresses, Destinations, Vault
from app.gateways.mint.seal import Sealer
from app.store.data_keys import DataKeys
from domain.key import Changes
from tests.cashier.house import ALICE, BOB, OTHER_SEED, SEED
from tests.store.work import fund, ledger_on

if TYPE_CHECKING:
    from tests.store.places import Store

ADDRESS = "alice@pay.example"
PAYOUT = uuid4()


@pytest.fixture
def keys(store: Store) -> DataKeys:
    fund(ledger_on(store), ALICE, 100)
    return DataKeys(store)


def erase(store: Store) -> None:
    ledger_on(store).erase(ALICE, "me")
    DataKeys(store).shred()


def test_what_was_sealed_is_read_in_its_place_alone(keys: DataKeys) -> None:
    destinations = Destinations(Vault(SEED.subkey, keys))

    sealed = destinations.seal(ALICE, PAYOUT, ADDRESS)

    assert ADDRESS.encode() not in sealed
    assert destinations.open(ALICE, PAYOUT, sealed) == ADDRESS
    assert destinations.open(ALICE, uuid4(), sealed) == ""
    assert destinations.open(BOB, PAYOUT, sealed) == ""


def test_one_key_seals_all_that_is_of_an_account(keys: DataKeys) -> None:
    vault = Vault(SEED.subkey, keys)

    address = Addresses(vault).seal(ALICE, ADDRESS)
    destination = Destinations(vault).seal(ALICE, PAYOUT, ADDRESS)
    Addresses(vault).seal(BOB, "bob@pay.example")

    assert Addresses(vault).open(ALICE, address) == ADDRESS
    assert Destinations(vault).open(ALICE, PAYOUT, destination) == ADDRESS
    assert [key.account_id for key in keys.all()] == sorted([ALICE, BOB])


def test_without_the_kept_key_the_seed_opens_nothing(store: Store, keys: DataKeys) -> None:
    addresses = Addresses(Vault(SEED.subkey, keys))
    sealed = addresses.seal(ALICE, ADDRESS)

    erase(store)

    assert list(keys.all()) == []
    assert addresses.open(ALICE, sealed) == ""


def test_nothing_is_sealed_for_an_erased_account(store: Store, keys: DataKeys) -> None:
    erase(store)
    vault = Vault(SEED.subkey, keys)

    assert Addresses(vault).seal(ALICE, ADDRESS) == ""
    assert Destinations(vault).seal(ALICE, PAYOUT, ADDRESS) == b""
    assert list(keys.all()) == []


def test_where_nothing_was_sealed_nothing_is_read(keys: DataKeys) -> None:
    vault = Vault(SEED.subkey, keys)

    assert Addresses(vault).open(ALICE, "") == ""
    assert Destinations(vault).open(ALICE, PAYOUT, b"") == ""


def test_another_seed_reads_nothing_and_can_seal_anew(keys: DataKeys) -> None:
    before, after = (Addresses(Vault(seed.subkey, keys)) for seed in (SEED, OTHER_SEED))
    old = before.seal(ALICE, ADDRESS)

    assert after.open(ALICE, old) == ""
    new = after.seal(ALICE, ADDRESS)

    assert after.open(ALICE, new) == ADDRESS
    assert before.open(ALICE, new) == ""


def test_two_who_seal_first_at_once_use_the_same_key(keys: DataKeys) -> None:
    class Slow(DataKeys):
        """Has looked before the other one kept its key."""

        def find(self, account_id: object) -> None:
            return None

    slow = Vault(SEED.subkey, Slow(keys._store))
    quick = Addresses(Vault(SEED.subkey, keys))
    first = quick.seal(ALICE, ADDRESS)

    second = Addresses(slow).seal(ALICE, "other@pay.example")

    assert quick.open(ALICE, first) == ADDRESS
    assert quick.open(ALICE, second) == "other@pay.example"


def old_address() -> str:
    sealer = Sealer(SEED.subkey(b"refund address:" + ALICE.bytes))
    return b64encode(sealer.seal(ADDRESS.encode(), ALICE.bytes)).decode()


def old_destination() -> bytes:
    return Sealer(SEED.subkey(OLD_DESTINATIONS)).seal(ADDRESS.encode(), PAYOUT.bytes)


def test_what_older_versions_sealed_is_read_until_it_is_erased(
    store: Store, keys: DataKeys
) -> None:
    vault = Vault(SEED.subkey, keys)
    addresses, destinations = Addresses(vault), Destinations(vault)
    ledger_on(store).set_key(ALICE, ALICE, Changes(refund_to=old_address()))

    assert addresses.open(ALICE, old_address()) == ADDRESS
    assert destinations.open(ALICE, PAYOUT, old_destination()) == ADDRESS
    assert destinations.open(ALICE, PAYOUT, old_destination()[:-1]) == ""
    erase(store)

    assert addresses.open(ALICE, old_address()) == ""
    assert destinations.open(ALICE, PAYOUT, old_destination()) == ""
