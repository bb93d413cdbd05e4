"""Mixed load while everything around it fails, then a calm in which nothing grows.

`make soak SOAK_SECONDS=1800` is the real run, on both engines; else a short one.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.doubles.recipient import RecipientServer
from tests.gateways.conftest import free_port
from tests.integration.chaos import Killer
from tests.integration.client import OK
from tests.integration.crowd import (
    Buyer,
    Pace,
    Resident,
    address_of,
    assert_books_and_crowd_agree,
    gather,
    settings_of,
)
from tests.integration.house import build
from tests.integration.mint import RealMint
from tests.integration.regulars import MintKiller, Regular
from tests.integration.service import Service
from tests.integration.storm import ClockJump, Faults, HangUp, ground_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.chaos import Customer
    from tests.integration.storm import Fault

SOAK_S = float(os.environ.get("SOAK_SECONDS", "15"))
IS_LONG = SOAK_S > 300
WILD = 2 / 3
# So many that a few who wait for what is away do not keep the others from asking.
REGULARS, BUYERS = 4, 48
# At the end the mint is asked about each of their movements: there must not be too many.
REGULARS_PER_S = 4.0 if IS_LONG else 40.0
FIRST_SAT = 131_072
MODEL = "gpt-4o-mini"
CAPACITY_S = 20.0 if IS_LONG else 2.0
LOAD = 0.5
"""How much of what it could do at the start it is asked for in all that follows."""
GROWTH_MAX = 1.1
TELL_EVERY_S = 60.0 if IS_LONG else 10.0
DISK_MB = 4_096 if IS_LONG else 256
ENDS_S = 600 + SOAK_S
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CLOCKS = "no C compiler (cc) is installed"

pytestmark = [pytest.mark.integration, pytest.mark.timeout(SOAK_S + ENDS_S)]


@dataclass
class Report:
    """What a soak has seen; its lines are those of a table."""

    seen: dict[str, object] = field(default_factory=dict)
    mb: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = [
            f"| {name} | {value:,} |" if isinstance(value, int) else f"| {name} | {value} |"
            for name, value in self.seen.items()
        ]
        rows += [
            f"| MB of {name}, first and last in the calm | {first:.1f}, {last:.1f}:"
            f" {last / first:.3f} |"
            for name, (first, last) in self.mb.items()
        ]
        return "\n".join(["| seen | |", "|---|--:|", *rows])


@pytest.mark.parametrize(
    "engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def test_nothing_is_lost_and_nothing_grows(
    engine: str, upstream: UpstreamDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report()
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(capsys.disabled())
        ground = enter(ground_of(engine, tmp_path / "disk", DISK_MB))
        bob = enter(RecipientServer())
        mint = enter(RealMint(free_port(), tmp_path / "mint", private_key="soaked"))
        abroad = enter(RealMint(free_port(), tmp_path / "abroad", private_key="abroad"))
        address = address_of(ground.url, mint, abroad, bob, upstream)
        clocks = ClockJump(tmp_path / "clocks", seed=23)
        faults = [*ground.faults, HangUp(upstream), *([clocks] if clocks.is_there else [])]
        settings = {**settings_of(abroad, bob), **clocks.settings}
        with Service(address, tmp_path / "home", settings) as service:
            regulars = gather(REGULARS, service, mint, abroad, bob, Resident, FIRST_SAT)
            buyers = soak(report, service, mint, faults, regulars)
        report.seen.update({name: f"not done: {why}" for name, why in ground.not_done.items()})
        if not clocks.is_there:
            report.seen[clocks.name] = f"not done: {CLOCKS}"
        house = build(address)
        try:
            _, charged = assert_books_and_crowd_agree(house, regulars, buyers)
            report.seen["charged"] = len(charged)
            report.seen["events in the log"] = house.store.head()
        finally:
            house.close()
            say(f"{SOAK_S:.0f} s on {engine}\n\n{report}")

    assert [reply for each in (*regulars, *buyers) for reply in each.diary.unclean] == []
    grown = {name: last / first for name, (first, last) in report.mb.items()}
    assert max(grown.values()) < GROWTH_MAX, grown


def soak(
    report: Report,
    service: Service,
    mint: RealMint,
    faults: Sequence[Fault],
    regulars: list[Regular],
) -> list[Buyer]:
    """Let all live through a storm and a calm, at half of what the service can bear."""
    with ThreadPoolExecutor(REGULARS + BUYERS) as threads:
        list(threads.map(Regular.open, regulars))
        per_s = capacity_per_s(threads, regulars)
        report.seen["capacity: requests a second, of as many as could be"] = round(per_s)
        report.seen["asked for since: acts a second"] = round(LOAD * per_s)
        theirs, rest = Pace(REGULARS_PER_S), Pace(max(LOAD * per_s - REGULARS_PER_S, 1.0))
        for regular in regulars:
            regular.pace = theirs
        buyers = [Buyer(regulars[seed % REGULARS], seed, MODEL, rest) for seed in range(BUYERS)]
        everybody = [*regulars, *buyers]
        with told_on(everybody):
            storm(report, service, mint, faults, everybody, threads)
            service.wait_until_whole()
            calm(report, service, everybody, threads)
            list(threads.map(Regular.leave, regulars))
    tell_of(report, everybody)
    return buyers


def capacity_per_s(threads: ThreadPoolExecutor, regulars: list[Regular]) -> float:
    """Measure how many requests a second are served to many who ask without a rest."""
    until_s = time.monotonic() + CAPACITY_S

    def ask(number: int) -> int:
        client, served = regulars[number % REGULARS].client, 0
        while time.monotonic() < until_s:
            served += client.chat(stream=bool(served % 2)).status == OK
        return served

    return sum(threads.map(ask, range(BUYERS))) / CAPACITY_S


def storm(
    report: Report,
    service: Service,
    mint: RealMint,
    faults: Sequence[Fault],
    everybody: Sequence[Customer],
    threads: ThreadPoolExecutor,
) -> None:
    until_s = time.monotonic() + WILD * SOAK_S
    killer = Killer(service, until_s, seed=21)
    mint_killer = MintKiller(mint, until_s, seed=22)
    weather = Faults(faults, until_s)
    for each in (killer, mint_killer, weather):
        each.start()
    list(threads.map(lambda each: each.live(until_s), everybody))
    for each in (killer, mint_killer, weather):
        each.join()
    asked = sum(each.diary.asked for each in everybody)
    report.seen["requests for a model a second, in the storm"] = round(asked / (WILD * SOAK_S))
    counts = Counter(weather.counts)
    counts.update({"workers and back offices killed": killer.kills})
    counts.update({"mint killed": mint_killer.kills})
    assert min(counts.values()) > 0, counts
    report.seen.update(counts)


def calm(
    report: Report, service: Service, everybody: Sequence[Customer], threads: ThreadPoolExecutor
) -> None:
    """Measure the memory of each process, when it is warm and when the calm is over."""
    calm_s = (1 - WILD) * SOAK_S
    until_s = time.monotonic() + calm_s
    asked = sum(each.diary.asked for each in everybody)
    living = [threads.submit(each.live, until_s) for each in everybody]
    # What is loaded and cached at the first request is no growth.
    time.sleep(calm_s / 3)
    first = memory_mb(service)
    for living_on in living:
        living_on.result()
    last = memory_mb(service)
    asked = sum(each.diary.asked for each in everybody) - asked
    report.seen["requests for a model a second, in the calm"] = round(asked / calm_s)
    report.mb = {name: (mb, last[name]) for name, mb in first.items() if name in last}


def tell_of(report: Report, everybody: Sequence[Customer]) -> None:
    diaries = [each.diary for each in everybody]
    report.seen["requests for a model asked"] = sum(diary.asked for diary in diaries)
    report.seen["served"] = sum(len(diary.served) for diary in diaries)
    report.seen["streams left by their readers"] = sum(diary.left for diary in diaries)
    refused = Counter(reply.error_code for diary in diaries for reply in diary.refused)
    report.seen["told an error in OpenAI's shape"] = refused.total()
    report.seen["of these"] = ", ".join(
        f"{count} {code}" for code, count in refused.most_common()
    )
    report.seen["connections dropped by a kill"] = sum(diary.dropped for diary in diaries)
    report.seen["told anything else"] = sum(len(diary.unclean) for diary in diaries)


@contextmanager
def told_on(everybody: Sequence[Customer]) -> Iterator[None]:
    """Say how far it is, every now and then."""
    ended, begun_s = threading.Event(), time.monotonic()

    def tell() -> None:
        while not ended.wait(TELL_EVERY_S):
            asked = sum(each.diary.asked for each in everybody)
            served = sum(len(each.diary.served) for each in everybody)
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


def memory_mb(service: Service) -> dict[str, float]:
    """Return how much of its own each process of the service has in memory (proc(5))."""
    office = service.back_office_pid()
    pids = {f"worker {pid}": pid for pid in service.worker_pids()}
    pids |= {"the back office": office} if office is not None else {}
    return {
        name: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20
        for name, pid in pids.items()
    }
