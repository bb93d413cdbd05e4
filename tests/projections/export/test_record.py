from __future__ import annotations

from collections import Counter, deque
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from app.store.mapper import LedgerMapper
from domain.errors import LedgerBrokenError, UnknownTopicError
from domain.posting import available, held
from projections.chain import Stored
from projections.export.record import Selection, by_day, records
from projections.moments import Period, day_of
from tests.projections.export.reading import EVERYTHING, told
from tests.projections.story import CLIENTS, Story, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

ALICE = CLIENTS[0]


def sums(record_list: list[tuple[str, str, int]]) -> Counter[tuple[str, str]]:
    added: Counter[tuple[str, str]] = Counter()
    for source, destination, msat in record_list:
        added[source, destination] += msat
    return added


def test_every_event_is_a_record_with_its_day_and_position(story: Story) -> None:
    found = told(story.entries)

    assert [record.position for record in found] == list(range(1, len(story.entries) + 1))
    assert [record.day for record in found] == [day_of(e.event.at) for e in story.entries]


def test_a_period_and_an_account_leave_out_the_rest(story: Story) -> None:
    accounts = frozenset({available(ALICE), held(ALICE)})
    period = Period(story.entries[50].event.at, story.entries[300].event.at)

    found = told(story.entries, Selection(period, accounts))

    assert found
    for record in found:
        assert record.origin
        assert period.has(record.origin.at)
        assert accounts & {name for arrow in record.postings for name in arrow[:2]}


def test_a_record_has_its_own_rate_or_the_newest_observed_before() -> None:
    story = Story()
    story.deposit(ALICE, 100)
    story.ledger.observe_rate(story.new(), "40000", ("here",))
    story.charge(story.hold(ALICE, 1000, rate="50000"), 10)
    story.charge(story.hold(ALICE, 1000, rate=""), 10)

    rates = [record.btc_usd for record in told(story.entries)]

    assert rates == ["", "", "40000", "50000", "50000", "40000", "40000"]


def test_a_paid_request_is_known_by_its_id_and_model() -> None:
    story = Story()
    story.deposit(ALICE, 100)
    hold_id = story.hold(ALICE, 1000, "m")
    story.release(hold_id)

    *_, before, begun, ended = told(story.entries)

    assert before.origin
    assert before.origin.request_id is None
    assert begun.origin
    assert (begun.origin.request_id, begun.origin.model) == (hold_id, "m")
    assert ended.origin
    assert (ended.origin.request_id, ended.origin.stream) == (hold_id, hold_id)


def test_a_day_is_the_sum_of_its_events(story: Story) -> None:
    every = told(story.entries)

    days = list(by_day(every))

    assert [day.day for day in days] == sorted({r.day for r in every if r.postings})
    assert sum(day.events for day in days) == sum(bool(r.postings) for r in every)
    assert sums([p for day in days for p in day.postings]) == sums(
        [p for record in every for p in record.postings]
    )
    assert all(day.origin is None for day in days)


def test_without_events_there_are_no_days() -> None:
    assert list(by_day([])) == []


def test_no_more_of_a_long_log_is_read_than_is_written(story: Story) -> None:
    read = 0
    one = stored(story.entries, LedgerMapper())

    def endless() -> Iterator[Stored]:
        nonlocal read
        while True:
            for each in one:
                read += 1
                yield each

    deque(islice(records(endless(), EVERYTHING), 20_000), maxlen=0)

    assert read == 20_000


def test_an_event_this_program_does_not_know_ends_the_export() -> None:
    with pytest.raises(UnknownTopicError):
        list(records([Stored(1, bytes(16), 1, "os.system", b"{}")], EVERYTHING))
    with pytest.raises(LedgerBrokenError):
        list(records([Stored(1, bytes(16), 1, "hold.held", b"\xff")], EVERYTHING))
