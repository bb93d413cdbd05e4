"""One run of the whole money path, from its seed to its end."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent

from app.store.group import OneByOne
from domain.ledger import Ledger
from tests.simulation.clients import Client
from tests.simulation.house import Parts, World
from tests.simulation.mint import SimMint
from tests.simulation.owner import Owner
from tests.simulation.stage import START, Stage, ViolationError
from tests.simulation.store import Disk, PlainStore
from tests.simulation.street import Street
from tests.simulation.upstream import BOOK

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = 90
CALM_STEPS_MAX = 60_000
MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it
AS_BUILT = Parts()


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `found` is what was violated, empty if nothing was."""

    seed: int
    found: str
    steps: int
    counts: dict[str, int]
    trace: list[str] = field(repr=False)


def simulate(seed: int, *, steps: int = STEPS, parts: Parts = AS_BUILT) -> Outcome:
    """Run a seed: `steps` while everything may fail, then until all is over."""
    stage = Stage(seed)
    disk = Disk(_folder() / "run.db", _image())
    world = World(
        stage,
        disk,
        SimMint(stage, "ours"),
        SimMint(stage, "theirs"),
        SimMint(stage, "bank"),
        parts,
    )
    world.theirs.peers.append(world.ours)
    street = Street(world)
    found = ""
    try:
        with _watched_hub(stage):
            count = stage.chance.choice((1, 2))
            clients = [Client(world, street, number) for number in range(count)]
            _play(street, clients, Owner(world, street), steps)
    except ViolationError as violation:
        found = str(violation)
    finally:
        stage.end()
        street.close()
        disk.db.close()
    counts = dict(sorted(stage.told.counts.items()))
    return Outcome(seed, found, stage.steps, counts, stage.trace)


def _play(street: Street, clients: list[Client], owner: Owner, steps: int) -> None:
    stage, watch = street.stage, street.watch
    stage.begin(owner.live)
    for client in clients:
        for _ in range(client.devices):
            stage.begin(client.live)
    for _ in range(steps):
        street.disturb()
        stage.step()
        watch.look()
    street.calm()
    for _ in range(CALM_STEPS_MAX):
        if not (owner.is_here or any(client.is_here for client in clients)):
            break
        stage.step()
        watch.look()
    else:
        raise ViolationError("somebody never came to an end")
    street.finish()
    watch.finish(clients, owner)


@contextmanager
def _watched_hub(stage: Stage) -> Iterator[None]:
    """Take every task's unexpected failure for a violation, instead of printing it."""
    hub: Any = gevent.get_hub()
    usual = hub.handle_error

    def notice(context: object, kind: type, value: BaseException, trace: object) -> None:
        if issubclass(kind, gevent.GreenletExit):
            return
        if not isinstance(value, Exception):
            usual(context, kind, value, trace)
            return
        where = "".join(traceback.format_exception(value)[-3:])
        stage.troubles.append(ViolationError(f"a task failed: {value!r}\n{where}"))

    hub.handle_error = notice
    try:
        yield
    finally:
        hub.handle_error = usual


@cache
def _image() -> bytes:
    """Return a database in which only the price list is written."""
    disk = Disk(_folder() / "template.db")
    store = PlainStore(disk, lambda: START)
    store.create()
    ledger = Ledger(OneByOne(store.commit).record, "nobody")
    ledger.adopt_prices(BOOK.version, BOOK.to_document())
    store.close()
    return disk.db.serialize()


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="simulation-", dir=MEMORY if MEMORY.is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
