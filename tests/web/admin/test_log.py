from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from app.web.admin.log import RATES_LOOKED_BACK, Log, Marks
from domain.hold import Charged
from domain.posting import postings
from projections.follow import catch_up
from projections.moments import Period
from projections.rates import RATES
from tests.projections.story import CLIENTS, Story, put
from tests.web.admin.conftest import SCRIPT, View, look_at
from tests.web.admin.reading import events_of, positions

if TYPE_CHECKING:
    from datetime import datetime

    from domain.event import Entry
    from tests.store.places import Store


def test_paging_shows_every_event_once(both: View) -> None:
    assert events_of(both) == positions(both, lambda _entry: True)


def test_events_are_found_by_type(both: View) -> None:
    found = events_of(both, type="hold.released")

    wanted = positions(both, lambda entry: entry.event.TOPIC == "hold.released")
    assert found == wanted != []


@pytest.mark.parametrize("model", ["maker/plain", SCRIPT])
def test_events_are_found_by_model_and_type(both: View, model: str) -> None:
    found = events_of(both, model=model, type="hold.charged")

    def fits(entry: Entry) -> bool:
        event = entry.event
        return isinstance(event, Charged) and event.terms.model == model

    assert found == positions(both, fits) != []


def test_events_are_found_by_account(both: View) -> None:
    mine = {f"client:{CLIENTS[2]}:available", f"client:{CLIENTS[2]}:held"}

    found = events_of(both, account=str(CLIENTS[2]))

    def fits(entry: Entry) -> bool:
        arrows = postings(entry.event)
        return any(mine & {arrow.source, arrow.destination} for arrow in arrows)

    assert found == positions(both, fits) != []


def test_events_are_found_by_amount(both: View) -> None:
    found = events_of(both, min_sat="80.5", type="hold.held")

    wanted = positions(both, lambda entry: getattr(entry.event, "amount_msat", 0) >= 80_500)
    assert found == wanted != []


def test_events_are_found_by_time(both: View) -> None:
    days = sorted({entry.event.at.date() for entry in both.story.entries})
    first, last = days[3], days[6]

    found = events_of(both, **{"from": first.isoformat(), "to": last.isoformat()})

    wanted = positions(both, lambda entry: first <= entry.event.at.date() < last)
    assert found == wanted != []


def test_events_are_found_by_request(both: View) -> None:
    stream = next(e.stream for e in both.story.entries if e.event.TOPIC == "hold.charged")

    found = events_of(both, request=str(stream))

    assert found == positions(both, lambda entry: entry.stream == stream)
    assert len(found) == 2


@pytest.mark.parametrize("share", [1, 40, 1000])
def test_what_is_looked_for_further_down_is_found_part_by_part(both: View, share: int) -> None:
    log = Log(both.store.position, both.store.mapper.decode, examined_max=share)
    marks = Marks(period=Period(), topic="hold.charged", amount_msat_min=90_000)
    found: list[int] = []
    before: int | None = None
    while before is None or before > 0:
        page = look_at(both.store)(partial(log.find, marks=marks, before=before))
        found += [told.position for told in page.events]
        before = page.older or 0

    wanted = positions(both, lambda entry: getattr(entry.event, "cost_msat", 0) >= 90_000)
    assert found == wanted != []


def test_times_are_found_by_halving_whatever_they_are(both: View) -> None:
    log = Log(both.store.position, both.store.mapper.decode)
    ats = [entry.event.at for entry in both.story.entries]
    step = timedelta(microseconds=1)
    edges = [ats[0] - step, ats[0], ats[200], ats[200] + step, ats[-1], ats[-1] + step]

    def count(begin: datetime) -> int | None:
        marks = Marks(period=Period(begin, None))
        found = look_at(both.store)(lambda query: log.find(query, marks, None))
        counted: int | None = found.counted
        return counted

    assert [count(at) for at in edges] == [sum(each >= at for each in ats) for at in edges]


def test_a_rate_is_found_however_long_ago_it_was_observed(store: Store) -> None:
    story = Story()
    story.ledger.observe_rate(story.new(), "50000", ("here",))
    story.deposit(CLIENTS[0], 8)
    last = story.entries[-1]._replace(version=1)
    put(store, story.entries)
    put(store, [last._replace(stream=story.new()) for _ in range(RATES_LOOKED_BACK)])
    catch_up(store, RATES.name, lambda _done, _all: None)
    log = Log(store.position, store.mapper.decode)

    with store.snapshot() as query:
        newest = log.find(query, Marks(period=Period()), None, 1).events
        rates = log.rates(query, newest)

    assert rates == {newest[0].position: "50000"}
