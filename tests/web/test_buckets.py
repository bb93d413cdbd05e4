from __future__ import annotations

import pytest

from app.web.buckets import Buckets


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_as_much_as_a_minute_holds_may_be_taken_at_once_and_no_more(clock: Clock) -> None:
    buckets = Buckets(60, clock)

    taken = [buckets.take("a", 1) for _ in range(61)]

    assert taken == [0.0] * 60 + [1.0]


def test_it_fills_evenly_and_never_over(clock: Clock) -> None:
    buckets = Buckets(60, clock)
    buckets.take("a", 60)

    clock.now_s += 2.5
    after_a_while = buckets.left("a"), buckets.full_in_s("a")
    clock.now_s += 3_600

    assert after_a_while == (2, 57.5)
    assert (buckets.left("a"), buckets.full_in_s("a")) == (60, 0.0)


def test_who_waits_as_long_as_was_said_gets_it(clock: Clock) -> None:
    buckets = Buckets(60, clock)
    buckets.take("a", 55)

    clock.now_s += buckets.take("a", 20)

    assert buckets.take("a", 20) == 0.0


def test_a_refusal_takes_nothing(clock: Clock) -> None:
    buckets = Buckets(60, clock)
    buckets.take("a", 55)

    buckets.take("a", 20)

    assert buckets.left("a") == 5


def test_one_name_takes_nothing_of_another(clock: Clock) -> None:
    buckets = Buckets(60, clock)
    buckets.take("a", 60)

    assert buckets.take("b", 60) == 0.0


def test_more_than_a_bucket_holds_is_waited_for_in_vain(clock: Clock) -> None:
    assert Buckets(60, clock).take("a", 61) == float("inf")


def test_what_was_taken_too_much_comes_back_and_what_was_too_little_is_owed(
    clock: Clock,
) -> None:
    buckets = Buckets(60, clock)
    buckets.take("a", 10)
    buckets.take("b", 10)

    buckets.correct("a", 8)
    buckets.correct("b", -80)

    assert buckets.left("a") == 58
    assert (buckets.left("b"), buckets.take("b", 1)) == (0, 31.0)


def test_only_the_names_used_last_are_remembered(clock: Clock) -> None:
    buckets = Buckets(60, clock, names_max=2)
    for name in "abac":
        buckets.take(name, 30)

    assert [buckets.left(name) for name in "abc"] == [0, 60, 30]


@pytest.mark.parametrize(("per_minute", "left", "wait_s"), [(90, 40, 0.0), (20, 0, 93.0)])
def test_what_was_taken_stays_taken_when_there_is_more_or_less(
    clock: Clock, per_minute: int, left: int, wait_s: float
) -> None:
    buckets = Buckets(60, clock)
    buckets.take("a", 60)
    clock.now_s += 10

    buckets.hold(per_minute)

    # Fifty are still taken: of twenty that is thirty too many, and they fill at the new rate.
    assert (buckets.left("a"), buckets.left("b")) == (left, per_minute)
    assert buckets.take("a", 1) == wait_s


def test_a_limit_that_was_away_for_a_while_counts_on(clock: Clock) -> None:
    buckets = Buckets(60, clock)
    buckets.take("a", 60)

    buckets.hold(0)
    buckets.hold(60)

    assert buckets.left("a") == 0
