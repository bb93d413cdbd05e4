from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.store.errors import SchemaTooNewError
from domain.deposit import Credited, Received
from domain.event import Entry
from domain.guards import DEPOSIT, FREE, ISSUED, OUT, REFUND, RESERVED
from domain.msat import Msat
from tests.domain.given import ALICE, BOB, KEYSET, MINT, TERMS
from tests.store.work import a_day, claim_of, fund, ledger_on, refund, tables

if TYPE_CHECKING:
    from tests.store.places import Place, Store


def test_a_new_database_is_empty(store: Store) -> None:
    assert store.head() == 0
    assert list(store.log()) == []
    assert store.account(ALICE) is None
    assert store.rate() is None
    assert store.history(uuid4()) == []
    assert store.hold_owners() == []
    assert store.open_movements() == []
    assert store.purses() == []


def test_making_the_tables_again_changes_nothing(place: Place) -> None:
    store = place.open()
    a_day(store, ALICE)
    before = tables(store.kept()[1])

    store.create()

    assert tables(place.open().kept()[1]) == before


def test_a_database_of_a_later_version_is_left_alone(place: Place) -> None:
    store = place.open()
    place.run(
        "PRAGMA user_version = 99"
        if place.engine == "sqlite"
        else "UPDATE schema_version SET version = 99"
    )

    with pytest.raises(SchemaTooNewError, match="99"):
        place.open()

    assert store.head() == 0


def test_the_log_is_in_order_and_every_page_goes_on_from_the_last(store: Store) -> None:
    a_day(store, ALICE)
    positions = [placed.position for page in store.log() for placed in page]
    middle = positions[len(positions) // 2]

    tail = [placed.position for page in store.log(middle) for placed in page]
    head = [placed.position for page in store.log(0, middle) for placed in page]

    assert positions == sorted(set(positions))
    assert head + tail == positions
    assert store.head() == positions[-1]


def test_a_history_is_one_movement_from_its_beginning(store: Store) -> None:
    begun = fund(ledger_on(store), ALICE, 100)

    first, second = store.history(begun.stream)

    assert first == begun
    assert isinstance(first.event, Received)
    assert isinstance(second.event, Credited)
    assert second == Entry(begun.stream, 2, second.event)


def test_holds_are_known_by_their_owner(store: Store) -> None:
    fund(ledger_on(store), ALICE, 100)
    held = uuid4()
    ledger_on(store, "one").hold(held, ALICE, Msat(5), TERMS)
    ledger_on(store, "two").hold(uuid4(), ALICE, Msat(6), TERMS)

    (found,) = store.open_holds("one")

    assert sorted(store.hold_owners()) == ["one", "two"]
    assert found[0] == held
    assert (found[1].account_id, found[1].amount_msat, found[1].owner) == (ALICE, 5, "one")


def test_movements_without_an_end_are_found_oldest_first(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    first = ledger.receive_token(uuid4(), claim_of(BOB, 3), KEYSET, (1, 2))
    begun, _ = refund(ledger, ALICE, 10)

    found = store.open_movements()

    assert [(stream, row.kind) for stream, row in found] == [
        (first.stream, DEPOSIT),
        (begun.stream, ISSUED),
    ]
    assert [stream for stream, _ in store.movements_of(ALICE, ISSUED)] == [begun.stream]
    assert store.movements_of(ALICE, REFUND) == []


def test_proofs_are_counted_by_what_they_are_for(store: Store) -> None:
    a_day(store, ALICE)

    totals = {total.state: total.amount for total in store.purses()}

    assert totals == {FREE: 836, OUT: 100, RESERVED: 64}
    assert store.free(MINT, "sat") == 836
    assert store.free(MINT, "msat") == 0


def test_proofs_of_a_movement_are_found(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    begun, issued = refund(ledger, ALICE, 10)

    rows = store.proofs_of(begun.stream)

    keys = [proof.key for proof in issued.token_proofs]
    assert set(rows) == set(keys)
    assert store.proofs([*keys, keys[0]._replace(counter=999)]) == rows


def test_the_newest_rate_is_told(store: Store) -> None:
    ledger = ledger_on(store)

    for btc_usd in ("50000", "50001.25"):
        ledger.observe_rate(uuid4(), btc_usd, ("a",))

    rate = store.rate()
    assert rate is not None
    assert rate.btc_usd == "50001.25"


def test_the_library_reads_our_log_with_our_mapper(store: Store) -> None:
    a_day(store, ALICE)

    found = store.recorder.select_notifications(1, 1_000)

    ours = [placed for page in store.log() for placed in page]
    assert [each.id for each in found] == [placed.position for placed in ours]
    assert [store.mapper.to_domain_event(each) for each in found] == [
        placed.entry for placed in ours
    ]
    assert store.recorder.max_notification_id() == store.head()


def test_the_library_writes_what_we_read(store: Store) -> None:
    begun = fund(ledger_on(store), ALICE, 1)
    event = store.history(begun.stream)[1].event
    entry = Entry(uuid4(), 1, event)

    store.recorder.insert_events([store.mapper.to_stored_event(entry)])

    assert store.history(entry.stream) == [entry]


@pytest.mark.postgres
def test_the_library_subscribes_to_our_log(postgres_place: Place) -> None:
    store = postgres_place.open()
    a_day(store, ALICE)
    head = store.head()

    with store.recorder.subscribe(gt=head) as subscription:
        begun = fund(ledger_on(store), BOB, 5)
        entries = [store.mapper.to_domain_event(next(subscription)) for _ in range(2)]

    assert entries == store.history(begun.stream)
