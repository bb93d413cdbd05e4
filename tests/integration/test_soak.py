"""Mixed load while everything around it fails, then a calm in which nothing grows.

`make soak SOAK_SECONDS=1800` is the real run, on both engines; else a short one.
"""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from tests.doubles.recipient import RecipientServer
from tests.doubles.upstream import Behaviour
from tests.gateways.conftest import free_port
from tests.integration.chaos import Killer
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
    from tests.doubles.upstream import UpstreamDouble
    from tests.store.places import Place

SOAK_S = float(os.environ.get("SOAK_SECONDS", "15"))
WILD = 2 / 3
REGULARS = 4
CUT_EVERY_S = (1.0, 5.0)
AWAY_S = (0.2, 1.0)
GROWTH_MAX = 1.1
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

pytestmark = [pytest.mark.integration, pytest.mark.timeout(SOAK_S + 600)]


class Cutter(threading.Thread):
    """Ends the database's connections now and then, and lets the upstream hang up."""

    def __init__(self, place: Place, upstream: UpstreamDouble, until_s: float) -> None:
        super().__init__()
        self._place = place
        self._upstream = upstream
        self._until_s = until_s
        self._random = random.Random(13)  # noqa: S311  # chaos that can be repeated
        self.cuts = 0

    def run(self) -> None:
        while time.monotonic() < self._until_s:
            time.sleep(self._random.uniform(*CUT_EVERY_S))
            if self._place.engine == "postgresql":
                self._place.run(END_OTHERS)
            self._upstream.behave(Behaviour(hangs_up_unanswered=True))
            time.sleep(self._random.uniform(*AWAY_S))
            self._upstream.behave(Behaviour())
            self.cuts += 1


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("sqlite_place", id="sqlite"),
        pytest.param("postgres_place", id="postgresql", marks=pytest.mark.postgres),
    ],
)
def test_nothing_is_lost_and_nothing_grows(
    where: str, request: pytest.FixtureRequest, upstream: UpstreamDouble, tmp_path: Path
) -> None:
    place: Place = request.getfixturevalue(where)
    url = f"sqlite:///{place.where}" if place.engine == "sqlite" else place.where
    with (
        RecipientServer() as bob,
        RealMint(free_port(), tmp_path / "mint", private_key="soaked") as mint,
        RealMint(free_port(), tmp_path / "abroad", private_key="abroad") as abroad,
    ):
        address = new_address(url, mint.url, upstream.base_url)
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
            grown = soak(service, mint, place, upstream, regulars)
        house = build(address)
        try:
            settle(house)
            told = assert_sound(house)
            assert_nothing_is_left_to_do(house)
            charged = charges(house)
            faces_msat = credited_faces_msat(house)
        finally:
            house.close()

    assert [reply for regular in regulars for reply in regular.diary.unclean] == []
    served = [request_id for regular in regulars for request_id in regular.diary.served]
    assert len(served) == len(set(served)) > 0
    assert set(served) <= charged.keys()
    assert {charge.cost_msat for charge in charged.values()} <= {COST_MSAT}
    assert faces_msat == 1_000 * sum(regular.presented_sat for regular in regulars)
    assert told.collected_msat == 1_000 * sum(regular.refunded_sat for regular in regulars)
    assert max(grown.values()) < GROWTH_MAX, grown


def soak(
    service: Service,
    mint: RealMint,
    place: Place,
    upstream: UpstreamDouble,
    regulars: list[Regular],
) -> dict[int, float]:
    """Let all live through a storm and a calm; return what each process grew by in the calm."""
    with ThreadPoolExecutor(REGULARS) as threads:
        list(threads.map(Regular.open, regulars))
        until_s = time.monotonic() + WILD * SOAK_S
        storm = (
            Killer(service, until_s, seed=21),
            MintKiller(mint, until_s, seed=22),
            Cutter(place, upstream, until_s),
        )
        for each in storm:
            each.start()
        list(threads.map(lambda regular: regular.live(until_s), regulars))
        for each in storm:
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
    assert min(storm[0].kills, storm[1].kills, storm[2].cuts) > 0
    return {pid: last[pid] / size for pid, size in first.items() if pid in last}


def memory(service: Service) -> dict[int, int]:
    """Return how many bytes each process of the service has in memory (proc(5))."""
    office = service.back_office_pid()
    pids = [*service.worker_pids(), *([office] if office is not None else [])]
    return {
        pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES for pid in pids
    }
