"""A mint in trouble is spared, and ties up no more of us than it may."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from app.gateways.errors import (
    GatewayError,
    MintAnswerError,
    MintBusyError,
    MintLimitError,
    MintPausedError,
    MintRefusedError,
    MintUnknownError,
    RefusedError,
    UnreachableError,
)
from app.gateways.mint.gate import PAUSE_MAX_S, Gate, GateLimits

LIMITS = GateLimits(at_once_max=2, waiting_max=1, wait_s=0.01, failures_max=3, pause_s=5.0)
SILENCE = MintUnknownError("no answer")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    return Gate("mint.example", LIMITS, clock)


def ask(gate: Gate, failure: GatewayError | None = None) -> None:
    """Have a request go through the gate, and end well or not."""
    with gate.turn():
        if failure is not None:
            raise failure


def fail(gate: Gate, times: int = 1, failure: GatewayError = SILENCE) -> None:
    for _ in range(times):
        with pytest.raises(type(failure)):
            ask(gate, failure)


def pause_s(gate: Gate) -> float | None:
    """For how long nobody is let through; raises if somebody is."""
    with pytest.raises(MintPausedError) as paused:
        gate.expect_open()
    with pytest.raises(MintPausedError):
        ask(gate)
    return paused.value.retry_after_s


def test_who_is_not_let_through_has_certainly_sent_nothing() -> None:
    assert issubclass(MintPausedError, RefusedError)
    assert issubclass(MintBusyError, UnreachableError)


def test_a_mint_that_does_not_answer_is_left_alone(gate: Gate) -> None:
    fail(gate, 2)
    gate.expect_open()

    fail(gate, failure=UnreachableError("mint.example"))

    assert pause_s(gate) == 5.0


@pytest.mark.parametrize(
    "answer",
    [
        MintRefusedError(11001, "spent"),
        MintUnknownError("failed to acquire a lock", code=0),
        MintLimitError("429", retry_after_s=0.0),
    ],
)
def test_a_mint_that_answers_is_well_whatever_it_says(
    gate: Gate, clock: Clock, answer: GatewayError
) -> None:
    fail(gate, 2)
    fail(gate, failure=answer)
    clock.now_s += 2.0
    fail(gate, 2)

    ask(gate)


def test_an_answer_that_is_none_is_no_answer(gate: Gate) -> None:
    fail(gate, 3, MintAnswerError("no JSON"))

    assert pause_s(gate) == 5.0


def test_one_request_alone_tries_whether_the_mint_is_back(gate: Gate, clock: Clock) -> None:
    fail(gate, 3)
    clock.now_s += 5.0

    with gate.turn():
        assert pause_s(gate) == 2.0

    gate.expect_open()
    fail(gate, 2)
    gate.expect_open()


def test_a_mint_that_is_not_back_is_left_alone_for_twice_as_long(
    gate: Gate, clock: Clock
) -> None:
    fail(gate, 3)
    pauses = []
    for _ in range(9):
        pauses.append(pause_s(gate))
        clock.now_s += PAUSE_MAX_S
        fail(gate)

    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, PAUSE_MAX_S, PAUSE_MAX_S]


def test_a_probe_that_breaks_off_lets_another_one_try(gate: Gate, clock: Clock) -> None:
    fail(gate, 3)
    clock.now_s += 5.0

    with pytest.raises(KeyboardInterrupt), gate.turn():
        raise KeyboardInterrupt

    ask(gate)


@pytest.mark.parametrize(
    ("said_s", "pause"),
    [(30.0, 30.0), (None, 10.0), (1e9, PAUSE_MAX_S)],
)
def test_a_mint_that_says_429_is_left_alone_for_as_long_as_it_says(
    gate: Gate, clock: Clock, said_s: float | None, pause: float
) -> None:
    fail(gate, failure=MintLimitError("429", retry_after_s=said_s))

    with pytest.raises(MintBusyError) as busy:
        gate.expect_open()

    assert busy.value.retry_after_s == pause
    clock.now_s += pause
    ask(gate)


def test_silence_and_429_are_counted_and_answers_are_not(clock: Clock) -> None:
    counted: list[str] = []
    gate = Gate("mint.example", LIMITS, clock, counted.append)

    fail(gate)
    ask(gate)
    fail(gate, failure=MintLimitError("429", retry_after_s=1.0))

    assert counted == ["silent", "limited"]


def test_only_so_many_go_through_at_once(gate: Gate) -> None:
    with gate.turn(), gate.turn(), pytest.raises(MintBusyError):
        ask(gate)

    ask(gate)


def test_only_so_many_wait(clock: Clock) -> None:
    """M46: who comes on top of them is told at once."""
    gate = Gate("mint.example", GateLimits(at_once_max=1, waiting_max=1, wait_s=30.0), clock)
    thread = threading.Thread(target=ask, args=(gate,))
    with gate.turn():
        thread.start()
        while gate._inside < 2:
            pass
        with pytest.raises(MintBusyError):
            gate.expect_open()
        with pytest.raises(MintBusyError):
            ask(gate)
    thread.join()

    ask(gate)


def test_who_waited_while_the_mint_fell_silent_is_not_let_through() -> None:
    gate = Gate("mint.example", GateLimits(at_once_max=1, failures_max=1, wait_s=5.0))
    told: list[type[Exception]] = []

    def wait() -> None:
        try:
            ask(gate)
        except MintPausedError as error:
            told.append(type(error))

    thread = threading.Thread(target=wait)

    def fall_silent() -> None:
        with gate.turn():
            thread.start()
            while gate._inside < 2:
                pass
            raise SILENCE

    with pytest.raises(MintUnknownError):
        fall_silent()
    thread.join()

    assert told == [MintPausedError]


GREENLETS = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent
from app.gateways.errors import MintBusyError
from app.gateways.mint.gate import Gate, GateLimits

gate = Gate("mint.example", GateLimits(at_once_max=2, waiting_max=2, wait_s=30.0))
inside, most, done = 0, 0, gevent.event.Event()

def ask():
    global inside, most
    try:
        with gate.turn():
            inside, most = inside + 1, max(most, inside + 1)
            done.wait()
            inside -= 1
        return "served"
    except MintBusyError:
        return "told"

asking = [gevent.spawn(ask) for _ in range(10)]
gevent.sleep(0)
gevent.spawn(done.set)
gevent.joinall(asking)
print(most, sorted(each.value for each in asking))
"""


def test_greenlets_wait_without_stalling_the_others() -> None:
    """M46: as in a gevent worker, two go through, two wait, and six are told at once."""
    command = [sys.executable, "-c", GREENLETS]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert answer.stdout.strip() == f"2 {['served'] * 4 + ['told'] * 6}"
