from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from tests.store.work import ledger_on, verified

if TYPE_CHECKING:
    from tests.store.places import Place, Store

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent
KILLS = 10
LINES_MAX = 400
WAIT_S = 30


def hammering(place: Place, owner: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store.hammer", place.where, owner],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


def killed_after(process: subprocess.Popen[str], lines: int) -> list[str]:
    """Kill a process when it has said so much; return all that it said."""
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    said.extend(process.stdout)
    process.wait(WAIT_S)
    # The last line may have been torn; every line before it was acknowledged.
    return [line for line in said if line.endswith("\n")]


def unrecorded(store: Store, said: list[str]) -> list[str]:
    """Which acknowledged events are not in the log."""
    recorded = {
        (placed.entry.stream, placed.entry.version) for page in store.log() for placed in page
    }
    return [
        line for line in said if (UUID(line.split()[0]), int(line.split()[1])) not in recorded
    ]


def test_what_was_acknowledged_outlives_kill_9(place: Place) -> None:
    store = place.open()
    chance = Random(9)  # noqa: S311  (the same kills every time)
    said: list[str] = []

    with ExitStack() as stack:
        working = stack.enter_context(hammering(place, "worker-0"))
        for number in range(1, KILLS + 1):
            following = stack.enter_context(hammering(place, f"worker-{number}"))
            said += killed_after(working, chance.randrange(4, LINES_MAX))
            working = following
        said += killed_after(working, 1)

    assert len(said) > KILLS
    assert unrecorded(store, said) == []
    assert verified(store) is None


def test_what_a_killed_process_left_open_can_be_closed_by_another(place: Place) -> None:
    store = place.open()
    with hammering(place, "doomed") as process:
        killed_after(process, 50)

    ledger = ledger_on(store, "back office")
    left = store.open_holds("doomed")
    for hold_id, row in left:
        ledger.release(hold_id, row.account_id, "its process died")

    assert store.hold_owners() == []
    assert verified(store) is None
    for hold_id, row in left:
        again = ledger.release(hold_id, row.account_id, "once more")
        assert again.reason == "its process died"


def test_two_hammers_on_one_database_do_not_hurt_each_other(place: Place) -> None:
    store = place.open()

    with hammering(place, "one") as one, hammering(place, "two") as two:
        said = killed_after(one, LINES_MAX)
        said += killed_after(two, LINES_MAX)

    assert unrecorded(store, said) == []
    assert verified(store) is None
