"""How much slower honest requests are while 100 clients drip: `python -m tests.bench.slow`.

One gunicorn worker, as `tallystick serve` starts it, before a real mint and the sample
upstream. Rounds with the crowd and without it take turns, so that what else the machine does
falls on both. Every request is paid, and recorded durably, on one connection that is kept.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from time import perf_counter, sleep
from typing import TYPE_CHECKING

import click
import requests

from tests.doubles.upstream import UpstreamDouble
from tests.gateways.conftest import free_port
from tests.integration.client import CHAT, TIMEOUT_S, Client, chat_body, open_account
from tests.integration.dripping import Crowd, slow_body, slow_head, slow_reader
from tests.integration.house import QUESTION, new_address
from tests.integration.mint import RealMint
from tests.integration.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Event

DRIPPERS = 100
SETTLE_S = 1.0
FUNDED_SAT = 1_000_000
MUST_RATIO = 2.0
# Nobody is cut off while it is measured: that would make it easier.
SETTINGS = {
    "WORKERS": "1",
    "HEAD_TIMEOUT_S": "600",
    "BODY_TIMEOUT_S": "600",
    "SEND_TIMEOUT_S": "600",
}


def main() -> None:
    multiprocessing.set_start_method("spawn")
    measure()


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--requests", "count", default=400, show_default=True, help="in each round")
def measure(rounds: int, count: int) -> None:
    """Print p50 and p99 of honest requests in milliseconds, and the ratio."""
    calm: list[float] = []
    crowded: list[float] = []
    with service() as client:
        timed(client, count)
        for place in range(rounds):
            click.echo(f"round {place + 1} of {rounds}", err=True)
            calm += timed(client, count)
            with crowd(client):
                crowded += timed(client, count)
    click.echo("| honest requests | p50 ms | p99 ms |\n|---|---|---|")
    for name, times in (("alone", calm), (f"beside {DRIPPERS} that drip", crowded)):
        click.echo(f"| {name} | {percentile(times, 50):.2f} | {percentile(times, 99):.2f} |")
    ratio = percentile(crowded, 99) / percentile(calm, 99)
    click.echo(f"\np99 is {ratio:.2f} times as long; it must stay below {MUST_RATIO:.0f}.")


def answer(pipe: Connection, over: Event) -> None:
    with UpstreamDouble() as double:
        pipe.send(double.base_url)
        over.wait()


@contextmanager
def service(
    answers: Callable[[Connection, Event], None] = answer,
    settings: Mapping[str, str] = SETTINGS,
) -> Iterator[Client]:
    """Have a service, and an account there; `answers` is the upstream's process."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mint = stack.enter_context(RealMint(free_port(), directory))
        url = f"sqlite:///{directory}/ledger.db"
        address = new_address(url, mint.url, stack.enter_context(upstream(answers)))
        house = stack.enter_context(Service(address, directory / "home", settings))
        yield open_account(house.base_url, mint.fund(FUNDED_SAT))


@contextmanager
def upstream(answers: Callable[[Connection, Event], None]) -> Iterator[str]:
    """Have an upstream in a process of its own, or its work would be timed; yield its URL."""
    over, (ours, theirs) = multiprocessing.Event(), multiprocessing.Pipe()
    process = multiprocessing.Process(target=answers, args=(theirs, over))
    process.start()
    try:
        yield ours.recv()
    finally:
        over.set()
        process.join()


@contextmanager
def crowd(client: Client) -> Iterator[None]:
    """Have a hundred slow clients, in a process that does nothing else."""
    gathered, over = multiprocessing.Event(), multiprocessing.Event()
    process = multiprocessing.Process(target=drip, args=(client, gathered, over))
    process.start()
    gathered.wait()
    # Until the buffers of those who do not read are full.
    sleep(SETTLE_S)
    try:
        yield
    finally:
        over.set()
        process.join()
        while client.msat()[1]:
            sleep(SETTLE_S)


def drip(client: Client, gathered: Event, over: Event) -> None:
    kinds = (slow_head, slow_body, slow_reader)
    with Crowd([kinds[place % 3](client) for place in range(DRIPPERS)]):
        gathered.set()
        over.wait()


def timed(client: Client, count: int) -> list[float]:
    """Return how long each of so many honest requests took, one after the other, in ms."""
    body = chat_body(stream=False, model="gpt-4o-mini", question=QUESTION)
    times = []
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {client.bearer}"
        for _ in range(count):
            began_s = perf_counter()
            answer = session.post(client.base_url + CHAT, json=body, timeout=TIMEOUT_S)
            times.append((perf_counter() - began_s) * 1000)
            answer.raise_for_status()
    return times


def percentile(times: list[float], place: int) -> float:
    return quantiles(times, n=100)[place - 1]


if __name__ == "__main__":
    main()
