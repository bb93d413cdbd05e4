"""A worker that is behind takes nothing on, and is never taken for one when it is not."""

from __future__ import annotations

import json

import pytest

from app.web.pace import LOOK_EVERY_S, REQUESTS_MIN, Pace
from app.web.wire import crowded

MANY = REQUESTS_MIN
LATE_S = 0.2


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    pace = Pace(LATE_S, clock)
    pace.sleep()
    return pace


def woken(pace: Pace, clock: Clock, late_s: float) -> None:
    """Let a turn come so much later than it was due."""
    pace.sleep()
    clock.now_s += LOOK_EVERY_S + late_s
    pace.wake()
    pace.sleep()


def test_a_turn_in_time_lets_all_in(pace: Pace, clock: Clock) -> None:
    woken(pace, clock, LATE_S / 2)

    assert not pace.is_behind(1_000)


def test_while_turns_come_late_nobody_is_let_in(pace: Pace, clock: Clock) -> None:
    woken(pace, clock, 2 * LATE_S)
    is_behind = pace.is_behind(MANY)
    woken(pace, clock, 0.0)

    assert is_behind
    assert not pace.is_behind(MANY)


def test_a_turn_that_has_not_come_yet_is_late_already(pace: Pace, clock: Clock) -> None:
    clock.now_s += LOOK_EVERY_S + 2 * LATE_S

    assert pace.is_behind(MANY)


def test_few_are_let_in_whatever_the_delay(pace: Pace, clock: Clock) -> None:
    woken(pace, clock, 60.0)

    assert not pace.is_behind(REQUESTS_MIN - 1)


def test_a_hold_that_waits_for_long_keeps_others_out(pace: Pace, clock: Clock) -> None:
    with pace.waiting():
        woken(pace, clock, 0.0)
        clock.now_s += LATE_S
        pace.sleep()
        is_behind = pace.is_behind(MANY)

    assert is_behind
    assert not pace.is_behind(MANY)


def test_with_no_bound_a_worker_is_never_behind(clock: Clock) -> None:
    pace = Pace(0.0, clock)
    with pace.waiting():
        woken(pace, clock, 60.0)

        assert not pace.is_behind(1_000)


def test_refusals_are_counted_once_a_second(pace: Pace, clock: Clock) -> None:
    first = pace.turned_away()
    second = pace.turned_away()
    clock.now_s += 1
    third = pace.turned_away()

    assert (first, second, third) == (1, None, 2)


@pytest.mark.parametrize(("is_last", "connection"), [(True, "close"), (False, "keep-alive")])
def test_who_is_turned_away_is_told_when_to_come_back(is_last: bool, connection: str) -> None:  # noqa: FBT001
    head, _, body = crowded(is_last=is_last).partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])

    assert head.startswith(b"HTTP/1.1 503 ")
    assert fields["Connection"] == connection
    assert fields["Retry-After"] == "2"
    assert fields["Content-Length"] == str(len(body))
    assert json.loads(body)["error"]["code"] == "overloaded"
    assert json.loads(body)["request_id"] == fields["x-request-id"]
