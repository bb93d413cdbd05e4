from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.staff import attempts
from app.staff.attempts import ADDRESSES_MAX, Attempts
from app.store.threads import changing_one_by_one

if TYPE_CHECKING:
    from tests.store.places import Place, Store


class Clock:
    now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def counting(store: Store, clock: Clock) -> Attempts:
    return Attempts(changing_one_by_one(store), clock)


def waits(counter: Attempts, clock: Clock, address: str, count: int) -> list[float]:
    """How long each of `count` attempts had to wait before it was looked at."""
    found = []
    for _ in range(count):
        left_s = counter.count(address).wait_s
        found.append(left_s)
        if left_s:
            clock.now_s += left_s
            assert counter.count(address).wait_s == 0
    return found


def test_each_attempt_waits_twice_as_long_as_the_one_before(store: Store, clock: Clock) -> None:
    found = waits(counting(store, clock), clock, "a", 18)

    assert found[:9] == [0, 0, 0, 0, 0, 1, 2, 4, 8]
    assert found[-1] == 900


def test_all_processes_count_together(place: Place, clock: Clock) -> None:
    workers = [counting(place.open(), clock) for _ in range(3)]

    found = [worker.count("a").wait_s for worker in workers * 2]

    assert found == [0, 0, 0, 0, 0, 1]


def test_many_addresses_together_wait_too_but_never_long(store: Store, clock: Clock) -> None:
    counter = counting(store, clock)
    for number in range(40):
        clock.now_s += counter.count(f"address-{number}").wait_s

    assert 0 < counter.count("another").wait_s <= 8


def test_the_password_forgives_all(store: Store, clock: Clock) -> None:
    counter = counting(store, clock)
    waits(counter, clock, "a", 10)

    counter.forgive("a")

    assert waits(counter, clock, "a", 5) == [0, 0, 0, 0, 0]


@pytest.mark.parametrize("later_s", [3601, -60])
def test_an_hour_without_attempts_or_a_clock_put_back_forgives_too(
    store: Store, clock: Clock, later_s: int
) -> None:
    counter = counting(store, clock)
    waits(counter, clock, "a", 10)

    clock.now_s += later_s

    assert counter.count("a").wait_s == 0
    assert counter.count("a").wait_s == 0


def test_that_somebody_waits_is_news_once_an_hour(store: Store, clock: Clock) -> None:
    counter = counting(store, clock)

    found = [counter.count("a").is_news for _ in range(8)]
    clock.now_s += 3601
    again = [counter.count("a").is_news for _ in range(8)]

    assert found == again == [False] * 5 + [True, False, False]


def test_the_addresses_remembered_are_bounded(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ADDRESSES_MAX == 10_000
    monkeypatch.setattr(attempts, "ADDRESSES_MAX", 12)
    counter = counting(store, clock)

    for number in range(30):
        clock.now_s += 9
        counter.count(f"address-{number}")

    with store.transaction() as query:
        assert query("SELECT COUNT(*) FROM sign_in_attempt")[0][0] == 12


def test_no_address_is_kept_as_it_is(store: Store, clock: Clock) -> None:
    counting(store, clock).count("192.0.2.7")

    with store.transaction() as query:
        assert "192" not in {row[0][:3] for row in query("SELECT source FROM sign_in_attempt")}
