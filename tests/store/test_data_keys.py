from __future__ import annotations

from typing import TYPE_CHECKING

from app.store import data_keys
from app.store.data_keys import DataKeys, KeptKey
from projections.follow import rebuild
from tests.domain.given import ALICE, BOB, name
from tests.store.work import a_day, fund, ledger_on, silent, verified

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.store.places import Place, Store

WRAPPED, OTHER = b"\x01" + bytes(range(60)), b"\x01" + bytes(range(60, 120))


def test_the_first_key_of_an_account_is_kept(store: Store) -> None:
    keys = DataKeys(store)

    assert keys.find(ALICE) is None
    assert keys.keep(ALICE, WRAPPED) == WRAPPED
    assert keys.keep(ALICE, OTHER) == WRAPPED
    assert keys.find(ALICE) == WRAPPED


def test_a_key_takes_the_place_of_the_one_that_was_seen(store: Store) -> None:
    keys = DataKeys(store)
    keys.keep(ALICE, WRAPPED)

    assert keys.keep(ALICE, OTHER, instead_of=WRAPPED) == OTHER
    assert keys.keep(ALICE, b"third", instead_of=WRAPPED) == OTHER


def test_the_keys_of_erased_accounts_are_destroyed_and_no_others(store: Store) -> None:
    keys, ledger = DataKeys(store), ledger_on(store)
    for account_id in (ALICE, BOB):
        fund(ledger, account_id, 10)
        keys.keep(account_id, WRAPPED)
    ledger.erase(ALICE, "me")

    assert [keys.shred() for _ in range(2)] == [1, 0]
    assert list(keys.all()) == [KeptKey(BOB, WRAPPED)]
    assert list(keys.erased()) == [ALICE]
    assert (keys.is_erased(ALICE), keys.is_erased(BOB)) == (True, False)
    assert keys.keep(ALICE, OTHER) is None


def test_an_erased_account_stays_erased_when_all_is_made_anew(store: Store) -> None:
    a_day(store, ALICE)
    before = store.account(ALICE)
    ledger_on(store).erase(ALICE, "me")

    rebuild(store, [], silent)

    assert DataKeys(store).is_erased(ALICE)
    assert verified(store) is None
    after = store.account(ALICE)
    assert before is not None
    assert after is not None
    assert after[:2] == before[:2]


def test_a_copy_of_keys_brings_back_none_of_an_erased_account(store: Store) -> None:
    keys, ledger = DataKeys(store), ledger_on(store)
    fund(ledger, ALICE, 10)
    ledger.erase(ALICE, "me")

    kept = keys.restore([KeptKey(ALICE, WRAPPED), KeptKey(BOB, OTHER)])

    assert kept == 1
    assert list(keys.all()) == [KeptKey(BOB, OTHER)]


def test_all_are_told_however_many_there_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = DataKeys(store)
    select = data_keys.ALL.replace(str(data_keys.PAGE), "2")
    monkeypatch.setattr(data_keys, "ALL", select)
    accounts = sorted(name(number) for number in range(1, 6))
    keys.restore(KeptKey(account_id, WRAPPED) for account_id in accounts)

    assert [key.account_id for key in keys.all()] == accounts


def test_a_destroyed_key_is_in_no_file_of_the_database(sqlite_place: Place) -> None:
    store = sqlite_place.open()
    keys, ledger = DataKeys(store), ledger_on(store)
    fund(ledger, ALICE, 10)
    keys.keep(ALICE, WRAPPED)
    where = store.path  # type: ignore[union-attr]
    assert WRAPPED in everything(where)

    ledger.erase(ALICE, "me")
    keys.shred()

    assert WRAPPED not in everything(where)


def everything(path: Path) -> bytes:
    return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))
