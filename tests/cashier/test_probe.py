"""After an old backup was restored: counters move on, and what is found is told, not taken."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.cashier.probe import BATCH, Probe
from app.gateways.mint import crypto
from domain.keyset import KeysetAdvanced
from domain.lost import ProofsLost
from domain.purse import Spent
from projections.follow import rebuild
from tests.cashier.house import ALICE, BOB, OTHER_SEED, SEED
from tests.doubles.mint import Fault
from tests.projections.story import put

if TYPE_CHECKING:
    from domain.guards import KeysetRow
    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint


def probe(house: House) -> int:
    return Probe(house.ledger, house.mints, house.store).run()


def advanced(house: House) -> list[KeysetAdvanced]:
    return [event for event in house.log() if isinstance(event, KeysetAdvanced)]


@pytest.fixture
def forgetful(build: Build, mint: MoodyMint) -> House:
    """A house whose log has forgotten a deposit of 100 sat and a token of 99 sat.

    The token is with a client, who has not collected it.
    """
    house = build(mint)
    house.deposit(mint.fund(101))
    house.refunds.refund(ALICE)
    return build(mint, anew=True)


def test_nothing_is_found_where_nothing_was_lost(funded: House, mint: MoodyMint) -> None:
    calls = mint.calls["restore"]

    assert probe(funded) == 0

    # Two batches for each of the keysets, of which one is in sat and one in msat.
    assert mint.calls["restore"] - calls == 4
    assert advanced(funded) == []


def test_counters_are_moved_behind_what_the_mint_has_signed(
    forgetful: House, mint: MoodyMint, caplog: pytest.LogCaptureFixture
) -> None:
    assert probe(forgetful) == 1

    (found,) = advanced(forgetful)
    assert (found.counter_from, found.signed_count) == (0, 3 + 4)
    assert found.counter_to == forgetful.store.counters()[found.keyset_id].next_counter == 7
    assert found.unspent_msat == 99_000
    assert "old backup" in caplog.text
    assert probe(forgetful) == 0


def test_afterwards_deposits_and_refunds_are_made_at_once(
    forgetful: House, mint: MoodyMint
) -> None:
    probe(forgetful)
    mint.calls.clear()

    forgetful.deposit(mint.fund(101), BOB)
    forgetful.refunds.refund(BOB)

    assert mint.calls["swap"] == 2
    assert forgetful.pauses == []


def test_what_is_found_is_nobodys_and_is_not_credited(
    forgetful: House, mint: MoodyMint
) -> None:
    """M1: the client may hold it still, as a token of ours, or ask for it."""
    probe(forgetful)

    assert forgetful.available_msat() == 0
    assert forgetful.store.purses() == []


def test_gaps_between_what_was_signed_do_not_end_the_search(
    build: Build, mint: MoodyMint
) -> None:
    house = build(mint)
    keyset = mint.active("sat")
    for counter in (5, BATCH + 70, 2 * BATCH + 99):
        derived = SEED.derive(keyset.id, counter)
        mint.sign(crypto.blind(derived.secret, derived.blinding), 4, keyset.id)

    assert probe(house) == 1

    (found,) = advanced(house)
    assert (found.counter_to, found.unspent_msat) == (3 * BATCH, 12_000)


def test_keysets_that_are_no_longer_in_use_are_probed_too(
    forgetful: House, mint: MoodyMint
) -> None:
    old_id = mint.active("sat").id
    mint.rotate("sat")

    assert probe(forgetful) == 1

    assert advanced(forgetful)[0].keyset_id == old_id


class EarlyBooks:
    """The books as a probe sees them that looked before a deposit of another process."""

    def __init__(self, house: House) -> None:
        self._store = house.store
        self.holdings = house.store.holdings
        self._seen = [house.store.counters()]

    def counters(self) -> dict[str, KeysetRow]:
        return self._seen.pop() if self._seen else self._store.counters()


def test_what_another_process_does_meanwhile_is_not_taken_for_lost(
    funded: House, mint: MoodyMint
) -> None:
    """The mint has signed behind the counters that were seen, and the log knows it by now."""
    books = EarlyBooks(funded)
    funded.deposit(mint.fund(16))

    assert Probe(funded.ledger, funded.mints, books).run() == 0

    assert advanced(funded) == []


class BlindBooks(EarlyBooks):
    """Books that never show what was done meanwhile."""

    def counters(self) -> dict[str, KeysetRow]:
        return self._seen[0]


def test_a_house_that_is_too_busy_is_probed_another_time(
    funded: House, mint: MoodyMint
) -> None:
    books = BlindBooks(funded)
    funded.deposit(mint.fund(16))

    assert Probe(funded.ledger, funded.mints, books).run() == 0


@pytest.mark.parametrize("path", ["restore", "checkstate", "keysets"])
def test_a_mint_that_does_not_answer_is_probed_another_time(
    forgetful: House, mint: MoodyMint, path: str
) -> None:
    mint.fault(path, Fault.SERVER_ERROR)

    assert probe(forgetful) == 0
    assert probe(forgetful) == 1


def test_another_seed_finds_nothing(build: Build, forgetful: House, mint: MoodyMint) -> None:
    assert probe(build(mint, anew=True, seed=OTHER_SEED)) == 0


@pytest.fixture
def restored(build: Build, mint: MoodyMint) -> House:
    """A house in which Alice has 100 sat, whose log has forgotten that they were refunded."""
    before, after = build(mint), build(mint, anew=True)
    before.deposit(mint.fund(101))
    put(after.store, [placed.entry for page in before.store.log() for placed in page])
    rebuild(after.store, [], lambda _done, _all: None)
    before.refunds.refund(ALICE)
    return after


def test_what_was_spent_since_the_backup_is_taken_out_of_the_purse(
    restored: House, mint: MoodyMint
) -> None:
    """M42: a refund that took such a proof could never be made."""
    assert probe(restored) == 1

    (lost,) = (event for event in restored.log() if isinstance(event, ProofsLost))
    assert lost.lost_msat == 100_000
    assert restored.store.free(mint.url, "sat") == 0
    assert restored.available_msat() == 100_000
    restored.deposit(mint.fund(201), BOB)
    assert restored.refunds.refund(BOB).amount == 199


def test_a_purse_that_cannot_be_looked_at_is_left_to_the_reconciliation(
    restored: House, mint: MoodyMint
) -> None:
    mint.refuse("checkstate", 10000, after=1)

    assert probe(restored) == 1

    assert restored.store.free(mint.url, "sat") == 100
    wallet = restored.mints.get(mint.url)
    purse = wallet.purse("sat")
    _, rows = restored.store.holdings(mint.url)
    spent = [
        Spent(keyset_id=key.keyset_id, counter=key.counter, amount=row.amount)
        for key, row in rows.items()
    ]
    restored.ledger.lose_proofs(uuid4(), purse, tuple(spent))
