"""All that is owed is in the tree, as of a checkpoint, and nothing that is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from app.sealing.owed import OwedProofs, Owing
from app.sealing.prove import NotSealedError
from app.sealing.sign import Sealing
from app.store import liability_tables
from app.store.liability_tables import LiabilityTables
from app.store.seal_tables import LIABILITY_NAMES
from app.store.seals import Seals
from domain.identity import OWNER
from domain.msat import Msat
from domain.payout import Offer
from domain.refund import Started
from projections.books import Books
from projections.checkpoint import read
from projections.liabilities import EMPTY, Owed
from tests.domain.given import ALICE, BOB, KEYSET, PURSE, TERMS, name, signed
from tests.sealing.given import KEY, compared
from tests.store.work import a_day, fund, ledger_on, refund, serve
from tools import verify_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store.places import Store

VERIFIER = str(KEY.verifier)
BOOKED = ("client:", "refunds:", "tokens:", "lightning:")


def owing(store: Store) -> Owing:
    return Owing(LiabilityTables(store), Sealing(Seals(store), KEY), KEY)


def proofs(store: Store) -> OwedProofs:
    return OwedProofs(LiabilityTables(store))


def booked_msat(store: Store) -> int:
    books = Books()
    for page in store.log():
        for _, entry in page:
            books.post(entry.event)
    return sum(
        msat for account, msat in books.balances_msat.items() if account.startswith(BOOKED)
    )


def believed(store: Store, account_id: UUID, tmp_path: Path) -> bool:
    """Whether the stand-alone verifier finds an account's proof true."""
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(proofs(store).of(account_id).document()))
    return verify_ledger.main(["owed", str(path), "--key", VERIFIER]) == 0


def test_all_that_the_books_owe_is_in_the_signed_total(store: Store, tmp_path: Path) -> None:
    ledger = ledger_on(store)
    a_day(store, ALICE)
    fund(ledger, BOB, 300)
    ledger.start_payout(uuid4(), BOB, PURSE, Offer("q", 50, 4), b"sealed")
    given_up = ledger.start_payout(uuid4(), ALICE, PURSE, Offer("q2", 20, 2), b"sealed")
    payment = given_up.event.payment  # type: ignore[attr-defined]
    ledger.abandon_payout(given_up, payment, KEYSET, "unpaid")

    told = owing(store).make()

    assert told is not None
    assert told.total.msat == booked_msat(store) > 0
    alice, bob = (proofs(store).of(each).owed for each in (ALICE, BOB))
    assert alice.total_msat + bob.total_msat == told.total.msat
    assert all(alice.amounts_msat)
    assert (bob.available_msat + bob.on_its_way_msat, bob.held_msat) == (300_000, 0)
    assert believed(store, ALICE, tmp_path)
    assert believed(store, BOB, tmp_path)


def test_what_the_owner_draws_is_owed_to_nobody(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    serve(ledger, ALICE, 60_000, 55_000)
    ledger.start_payout(uuid4(), OWNER, PURSE, Offer("q", 20, 2), b"sealed")

    told = owing(store).make()

    assert told is not None
    assert told.total.msat == 45_000
    with pytest.raises(NotSealedError):
        proofs(store).of(OWNER)


def test_it_is_as_of_a_checkpoint_that_is_signed_as_well(store: Store) -> None:
    fund(ledger_on(store), ALICE, 100)
    sealing = Sealing(Seals(store), KEY)
    sealing.seal()

    told = owing(store).make()
    again = owing(store).make()

    signed_then = Seals(store).newest_signed()
    assert told is not None
    assert signed_then is not None
    assert (told.size, told.log_root) == (signed_then.size, signed_then.root)
    assert again is not None
    assert again.size == told.size
    # Salted anew: nobody follows a client from one tree to the next.
    assert again.total.hash != told.total.hash
    assert again.total.msat == told.total.msat


def test_what_happens_meanwhile_is_not_in_it(store: Store) -> None:
    fund(ledger_on(store), ALICE, 100)

    class Slow(LiabilityTables):
        """Somebody pays in while the sums are signed."""

        def owed(self):  # type: ignore[no-untyped-def]
            found = super().owed()
            fund(ledger_on(store), BOB, 7)
            return found

    told = Owing(Slow(store), Sealing(Seals(store), KEY), KEY).make()

    assert told is not None
    assert told.total.msat == 100_000
    sizes = [each.size for each in Seals(store).all_signed()]
    assert told.size in sizes
    assert max(sizes) == told.size + 2
    assert read(Seals(store).signed(told.size).note).root == told.log_root  # type: ignore[union-attr]
    assert compared(store) is None


def test_a_tree_takes_the_place_of_the_one_before(store: Store, tmp_path: Path) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    owing(store).make()
    refund(ledger, ALICE, 100)
    serve_all = owing(store).make()

    assert serve_all is not None
    found = proofs(store).of(ALICE)
    assert (found.owed.available_msat, found.owed.uncollected_msat) == (0, 100_000)
    assert found.note == proofs(store).note()
    assert believed(store, ALICE, tmp_path)


def test_nothing_is_told_before_it_is_made_nor_to_whom_nothing_is_owed(store: Store) -> None:
    with pytest.raises(NotSealedError):
        proofs(store).note()
    assert owing(store).make() is None

    fund(ledger_on(store), ALICE, 100)
    with pytest.raises(NotSealedError):
        proofs(store).of(ALICE)
    owing(store).make()
    with pytest.raises(NotSealedError):
        proofs(store).of(BOB)


def test_many_accounts_stand_in_many_tiles_in_an_order_that_tells_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liability_tables, "TILE_NODES", 4)
    monkeypatch.setattr(liability_tables, "ROWS_AT_ONCE", 5)
    accounts = [name(number) for number in range(1, 24)]
    for number, account_id in enumerate(accounts, 1):
        fund(ledger_on(store), account_id, number)
    ledger_on(store).hold(uuid4(), accounts[3], Msat(1_500), TERMS)

    told = owing(store).make()

    assert told is not None
    assert told.total.msat == 1_000 * sum(range(1, 24))
    places = [proofs(store).of(each).place for each in accounts]
    assert sorted(places) == list(range(23))
    assert places != sorted(places)
    assert all(believed(store, each, tmp_path) for each in accounts[::5])


def test_a_refund_on_its_way_is_owed_until_it_is_a_token(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    begun = ledger.start_refund(uuid4(), ALICE, PURSE, Msat(64_000))
    owing(store).make()
    before = proofs(store).of(ALICE).owed
    assert isinstance(begun.event, Started)

    ledger.issue_refund(begun, begun.event.draft, signed(begun.event.draft.plan))
    owing(store).make()
    after = proofs(store).of(ALICE).owed

    assert (before.on_its_way_msat, before.uncollected_msat) == (64_000, 0)
    assert (after.on_its_way_msat, after.uncollected_msat) == (0, 64_000)


def test_a_tree_that_was_never_finished_is_not_seen_and_taken_away(store: Store) -> None:
    """Killed while it is written, the one before is told until another is whole."""
    fund(ledger_on(store), ALICE, 100)
    owing(store).make()
    before = proofs(store).of(ALICE)
    tables = LiabilityTables(store)
    tables._insert(tables._newest() + 1, 0, [Owed(ALICE, 7, 0, 0, 0)])
    tables._insert_tiles(tables._newest(), 0, 0, [EMPTY])

    assert proofs(store).of(ALICE) == before
    owing(store).make()

    assert proofs(store).of(ALICE).owed == before.owed
    with store.snapshot() as query:
        counts = [query(f"SELECT COUNT(*) FROM {each}")[0][0] for each in LIABILITY_NAMES]  # noqa: S608
    assert counts == [1, 1, 1]
