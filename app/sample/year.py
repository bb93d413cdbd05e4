"""A sample told hour by hour: days are busier than nights, and every month than the last."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from app.sample.cast import Clients
from app.sample.clerk import Agenda, Clerk
from app.sample.house import House

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from domain.event import Entry
    from domain.guards import GuardRows

HOUR = timedelta(hours=1)
HOURS_MAX = 365 * 24
EVENTS_PER_HOUR = 30
"""A shorter sample is of fewer hours, so that no hour is of its rate alone."""
EVENTS_PER_CLIENT = 100
EVENTS_PER_VISIT = 2
DAYLIGHT = (2, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 7, 7, 8, 8, 8, 7, 7, 6, 6, 5, 5, 4, 3)
DRAWN_EVERY, COMPARED_EVERY, TIDIED_EVERY = 30 * 24, 24, 6
STEP = timedelta(microseconds=1)


class Part(NamedTuple):
    """Some entries, and all guard rows as they stand after them, the changed ones marked."""

    entries: list[Entry]
    rows: GuardRows


def sample(seed: int, events: int, end: datetime) -> Iterator[Part]:
    """Yield a log of `events` entries, or a few more, up to the moment `end`.

    The same three always make the same log. Whoever takes a part marks its rows as
    unchanged before the next.
    """
    chance = Random(seed)  # noqa: S311  (a sample is no secret)
    hours = min(HOURS_MAX, max(1, events // EVENTS_PER_HOUR))
    clerk = Clerk(end - hours * HOUR)
    agenda = Agenda(clerk)
    clients = Clients(chance, events // EVENTS_PER_CLIENT)
    house = House(chance, clerk, agenda, clients)
    house.open()
    quotas = _quotas(hours, events)
    for hour, quota in enumerate(quotas):
        house.look_at_rate()
        _one_hour(house, clerk, agenda, hour / hours, quota)
        if hour % COMPARED_EVERY == COMPARED_EVERY - 1:
            house.compare()
        if hour % DRAWN_EVERY == DRAWN_EVERY - 1:
            house.draw()
        if hour % TIDIED_EVERY == TIDIED_EVERY - 1:
            house.tidy()
        yield Part(clerk.hand_over(), clerk.rows)
    while clerk.count < events:
        house.visit(1.0)
        agenda.run(clerk.now + STEP)
    yield Part(clerk.hand_over(), clerk.rows)


def _one_hour(house: House, clerk: Clerk, agenda: Agenda, known: float, quota: int) -> None:
    """Let so many come that there are `quota` events in all by the end of the hour."""
    visits = max(0, quota - clerk.count) // EVENTS_PER_VISIT
    begin = clerk.now
    for visit in range(visits):
        agenda.run(begin + (HOUR * (visit + 1)) / (visits + 1))
        house.visit(known)
    agenda.run(begin + HOUR)


def _quotas(hours: int, events: int) -> list[int]:
    """Return how many events there are to be by the end of each hour."""
    weights = [DAYLIGHT[hour % 24] * (hours + hour) for hour in range(hours)]
    whole, sum_so_far, quotas = sum(weights), 0, []
    for weight in weights:
        sum_so_far += weight
        quotas.append(events * sum_so_far // whole)
    return quotas
