"""SIGTERM lets what runs come to its end, and then ends everything."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.integration.client import Client, open_account
from tests.integration.house import COST_MSAT, Address, build, new_address
from tests.integration.service import Service
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint

pytestmark = pytest.mark.integration

# Nineteen pieces and a pause behind each: a stream of three seconds.
LONG = "gpt-4o-mini+delay-150"
FUNDED_MSAT = 999_000
WAIT_MAX_S = 30.0


@pytest.fixture
def address(tmp_path: Path, mint: RealMint, upstream: UpstreamDouble) -> Address:
    return new_address(f"sqlite:///{tmp_path}/ledger.db", mint.url, upstream.base_url)


def wait_for_holds(client: Client, count: int) -> None:
    """Wait until so many requests are being served."""
    deadline_s = time.monotonic() + WAIT_MAX_S
    one_msat = 0
    while not one_msat or client.msat()[1] < count * one_msat:
        assert time.monotonic() < deadline_s
        one_msat = one_msat or client.msat()[1]
        time.sleep(0.02)


def test_running_streams_end_whole_and_are_charged(
    address: Address, mint: RealMint, tmp_path: Path
) -> None:
    with Service(address, tmp_path / "home", {}) as service, ThreadPoolExecutor(4) as threads:
        clients = [open_account(service.base_url, mint.fund(1_000)) for _ in range(4)]
        streams = [threads.submit(each.chat, stream=True, model=LONG) for each in clients]
        for client in clients:
            wait_for_holds(client, 1)

        service.terminate()
        replies = [stream.result() for stream in streams]
        code = service.wait_until_ended()

    assert all(reply.is_whole_stream for reply in replies)
    assert code == 0
    house = build(address)
    try:
        earned_msat = assert_sound(house).books.balances_msat["house:earned"]
        assert earned_msat == 4 * COST_MSAT
        assert_nothing_is_left_to_do(house)
    finally:
        house.close()


def test_a_worker_that_has_only_just_begun_ends_too(address: Address, tmp_path: Path) -> None:
    with Service(address, tmp_path / "home", {}) as service:
        before = set(service.worker_pids())
        service.kill_worker()
        while not set(service.worker_pids()) - before:
            time.sleep(0.001)

        service.terminate()

        assert service.wait_until_ended() == 0
