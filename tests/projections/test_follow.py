from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from projections.audit import Auditor
from projections.chart import told_upto
from projections.daily import DAILY
from projections.follow import catch_up, catch_up_all, rebuild, retell, verify
from projections.guard import differences, fold, settle
from projections.journal import JOURNAL
from projections.rates import RATES
from tests.domain.given import ALICE, BOB, deposited
from tests.domain.given import fold as folded
from tests.store.work import a_day, fund, ledger_on, serve, silent, tables, verified

if TYPE_CHECKING:
    from tests.store.places import Place, Store


def journal(store: Store) -> list[tuple[Any, ...]]:
    with store.snapshot() as query:
        return query(f"SELECT * FROM {JOURNAL.name} ORDER BY position, line")  # noqa: S608


def lines_of(store: Store) -> dict[str, list[str]]:
    """All lines of all sheets, in an order of their own."""
    with store.snapshot() as query:
        return {
            name: sorted(map(repr, query(f"SELECT * FROM {name}")))  # noqa: S608
            for name in store.sheets
        }


def told_of(store: Store) -> list[tuple[Any, ...]]:
    """The lines the journal should have, worked out from the log alone."""
    return [
        line
        for page in store.log()
        for placed in page
        for line in JOURNAL.lines(placed.position, placed.entry)
    ]


def amounts(lines: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Position, line, topic and arrow: what both engines spell alike."""
    return [(line[0], line[1], *line[4:8]) for line in lines]


def test_a_follower_tells_what_the_log_tells(store: Store) -> None:
    a_day(store, ALICE)

    catch_up(store, JOURNAL.name, silent)

    assert amounts(journal(store)) == amounts(told_of(store))
    assert store.follower_position(JOURNAL.name) == store.head()


def test_a_follower_goes_on_where_it_was(store: Store) -> None:
    a_day(store, ALICE)
    catch_up(store, JOURNAL.name, silent)
    serve(ledger_on(store), ALICE, 1_000, 1_000)
    progress: list[tuple[int, int]] = []

    catch_up(store, JOURNAL.name, lambda done, of: progress.append((done, of)))
    catch_up(store, JOURNAL.name, silent)

    assert progress == [(store.head(), store.head())]
    assert amounts(journal(store)) == amounts(told_of(store))


def test_a_follower_that_forgot_tells_the_same_again(store: Store) -> None:
    a_day(store, ALICE)
    catch_up(store, JOURNAL.name, silent)
    before = journal(store)

    store.forget(JOURNAL.name)
    emptied = journal(store), store.follower_position(JOURNAL.name)
    catch_up(store, JOURNAL.name, silent)

    assert emptied == ([], 0)
    assert journal(store) == before


def test_two_followers_of_one_name_tell_nothing_twice(place: Place) -> None:
    store, other = place.open(), place.open()
    a_day(store, ALICE)
    (page,) = list(store.log())

    first = store.follow(JOURNAL.name, 0, page)
    second = other.follow(JOURNAL.name, 0, page)

    assert (first, second) == (True, False)
    assert amounts(journal(store)) == amounts(told_of(store))


class Overtaken:
    """A store beside which another process follows as well, and is always quicker."""

    def __init__(self, store: Store, quicker: Store) -> None:
        self._store = store
        self._quicker = quicker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def follow(self, name: str, after: int, page: Any) -> bool:
        catch_up(self._quicker, name, silent)
        return self._store.follow(name, after, page)


def test_who_is_overtaken_goes_on_from_there(place: Place) -> None:
    store = place.open()
    a_day(store, ALICE)

    catch_up(Overtaken(store, place.open()), JOURNAL.name, silent)

    assert amounts(journal(store)) == amounts(told_of(store))


def test_who_is_overtaken_among_several_goes_on_from_there(place: Place) -> None:
    store = place.open()
    a_day(store, ALICE)

    catch_up_all(Overtaken(store, place.open()), (JOURNAL.name, DAILY.name), silent)

    assert amounts(journal(store)) == amounts(told_of(store))
    assert store.follower_position(DAILY.name) == store.head()


def test_who_are_at_different_places_come_to_one(store: Store) -> None:
    a_day(store, ALICE)
    catch_up(store, JOURNAL.name, silent)

    catch_up_all(store, store.sheets, silent)

    assert {store.follower_position(name) for name in store.sheets} == {store.head()}
    assert amounts(journal(store)) == amounts(told_of(store))


def test_a_page_is_read_once_for_all_who_are_at_one_place(place: Place) -> None:
    store = place.open()
    a_day(store, ALICE)
    reads: list[int] = []

    class Counting(Overtaken):
        def log(self, after: int = 0, upto: int | None = None) -> Any:
            reads.append(after)
            return self._store.log(after, upto)

        def follow(self, name: str, after: int, page: Any) -> bool:
            return self._store.follow(name, after, page)

    catch_up_all(Counting(store, store), store.sheets, silent)

    assert reads == [0]


def test_while_money_moves_no_follower_gets_ahead_of_the_journal_it_points_into(
    store: Store,
) -> None:
    a_day(store, ALICE)
    head = store.head()

    def meanwhile(_done: int, _of: int) -> None:
        serve(ledger_on(store), ALICE, 1_000, 1_000)

    catch_up_all(store, (JOURNAL.name, RATES.name, DAILY.name), meanwhile)

    with store.snapshot() as query:
        assert told_upto(query) == head < store.head()


def test_what_is_rebuilt_is_what_was_there(store: Store) -> None:
    a_day(store, ALICE)
    for name in store.sheets:
        catch_up(store, name, silent)
    before = tables(store.kept()[1]), journal(store)

    rebuild(store, store.sheets, silent)

    assert (tables(store.kept()[1]), journal(store)) == before
    assert verified(store) is None


def test_who_is_overtaken_while_it_tells_all_anew_tells_nothing_twice(place: Place) -> None:
    store = place.open()
    a_day(store, ALICE)
    for name in store.sheets:
        catch_up(store, name, silent)
    before = lines_of(store)

    class Raced(Overtaken):
        def tell(self, name: str, *told: Any) -> bool:
            catch_up(self._quicker, name, silent)
            return self._store.tell(name, *told)

    rebuild(Raced(store, place.open()), store.sheets, silent)

    assert lines_of(store) == before


def test_many_lines_are_written_as_soon_as_they_are_worth_it(place: Place) -> None:
    store = place.open()
    a_day(store, ALICE)
    for name in store.sheets:
        catch_up(store, name, silent)
    before = lines_of(store)
    written: list[str] = []

    class Small(Overtaken):
        """A store whose log has pages of one entry, and whose lines are always many."""

        def log(self, after: int = 0, upto: int | None = None) -> Any:
            for page in self._store.log(after, upto):
                yield from ([placed] for placed in page)

        def tell(self, name: str, *told: Any) -> bool:
            written.append(name)
            return self._store.tell(name, *told)

    retell(Small(store, store), tuple(store.sheets), silent, lines_at_once=1)

    assert lines_of(store) == before
    assert written.count(JOURNAL.name) > 1


def test_a_rebuild_mends_what_was_damaged(place: Place) -> None:
    store = place.open()
    a_day(store, ALICE)
    before = tables(store.kept()[1])
    place.run(
        "UPDATE balance SET available_msat = 5",
        "DELETE FROM proof",
        "DELETE FROM open_hold",
        "INSERT INTO newest_rate VALUES ('oldest', '1', '2026-01-01T00:00:00+00:00')",
    )
    damaged = verified(store)

    rebuild(store, store.sheets, silent)

    assert damaged is not None
    assert tables(store.kept()[1]) == before
    assert verified(store) is None


def test_the_service_goes_on_while_it_is_rebuilt_and_verified(place: Place) -> None:
    store, busy = place.open(), place.open()
    ledger = ledger_on(busy)
    fund(ledger, ALICE, 100_000)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            serve(ledger, ALICE, 1_000, 10)
            fund(ledger, BOB, 3)

    thread = threading.Thread(target=work)
    thread.start()
    found = []
    for _ in range(5):
        rebuild(store, store.sheets, silent)
        found.append(verified(store))
    stop.set()
    thread.join()

    assert found == [None] * 5
    before = tables(store.kept()[1])
    rebuild(store, store.sheets, silent)
    assert tables(store.kept()[1]) == before


def test_an_empty_log_is_sound(store: Store) -> None:
    rebuild(store, store.sheets, silent)

    assert verified(store) is None
    assert store.head() == 0


def test_verifying_shows_how_far_it_is(store: Store) -> None:
    a_day(store, ALICE)
    progress: list[tuple[int, int]] = []

    verify(store, lambda done, of: progress.append((done, of)))

    assert progress == [(store.head(), store.head())]


class Growing:
    """A store to which something wrong is added just while it is verified."""

    def __init__(self, place: Place, store: Store) -> None:
        self._place = place
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def kept(self) -> Any:
        self._place.run(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
            " SELECT originator_id, 3, topic, state FROM stored_events"
            " WHERE topic = 'hold.charged'"
        )
        return self._store.kept()


def test_what_is_added_meanwhile_is_verified_too(place: Place) -> None:
    store = place.open()
    a_day(store, ALICE)

    found = verify(Growing(place, store), silent)

    assert "ends a hold that is not open" in (found or "")


def test_rows_that_differ_are_named_in_order() -> None:
    log, kept = folded(*deposited()), folded(*deposited())
    kept.add(ALICE, 1)
    kept.add(BOB, 1)
    kept.proofs.rows.clear()

    told = list(differences(log, kept))

    assert [line.split(":")[0] for line in told[:2]] == [f"accounts {ALICE}", f"accounts {BOB}"]
    assert [line.split()[0] for line in told[2:]] == ["proofs"] * 3
    assert "the log says None" in told[1]


def test_what_is_settled_is_written_whole() -> None:
    rows = folded(*deposited())
    fold(rows, deposited(uuid4(), BOB, counter_from=5))
    rows.accounts.changed.clear()

    settle(rows)

    assert rows.accounts.changed == {ALICE, BOB}
    assert rows.movements.changed == set()


@pytest.mark.parametrize("count", [0, 1])
def test_a_page_may_be_short(count: int) -> None:
    page = [(1, deposited()[0])][:count]

    assert Auditor().read(page) is None


@pytest.mark.parametrize("was_enabled", [True, False])
def test_the_collector_of_garbage_is_left_as_it_was(store: Store, *, was_enabled: bool) -> None:
    a_day(store, ALICE)
    (gc.enable if was_enabled else gc.disable)()
    try:
        verified(store)

        assert gc.isenabled() is was_enabled
    finally:
        gc.enable()
