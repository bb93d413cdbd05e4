from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import requests

from app.cashier.rates import CONFIRM_AFTER, RateDesk
from app.gateways.exchange import Exchange, RateUnavailableError, Source
from domain.rate import RateObserved
from tests.gateways.canned import CannedServer, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.guards import RateRow
    from tests.cashier.house import House


@contextmanager
def exchanges_that_say(price: str) -> Iterator[Exchange]:
    body = answer(b'{"price":"%s"}' % price.encode())
    with CannedServer(body) as server, requests.Session() as session:
        sources = [Source(name, server.url, ("price",)) for name in ("one", "two", "three")]
        yield Exchange(session, sources, timeout_s=2.0)


def observed(house: House) -> list[RateObserved]:
    return [event for event in house.log() if isinstance(event, RateObserved)]


def test_what_the_exchanges_say_becomes_an_event(house: House) -> None:
    with exchanges_that_say("64000.5") as exchange:
        RateDesk(house.ledger, exchange, house.store.rate).update()

    (event,) = observed(house)
    assert (event.btc_usd, event.sources) == ("64000.5", ("one", "two", "three"))
    row = house.store.rate()
    assert row is not None
    assert (row.btc_usd, row.at) == ("64000.5", event.at)


def test_an_unchanged_rate_is_not_recorded_again_at_once(house: House) -> None:
    with exchanges_that_say("64000") as exchange:
        desk = RateDesk(house.ledger, exchange, house.store.rate)
        for _ in range(3):
            desk.update()

    assert len(observed(house)) == 1


def test_a_changed_rate_is_recorded_at_once(house: House) -> None:
    for price in ("64000", "64001"):
        with exchanges_that_say(price) as exchange:
            RateDesk(house.ledger, exchange, house.store.rate).update()

    assert [event.btc_usd for event in observed(house)] == ["64000", "64001"]


@pytest.mark.parametrize(
    ("age", "count"), [(timedelta(minutes=4, seconds=50), 1), (CONFIRM_AFTER, 2)]
)
def test_an_unchanged_rate_is_confirmed_after_five_minutes(
    house: House, age: timedelta, count: int
) -> None:
    """Else it would go stale while the market stands still."""

    def as_if_older() -> RateRow | None:
        row = house.store.rate()
        return row._replace(at=row.at - age) if row else None

    with exchanges_that_say("64000") as exchange:
        desk = RateDesk(house.ledger, exchange, as_if_older)
        for _ in range(2):
            desk.update()

    assert len(observed(house)) == count


def test_exchanges_that_do_not_answer_change_nothing(house: House) -> None:
    with exchanges_that_say("no price") as exchange:
        desk = RateDesk(house.ledger, exchange, house.store.rate)

        with pytest.raises(RateUnavailableError):
            desk.update()

    assert observed(house) == []
