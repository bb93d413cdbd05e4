"""`tallystick erase`, and what is left of it in backups, as an operator meets it."""

from __future__ import annotations

import re
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from app.cashier.keys import Keys, Spender, Wanted
from app.cashier.vault import Addresses, Vault
from app.cli import main
from app.sealing.sign import Sealing
from app.store.data_keys import DataKeys
from app.store.seals import Seals
from domain.erasure import AccountErased
from domain.key import Changes
from domain.msat import Msat
from tests.cashier.house import SEED
from tests.domain.given import ALICE, BOB
from tests.sealing.given import KEY, compared
from tests.store.places import SqlitePlace
from tests.store.work import a_day, fund, ledger_on, verified

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.store.places import Store

ADDRESS = "alice@pay.example"


def run(*words: str, place: SqlitePlace) -> Result:
    return CliRunner().invoke(main, [*words, "--database-url", f"sqlite:///{place.where}"])


def keys_of(store: Store) -> Keys:
    vault = Vault(SEED.subkey, DataKeys(store))
    return Keys(ledger_on(store), store, Addresses(vault), Msat(0))


@pytest.fixture
def store(sqlite_place: SqlitePlace) -> Store:
    """A ledger in which Alice is to be refunded to her address, and so is Bob."""
    store = sqlite_place.open()
    a_day(store, ALICE)
    fund(ledger_on(store), BOB, 10)
    keys_of(store).bind(Spender(ALICE), Wanted(refund_to=ADDRESS))
    keys_of(store).bind(Spender(BOB), Wanted(refund_to="bob@pay.example"))
    Sealing(Seals(store), KEY).seal()
    return store


def shown_code(place: SqlitePlace) -> str:
    shown = run("erase", str(ALICE), place=place)
    assert shown.exit_code == 0, shown.output
    found = re.search(r"--confirm ([0-9a-f]{8})", shown.stdout)
    assert found is not None
    return found[1]


def erase(place: SqlitePlace) -> Result:
    return run("erase", str(ALICE), "--confirm", shown_code(place), place=place)


def test_the_first_step_shows_what_will_be_gone_and_erases_nothing(
    store: Store, sqlite_place: SqlitePlace
) -> None:
    head = store.head()

    shown = run("erase", str(ALICE), place=sqlite_place)

    assert "refund address  yes" in shown.stdout
    assert "sealed texts    1 in the log" in shown.stdout
    assert "Nothing was erased." in shown.stdout
    assert "older version" not in shown.stdout
    assert ADDRESS not in shown.stdout
    assert store.head() == head
    assert keys_of(store).refund_address(ALICE) == ADDRESS


def test_the_second_step_erases_for_ever_and_moves_no_money(
    store: Store, sqlite_place: SqlitePlace
) -> None:
    before = store.account(ALICE)
    (sealed,) = (
        entry.event.rules.refund_to  # type: ignore[attr-defined]
        for entry in store.history(ALICE)
        if getattr(entry.event, "rules", None) and entry.event.rules.refund_to  # type: ignore[attr-defined]
    )

    told = erase(sqlite_place)

    assert told.exit_code == 0, told.output
    event = store.history(ALICE)[-1].event
    assert isinstance(event, AccountErased)
    assert event.who.endswith("on the command line")
    assert f"Erased at {event.at.isoformat()}, by {event.who}." in told.stdout
    assert Addresses(Vault(SEED.subkey, DataKeys(store))).open(ALICE, sealed) == ""
    assert keys_of(store).refund_address(ALICE) == ""
    assert keys_of(store).refund_address(BOB) == "bob@pay.example"
    assert store.account(ALICE) == before


def test_the_log_and_its_proofs_are_what_they_were(
    store: Store, sqlite_place: SqlitePlace
) -> None:
    signed = Seals(store).newest_signed()

    erase(sqlite_place)

    assert compared(store) is None
    assert verified(store) is None
    assert run("verify", place=sqlite_place).exit_code == 0
    assert run("rebuild", place=sqlite_place).exit_code == 0
    exported = run("export", "--format", "jsonl", place=sqlite_place)
    assert exported.exit_code == 0
    assert "account.erased" in exported.stdout
    newest = Sealing(Seals(store), KEY).seal()
    assert signed is not None
    assert newest is not None
    assert newest.size == signed.size + 1


def test_erasing_twice_is_erasing_once(store: Store, sqlite_place: SqlitePlace) -> None:
    erase(sqlite_place)
    head = store.head()

    again = erase(sqlite_place)
    shown = run("erase", str(ALICE), place=sqlite_place)

    assert again.exit_code == 0
    assert store.head() == head
    assert "erased          yes, before" in shown.stdout


def test_a_code_is_of_what_was_shown(store: Store, sqlite_place: SqlitePlace) -> None:
    code = shown_code(sqlite_place)
    keys_of(store).bind(Spender(ALICE), Wanted(refund_to="new@pay.example"))

    told = run("erase", str(ALICE), "--confirm", code, place=sqlite_place)

    assert told.exit_code == 2
    assert "is not the code of what the account is like now" in told.stderr
    assert keys_of(store).refund_address(ALICE) == "new@pay.example"


def test_what_an_older_version_has_sealed_is_told(
    store: Store, sqlite_place: SqlitePlace
) -> None:
    ledger_on(store).set_key(ALICE, ALICE, Changes(refund_to="AQID"))

    shown = run("erase", str(ALICE), place=sqlite_place)

    assert "1 of them were sealed by an older version" in shown.stdout
    assert "sealed texts    2 in the log" in shown.stdout


@pytest.mark.parametrize("account", ["sk-1234", "cashuAeyJ0", str(UUID(int=7))])
def test_only_an_account_that_is_there_is_erased(
    store: Store, sqlite_place: SqlitePlace, account: str
) -> None:
    code = "00000000"
    if account.count("-") == 4:
        shown = run("erase", account, place=sqlite_place)
        code = shown.stdout.split()[-1]

    told = run("erase", account, "--confirm", code, place=sqlite_place)

    assert told.exit_code != 0
    assert told.stderr.splitlines()[-1].startswith("Error: ")


def saved(tmp_path: Path, place: SqlitePlace, name: str = "house") -> tuple[Path, Path]:
    file, keys = tmp_path / f"{name}.jsonl.gz", tmp_path / f"{name}.keys"
    told = run("backup", str(file), "--keys", str(keys), place=place)
    assert told.exit_code == 0, told.output
    return file, keys


@contextmanager
def restored(tmp_path: Path, file: Path, keys: Path | None) -> Iterator[Store]:
    place = SqlitePlace(tmp_path)
    more = [] if keys is None else ["--keys", str(keys)]
    told = run("restore", str(file), *more, place=place)
    assert told.exit_code == 0, told.output
    with closing(place.open()) as store:
        yield store


def test_a_house_is_restored_with_its_addresses(
    tmp_path: Path, store: Store, sqlite_place: SqlitePlace
) -> None:
    file, keys = saved(tmp_path, sqlite_place)

    with restored(tmp_path, file, keys) as other, restored(tmp_path, file, None) as without:
        assert keys.stat().st_mode & 0o777 == 0o600
        assert keys_of(other).refund_address(ALICE) == ADDRESS
        assert keys_of(without).refund_address(ALICE) == ""
        assert without.account(ALICE) == store.account(ALICE)


def test_neither_an_old_log_nor_old_keys_bring_back_what_was_erased(
    tmp_path: Path, store: Store, sqlite_place: SqlitePlace
) -> None:
    old_log, old_keys = saved(tmp_path, sqlite_place, "old")
    erase(sqlite_place)
    new_log, new_keys = saved(tmp_path, sqlite_place, "new")

    for file, keys in ((old_log, new_keys), (new_log, old_keys), (new_log, new_keys)):
        with restored(tmp_path, file, keys) as other:
            assert DataKeys(other).is_erased(ALICE)
            assert DataKeys(other).find(ALICE) is None
            assert keys_of(other).refund_address(ALICE) == ""
            assert keys_of(other).refund_address(BOB) == "bob@pay.example"
            assert verified(other) is None


def test_a_file_of_keys_that_is_not_whole_restores_nothing(
    tmp_path: Path, store: Store, sqlite_place: SqlitePlace
) -> None:
    file, keys = saved(tmp_path, sqlite_place)
    lines = keys.read_text().splitlines(keepends=True)
    damaged = [lines[:-1], lines[1:], [*lines[:1], "[]\n"], [*lines[:1], "{\n"], []]
    damaged.append([*lines[:1], '{"account":1,"wrapped":"AA=="}\n', *lines[2:]])
    for part in damaged:
        keys.write_text("".join(part))
        empty = SqlitePlace(tmp_path)

        told = run("restore", str(file), "--keys", str(keys), place=empty)

        assert told.exit_code == 1, part
        assert told.stderr.splitlines()[-1].startswith("Error: ")
        assert empty.open().head() == 0
        empty.close()
