from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from app.processes import Child, Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WAIT_MAX_S = 10.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# Says when it runs; on SIGTERM, says so too, and ends after `linger` seconds.
PROGRAM = """
import os, signal, sys, time
name, linger, code = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
def note(what):
    with open(os.environ["DIARY"], "a") as diary:
        diary.write(f"{name} {what}\\n")
def end(number, frame):
    note("told")
    time.sleep(linger)
    note("ended")
    sys.exit(code)
signal.signal(signal.SIGTERM, end)
note("runs")
if code >= 0:
    time.sleep(60)
sys.exit(-code)
"""


class Diary:
    """What the children of a test have written, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()

    def child(
        self, name: str, *, linger_s: float = 0.0, code: int = 0, restart: bool = False
    ) -> Child:
        """Return a child; one with a `code` below zero ends at once, with that of above."""
        argv = [sys.executable, "-c", PROGRAM, name, str(linger_s), str(code)]
        return Child(name, argv, {"DIARY": str(self.path)}, restart=restart)


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "diary")


@pytest.fixture
def processes() -> Iterator[Processes]:
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    processes = Processes(stop_within_s=WAIT_MAX_S)
    yield processes
    processes.stop()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def wait_for(fact: Callable[[], bool]) -> None:
    until_s = time.monotonic() + WAIT_MAX_S
    while not fact():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def start(processes: Processes, diary: Diary, child: Child) -> Child:
    """Start `child` and wait until it runs."""
    processes.start(child)
    wait_for(lambda: f"{child.name} runs" in diary.lines())
    return child


def test_the_code_of_a_child_that_ends_is_returned(processes: Processes, diary: Diary) -> None:
    start(processes, diary, diary.child("stays"))
    start(processes, diary, diary.child("ends", code=-7))

    assert processes.wait() == 7


def test_a_child_that_is_to_stay_is_started_again(
    processes: Processes, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    child = start(processes, diary, diary.child("again", code=-3, restart=True))

    code = processes.wait(lambda: diary.lines().count("again runs") >= 2)

    assert code == 0
    assert child.process is not None
    assert "again ended with 3, starting it again" in caplog.text


def test_waiting_ends_when_it_is_told_to(processes: Processes, diary: Diary) -> None:
    start(processes, diary, diary.child("stays"))

    assert processes.wait(lambda: True) == 0


def test_children_are_ended_newest_first_one_after_the_other(
    processes: Processes, diary: Diary
) -> None:
    """What an older one does may be needed by a newer one that drains."""
    children = [start(processes, diary, diary.child(f"child-{n}")) for n in range(3)]

    processes.stop()

    assert all(child.code == 0 for child in children)
    assert diary.lines()[3:] == [
        f"child-{n} {what}" for n in (2, 1, 0) for what in ("told", "ended")
    ]


def test_a_child_is_given_time_to_drain(processes: Processes, diary: Diary) -> None:
    child = start(processes, diary, diary.child("drains", linger_s=0.5, code=4))

    processes.stop()

    assert diary.lines() == ["drains runs", "drains told", "drains ended"]
    assert child.code == 4


def test_a_child_that_does_not_end_is_killed(diary: Diary) -> None:
    processes = Processes(stop_within_s=0.3)
    child = start(processes, diary, diary.child("stubborn", linger_s=60.0))

    processes.stop()

    assert child.code == -signal.SIGKILL
    assert "stubborn ended" not in diary.lines()


def test_stopping_twice_is_as_good_as_once(processes: Processes, diary: Diary) -> None:
    child = start(processes, diary, diary.child("once"))

    processes.stop()
    processes.stop()

    assert (child.code, diary.lines().count("once told")) == (0, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_waiting(
    processes: Processes, diary: Diary, number: signal.Signals
) -> None:
    start(processes, diary, diary.child("stays"))
    processes.stop_on_signals()

    threading.Timer(0.1, os.kill, (os.getpid(), number)).start()

    assert processes.wait() == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_interrupts_whatever_is_done_and_the_second_does_not(
    processes: Processes, diary: Diary, number: signal.Signals
) -> None:
    start(processes, diary, diary.child("stays"))
    processes.interrupt_on_signals()

    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    os.kill(os.getpid(), number)

    processes.stop()
    assert diary.lines()[-1] == "stays ended"


def test_a_child_that_has_ended_is_told_of(processes: Processes, diary: Diary) -> None:
    start(processes, diary, diary.child("stays"))
    assert processes.ended() is None

    ending = start(processes, diary, diary.child("ends", code=-1))

    wait_for(lambda: processes.ended() is ending)


def test_output_goes_where_it_is_told_to(processes: Processes, tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    log.write_text("before\n")
    command = [sys.executable, "-c", "import sys; print('out'); sys.exit('err')"]

    processes.start(Child("speaks", command, {}, log_path=log))

    assert processes.wait() == 1
    assert sorted(log.read_text().split()) == ["before", "err", "out"]


def test_a_child_inherits_no_more_than_it_is_allowed_to(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WALLET_SEED", "secret")
    log = tmp_path / "child.log"
    show = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}), os.getcwd())"
    command = [sys.executable, "-c", show]

    processes.start(
        Child(
            "modest",
            command,
            {"OWN": "1"},
            log_path=log,
            directory=tmp_path,
            inherited=["PATH"],
        )
    )

    assert processes.wait() == 0
    assert log.read_text().strip() == f"['OWN', 'PATH'] {tmp_path}"
