from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from domain.allowance import KeyRow, Rules
from domain.errors import LedgerError, LimitReachedError
from domain.guards import AccountRow
from domain.hold import Held
from domain.key import Changes, MakeKey
from domain.msat import Msat
from projections.children import children_of
from tests.domain.given import ALICE, BOB, MINT, TERMS, USAGE, name
from tests.store.work import fund, ledger_on, serve, verified

if TYPE_CHECKING:
    from uuid import UUID

    from domain.ledger import Ledger
    from tests.store.places import Place, Store

CHILD, SALT = name(50), name(52)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
WHOLE = Rules(
    limit_msat=30_000,
    reset="weekly",
    valid_until=datetime(2126, 1, 1, 12, 30, tzinfo=UTC),
    models=("gpt-x", 'a "b"\\,{}'),
    expires_at=datetime(2126, 2, 1, tzinfo=UTC),
    refund_to="AAEC",
)


def test_a_key_is_read_as_it_was_made(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)

    made = ledger.make_key(CHILD, ALICE, SALT, WHOLE)
    serve(ledger, ALICE, 20_000, 7_000, CHILD)

    row = store.key(CHILD)
    parent = store.key(ALICE)
    assert row is not None
    assert row._replace(window_from=made.at) == KeyRow(
        1, made.at, ALICE, SALT, WHOLE, spent_msat=7_000, total_msat=7_000, requests=1
    )
    assert parent is not None
    assert (parent.children, parent.requests) == (1, 1)
    assert store.account(ALICE) == AccountRow(93_000, 0, MINT, "sat", 1)
    assert store.children_of(ALICE) == [(CHILD, row)]
    assert store.children_of(CHILD) == []
    assert store.key(BOB) is None
    assert verified(store) is None


def test_a_window_begun_by_hand_is_kept(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    ledger.make_key(CHILD, ALICE, SALT, WHOLE)
    serve(ledger, ALICE, 20_000, 7_000, CHILD)

    reset = ledger.reset_key(CHILD, ALICE)

    row = store.key(CHILD)
    assert row is not None
    assert (row.version, row.window_from) == (2, reset.at)
    assert (row.spent_msat, row.total_msat) == (0, 7_000)
    assert verified(store) is None


def test_a_hold_remembers_its_key(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    ledger.hold(uuid4(), ALICE, Msat(5), TERMS)
    ledger.make_key(CHILD, ALICE, SALT, Rules())
    ledger.hold(uuid4(), ALICE, Msat(6), TERMS, key_id=CHILD)

    rows = [row for _, row in store.open_holds("worker-1")]

    assert {row.amount_msat: row.key_id for row in rows} == {5: None, 6: CHILD}
    for hold_id, row in store.open_holds("worker-1"):
        ledger.charge(hold_id, row.account_id, Msat(1), TERMS, USAGE)
    assert verified(store) is None


def expire(ledger: Ledger, account_id: UUID, at: datetime) -> None:
    ledger.set_key(account_id, account_id, Changes(expires_at=at))


def test_expired_accounts_with_money_are_found_oldest_first(store: Store) -> None:
    ledger = ledger_on(store)
    who = [uuid4() for _ in range(5)]
    for days, account_id in enumerate(who):
        fund(ledger, account_id, 10)
        expire(ledger, account_id, NOW - timedelta(days=9 - days))
    expire(ledger, who[3], NOW + timedelta(seconds=1))
    ledger.donate(uuid4(), who[1])
    never = uuid4()
    fund(ledger, never, 10)
    ledger.make_key(uuid4(), never, uuid4(), Rules(expires_at=NOW - timedelta(days=1)))

    first = store.expired(NOW, None, 2)
    place = first[-1][1].rules.expires_at, first[-1][0]
    assert place[0] is not None
    then = store.expired(NOW, (place[0], place[1]), 2)

    assert [account_id for account_id, _ in first + then] == [who[0], who[2], who[4]]


def test_a_limit_holds_whatever_process_asks(place: Place) -> None:
    """M18: fifty requests at once over several connections; the limit is for ten."""
    stores = [place.open() for _ in range(4)]
    ledgers = [ledger_on(store) for store in stores]
    fund(ledgers[0], ALICE, 1_000)
    ledgers[0].make_key(CHILD, ALICE, SALT, Rules(limit_msat=10_000))

    def ask(number: int) -> bool:
        ledger = ledgers[number % len(ledgers)]
        try:
            ledger.hold(name(1_000 + number), ALICE, Msat(1_000), TERMS, key_id=CHILD)
        except LimitReachedError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        served = list(threads.map(ask, range(50)))

    row = stores[0].key(CHILD)
    assert sum(served) == 10
    assert row is not None
    assert row.held_msat == 10_000
    assert verified(stores[0]) is None


def test_a_family_made_by_two_processes_at_once_is_counted_whole(place: Place) -> None:
    stores = [place.open() for _ in range(4)]
    ledgers = [ledger_on(store) for store in stores]
    fund(ledgers[0], ALICE, 100)

    def make(number: int) -> None:
        ledger = ledgers[number % len(ledgers)]
        ledger.make_key(name(2_000 + number), ALICE, name(3_000 + number), Rules())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, range(20)))

    parent = stores[0].key(ALICE)
    assert parent is not None
    assert parent.children == len(stores[0].children_of(ALICE)) == 20
    assert verified(stores[0]) is None


def test_a_command_that_fails_does_not_spoil_its_batch(store: Store) -> None:
    fund(ledger_on(store), ALICE, 100)

    told = store.commit(
        [
            MakeKey(CHILD, ALICE, SALT, WHOLE),
            MakeKey(CHILD, ALICE, SALT, Rules()),
            MakeKey(name(51), BOB, SALT, WHOLE),
        ]
    )

    assert [isinstance(answer, LedgerError) for answer in told] == [False, True, True]
    assert store.key(CHILD) is not None


def test_a_database_of_the_first_version_is_brought_to_this_one(place: Place) -> None:
    store = place.open()
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    running = uuid4()
    ledger.hold(running, ALICE, Msat(10), TERMS)
    place.run(
        "DROP TABLE api_key",
        "ALTER TABLE balance DROP COLUMN keyed",
        "ALTER TABLE open_hold DROP COLUMN key_id",
        "PRAGMA user_version = 1"
        if place.engine == "sqlite"
        else "UPDATE schema_version SET version = 1",
    )

    newer = place.open()

    assert verified(newer) is None
    ledger_on(newer).make_key(CHILD, ALICE, SALT, WHOLE)
    charged = ledger_on(newer).charge(running, ALICE, Msat(5), TERMS, USAGE)
    assert charged.key_id is None
    assert isinstance(newer.history(running)[0].event, Held)
    assert verified(place.open()) is None


def test_an_accounts_children_are_known_by_their_ids(store: Store) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    ledger.make_key(CHILD, ALICE, SALT, WHOLE)

    with store.snapshot() as query:
        assert children_of(query, ALICE) == [CHILD]
        assert children_of(query, BOB) == []
