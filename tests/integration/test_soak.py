"""Mixed load while everything around it fails, then a calm in which nothing grows.

`make soak SOAK_SECONDS=1800` is the real run, on both engines; else a short one.
"""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import pytest
import requests

from tests.doubles.recipient import RecipientServer
from tests.doubles.upstream import Behaviour
from tests.gateways.conftest import free_port
from tests.integration.chaos import Killer
from tests.integration.cluster import Server, Single
from tests.integration.house import COST_MSAT, build, new_address
from tests.integration.mint import RealMint
from tests.integration.regulars import MintKiller, Regular
from tests.integration.service import Service
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound
from tests.integration.test_every_movement import (
    TICKETS_SAT,
    credited_faces_msat,
    purse,
    settle,
)
from tests.integration.test_random_kills import charges
from tests.store.places import END_OTHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.doubles.upstream import UpstreamDouble

SOAK_S = float(os.environ.get("SOAK_SECONDS", "15"))
WILD = 2 / 3
REGULARS = 4
CUT_EVERY_S = (1.0, 5.0)
AWAY_S = (0.2, 1.0)
GROWTH_MAX = 1.1
TELL_EVERY_S = 60.0
RESTART_S = 60.0
DISK_MB = 256 if SOAK_S > 300 else 64
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

pytestmark = [pytest.mark.integration, pytest.mark.timeout(SOAK_S + 600)]


@dataclass
class Ground:
    """Where the books are in a soak, and what can be done to it."""

    url: str
    faults: tuple[Fault, ...]


class Fault(Protocol):
    """Something that goes wrong with the database, and is over when `pause` returns."""

    name: str

    def __call__(self, pause: Callable[[], None]) -> None: ...


class Disconnection:
    """Every connection to PostgreSQL is ended."""

    name = "connections ended"

    def __init__(self, rows: Callable[[str], object]) -> None:
        self._rows = rows

    def __call__(self, pause: Callable[[], None]) -> None:
        self._rows(END_OTHERS)
        pause()


class PowerCut:
    """PostgreSQL itself is killed, all its processes at once, and started again."""

    name = "PostgreSQL killed"

    def __init__(self, server: Server) -> None:
        self._server = server

    def __call__(self, pause: Callable[[], None]) -> None:
        self._server.kill()
        pause()
        until_s = time.monotonic() + RESTART_S
        while True:
            try:
                self._server.start()
            except subprocess.CalledProcessError:
                # What was killed has not let go of its memory yet.
                assert time.monotonic() < until_s, "PostgreSQL does not start again"
                time.sleep(0.2)
            else:
                return


class FullDisk:
    """The disk that the books are on has no byte left."""

    name = "disk full"

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def __call__(self, pause: Callable[[], None]) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(PAGE_BYTES))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        pause()
        self._ballast.unlink()


class HangUp:
    """The upstream hangs up on whoever asks."""

    name = "upstream hung up"

    def __init__(self, upstream: UpstreamDouble) -> None:
        self._upstream = upstream

    def __call__(self, pause: Callable[[], None]) -> None:
        self._upstream.behave(Behaviour(hangs_up_unanswered=True))
        pause()
        self._upstream.behave(Behaviour())


class Faults(threading.Thread):
    """One fault after the other, each for a moment."""

    def __init__(self, faults: Sequence[Fault], until_s: float) -> None:
        super().__init__()
        self._faults = faults
        self._until_s = until_s
        self._random = random.Random(13)  # noqa: S311  # chaos that can be repeated
        self.counts: Counter[str] = Counter()

    def run(self) -> None:
        while time.monotonic() < self._until_s:
            for fault in self._faults:
                time.sleep(self._random.uniform(*CUT_EVERY_S))
                fault(self._pause)
                self.counts[fault.name] += 1

    def _pause(self) -> None:
        time.sleep(self._random.uniform(*AWAY_S))


@contextmanager
def small_disk(folder: Path) -> Iterator[Ground]:
    """SQLite on a disk of its own that can be filled; only root may make one."""
    folder.mkdir()
    faults: tuple[Fault, ...] = ()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    is_mounted = not subprocess.run(mount, capture_output=True, check=False).returncode
    if is_mounted:
        faults = (FullDisk(folder),)
    try:
        yield Ground(f"sqlite:///{folder / 'soak.db'}", faults)
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def own_server() -> Iterator[Ground]:
    """PostgreSQL on a server of its own, which can be killed."""
    with Single() as server:
        yield Ground(server.url, (Disconnection(server.server.rows), PowerCut(server.server)))


@dataclass
class Report:
    """What a soak has seen; its lines are those of a table."""

    counts: Counter[str] = field(default_factory=Counter)
    grown: dict[int, float] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = [f"| {name} | {count:,} |" for name, count in sorted(self.counts.items())]
        grown = max(self.grown.values(), default=0.0)
        rows.append(f"| memory, last to first, of the process that grew most | {grown:.3f} |")
        return "\n".join(["| seen | |", "|---|--:|", *rows])


@pytest.mark.parametrize(
    "engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def test_nothing_is_lost_and_nothing_grows(
    engine: str, upstream: UpstreamDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        enter = stack.enter_context
        ground = enter(small_disk(tmp_path / "disk") if engine == "sqlite" else own_server())
        bob = enter(RecipientServer())
        mint = enter(RealMint(free_port(), tmp_path / "mint", private_key="soaked"))
        abroad = enter(RealMint(free_port(), tmp_path / "abroad", private_key="abroad"))
        address = new_address(ground.url, mint.url, upstream.base_url)
        address = replace(address, allow=(bob.netloc,), foreign_url=abroad.url)
        settings = {
            "GUARD_ALLOW": f"{bob.netloc},{urlsplit(abroad.url).netloc}",
            "FOREIGN_MINTS": abroad.url,
            "FOREIGN_FEE_MAX_PERCENT": "20",
            "INSTANT_MAX_SAT": "100000",
            "MINT_TIMEOUT_S": "5",
        }
        with Service(address, tmp_path / "home", settings) as service:
            key = requests.get(f"{service.base_url}/v1/info", timeout=10).json()["pubkey"]
            regulars = [
                Regular(
                    service.base_url,
                    purse(mint, abroad, key),
                    [mint.fund(sat) for sat in TICKETS_SAT],
                    bob.address,
                    seed,
                )
                for seed in range(REGULARS)
            ]
            with capsys.disabled():
                report = soak(service, mint, ground, upstream, regulars)
        house = build(address)
        try:
            settle(house)
            told = assert_sound(house)
            assert_nothing_is_left_to_do(house)
            charged = charges(house)
            faces_msat = credited_faces_msat(house)
            report.counts["events in the log"] = house.store.head()
        finally:
            house.close()

    for regular in regulars:
        report.counts["requests asked"] += regular.diary.asked
        report.counts["served"] += len(regular.diary.served)
        report.counts["told an error in OpenAI's shape"] += len(regular.diary.refused)
        report.counts["connections dropped by a kill"] += regular.diary.dropped
        report.counts["told anything else"] += len(regular.diary.unclean)
    report.counts["charged"] = len(charged)
    with capsys.disabled():
        say(f"{SOAK_S:.0f} s on {engine}\n\n{report}")
    assert [reply for regular in regulars for reply in regular.diary.unclean] == []
    served = [request_id for regular in regulars for request_id in regular.diary.served]
    assert len(served) == len(set(served)) > 0
    assert set(served) <= charged.keys()
    assert {charge.cost_msat for charge in charged.values()} <= {COST_MSAT}
    assert faces_msat == 1_000 * sum(regular.presented_sat for regular in regulars)
    assert told.collected_msat == 1_000 * sum(regular.refunded_sat for regular in regulars)
    assert max(report.grown.values()) < GROWTH_MAX, report.grown


def soak(
    service: Service,
    mint: RealMint,
    ground: Ground,
    upstream: UpstreamDouble,
    regulars: list[Regular],
) -> Report:
    """Let all live through a storm and a calm; tell what each process grew by in the calm."""
    report = Report()
    with ThreadPoolExecutor(REGULARS) as threads, told_on(regulars):
        list(threads.map(Regular.open, regulars))
        until_s = time.monotonic() + WILD * SOAK_S
        killer = Killer(service, until_s, seed=21)
        mint_killer = MintKiller(mint, until_s, seed=22)
        faults = Faults((*ground.faults, HangUp(upstream)), until_s)
        for each in (killer, mint_killer, faults):
            each.start()
        list(threads.map(lambda regular: regular.live(until_s), regulars))
        for each in (killer, mint_killer, faults):
            each.join()
        service.wait_until_whole()
        calm_s = (1 - WILD) * SOAK_S
        calm_until_s = time.monotonic() + calm_s
        living = [threads.submit(regular.live, calm_until_s) for regular in regulars]
        # What is loaded and cached at the first request is no growth.
        time.sleep(calm_s / 3)
        first = memory(service)
        for living_on in living:
            living_on.result()
        last = memory(service)
        list(threads.map(Regular.leave, regulars))
    report.counts.update(faults.counts)
    report.counts["workers and back offices killed"] = killer.kills
    report.counts["mint killed"] = mint_killer.kills
    assert min(killer.kills, mint_killer.kills, *faults.counts.values()) > 0
    report.grown = {pid: last[pid] / size for pid, size in first.items() if pid in last}
    return report


@contextmanager
def told_on(regulars: list[Regular]) -> Iterator[None]:
    """Say how far it is, every minute."""
    ended, begun_s = threading.Event(), time.monotonic()

    def tell() -> None:
        while not ended.wait(TELL_EVERY_S):
            asked = sum(regular.diary.asked for regular in regulars)
            served = sum(len(regular.diary.served) for regular in regulars)
            say(f"{time.monotonic() - begun_s:.0f} s: {asked} asked, {served} served")

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def say(text: str) -> None:
    sys.stderr.write(f"\n{text}\n")
    sys.stderr.flush()


def memory(service: Service) -> dict[int, int]:
    """Return how many bytes each process of the service has in memory (proc(5))."""
    office = service.back_office_pid()
    pids = [*service.worker_pids(), *([office] if office is not None else [])]
    return {
        pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES for pid in pids
    }
