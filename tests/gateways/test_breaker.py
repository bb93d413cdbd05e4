from __future__ import annotations

import pytest

from app.gateways.breaker import (
    FAILURES_MAX,
    PROBE_MAX_S,
    REST_FIRST_S,
    REST_MAX_S,
    RETRY_AFTER_MAX_S,
    Breaker,
    Standing,
)

MODEL = "gpt-x"


class Bench:
    """A breaker, and the time by which it goes."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.breaker = Breaker("main", lambda: self.now_s)

    @property
    def standing(self) -> Standing:
        return self.breaker.standing(MODEL)

    def fail(self, times: int = FAILURES_MAX, *, is_away: bool = True) -> None:
        for _ in range(times):
            self.breaker.failed(is_away=is_away)

    def rest(self) -> None:
        self.now_s += self.breaker.rest_s(MODEL)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_few_failures_are_nothing(bench: Bench) -> None:
    bench.fail(FAILURES_MAX - 1)

    assert bench.standing is Standing.READY
    assert bench.breaker.rest_s(MODEL) == 0


def test_only_failures_in_a_row_count(bench: Bench) -> None:
    bench.fail(FAILURES_MAX - 1)
    bench.breaker.succeeded()
    bench.fail(FAILURES_MAX - 1)

    assert bench.standing is Standing.READY


def test_who_cannot_be_reached_is_not_asked_for_a_while(bench: Bench) -> None:
    bench.fail()

    assert bench.standing is Standing.SHUT
    assert bench.breaker.rest_s(MODEL) == REST_FIRST_S


def test_who_fails_at_what_is_asked_is_asked_last(bench: Bench) -> None:
    """Otherwise one client, whose requests nobody can answer, shuts the house for all."""
    bench.fail(is_away=False)

    assert bench.standing is Standing.SHAKY


def test_after_a_rest_one_request_tries_it_while_others_do_not(bench: Bench) -> None:
    bench.fail()
    bench.rest()
    rested = bench.standing

    bench.breaker.ask()

    assert rested is Standing.READY
    assert bench.standing is Standing.SHUT


def test_one_success_closes_it_again(bench: Bench) -> None:
    bench.fail()
    bench.rest()
    bench.breaker.ask()

    bench.breaker.succeeded()
    bench.fail(FAILURES_MAX - 1)

    assert bench.standing is Standing.READY


def test_each_failed_try_doubles_the_rest_up_to_a_minute(bench: Bench) -> None:
    bench.fail()
    rests = []
    for _ in range(6):
        rests.append(bench.breaker.rest_s(MODEL))
        bench.rest()
        bench.breaker.ask()
        bench.fail(1)

    assert rests == [5.0, 10.0, 20.0, 40.0, 60.0, REST_MAX_S]


def test_those_that_were_asked_before_do_not_lengthen_the_rest(bench: Bench) -> None:
    """Requests in progress when it is shut all fail, one after the other."""
    bench.fail(FAILURES_MAX + 20)

    assert bench.breaker.rest_s(MODEL) == REST_FIRST_S


def test_a_try_that_nobody_heard_of_again_does_not_shut_it_for_ever(bench: Bench) -> None:
    bench.fail()
    bench.rest()
    bench.breaker.ask()

    bench.now_s += PROBE_MAX_S

    assert bench.standing is Standing.READY


def test_a_model_that_is_used_up_rests_alone_and_as_long_as_was_said(bench: Bench) -> None:
    bench.breaker.exhausted(MODEL, 7.0)

    assert bench.standing is Standing.SHUT
    assert bench.breaker.is_exhausted(MODEL)
    assert bench.breaker.rest_s(MODEL) == 7.0
    assert bench.breaker.standing("gpt-y") is Standing.READY
    bench.rest()
    assert not bench.breaker.is_exhausted(MODEL)


@pytest.mark.parametrize(("said_s", "rest_s"), [(-5.0, 0.0), (1e9, RETRY_AFTER_MAX_S)])
def test_nobody_is_left_alone_for_a_senseless_time(
    bench: Bench, said_s: float, rest_s: float
) -> None:
    bench.breaker.exhausted(MODEL, said_s)

    assert bench.breaker.rest_s(MODEL) == rest_s


def test_each_failure_is_counted_by_what_it_was() -> None:
    counted: list[str] = []
    breaker = Breaker("main", count=counted.append)

    breaker.failed(is_away=True)
    breaker.failed(is_away=False)
    breaker.exhausted("gpt-x", 1.0)
    breaker.succeeded()

    assert counted == ["away", "failed", "exhausted"]
