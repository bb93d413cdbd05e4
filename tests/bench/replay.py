"""What a log costs as it grows, and how fast it is read again from the beginning."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from app.store.opening import open_store
from projections.follow import rebuild, verify
from projections.journal import JOURNAL
from tests.bench.databases import account, commit, fresh_database, fund, pairs
from tests.gateways.conftest import free_port
from tests.integration.house import new_address
from tests.integration.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.store.opening import Store
    from tests.integration.house import Address

ACCOUNTS = 100
SMALL_EVENTS = 1_000
SAMPLE_PAIRS = 2_000
AT_ONCE = 50_000
SAID_EVERY = 1_000_000
JOURNAL_EVENTS = 20_000


@dataclass(frozen=True)
class Speed:
    """Events a second, and CPU microseconds of ours for each."""

    events_per_s: float
    cpu_us: float

    def __str__(self) -> str:
        return f"{self.events_per_s:,.0f} ({self.cpu_us:.1f})"


@dataclass(frozen=True)
class Replay:
    """CPU microseconds a pair in a small and in a big log; its bytes; events a second.

    `start_s` are the seconds from `tallystick serve` until its worker answers: with an empty
    ledger, and with the big one.
    """

    events: str
    start_s: str
    small_us: str
    big_us: str
    state_bytes: str
    disk_bytes: str
    verify: Speed
    guards: Speed
    journal: Speed


def measure(engine: str, events: int, say: Callable[[str], None]) -> Replay:
    """Grow a log of pairs to `events`, timing pairs on the way, then read it all again."""
    with fresh_database(engine) as url:
        nobody = f"http://127.0.0.1:{free_port()}"
        # One seed for both starts: what the first has signed is there at the second.
        address = new_address(url, nobody, f"{nobody}/v1")
        empty_s = _start_s(address)
        store, _ = open_store(url)
        fund(store, map(account, range(ACCOUNTS)))
        _grow(store, SMALL_EVENTS, say)
        small_us = _cost_us(store)
        say(f"{engine}: growing the log to {events:,} events")
        _grow(store, events, say)
        big_us = _cost_us(store)
        head = store.head()
        state_bytes, disk_bytes = _bytes(store)
        full_s = _start_s(address)
        say(f"{engine}: verify")
        verified = _speed(head, lambda: _verified(store))
        say(f"{engine}: rebuild")
        guards = _speed(head, lambda: rebuild(store, [], _quietly))
        journal = _speed(JOURNAL_EVENTS, lambda: _follow(store))
        store.close()
    return Replay(
        events=f"{head:,}",
        start_s=f"{empty_s:.1f}, {full_s:.1f}",
        small_us=f"{small_us:.0f}",
        big_us=f"{big_us:.0f}",
        state_bytes=f"{state_bytes / head:.0f}",
        disk_bytes=f"{disk_bytes / head:.0f}",
        verify=verified,
        guards=guards,
        journal=journal,
    )


def _grow(store: Store, events: int, say: Callable[[str], None]) -> None:
    """Let the log have `events`; takes some five seconds for a quarter of a million."""
    head = store.head()
    left = max(0, events - head) // 2
    while left > 0:
        for _ in commit(store, list(pairs(min(left, AT_ONCE), ACCOUNTS))):
            pass
        left -= AT_ONCE
        if store.head() // SAID_EVERY > head // SAID_EVERY:
            head = store.head()
            say(f"{head:,} events")


def _start_s(address: Address) -> float:
    """Return how long the whole service takes until it answers."""
    began = perf_counter()
    with tempfile.TemporaryDirectory() as home, Service(address, Path(home), {"WORKERS": "1"}):
        return perf_counter() - began


def _cost_us(store: Store) -> float:
    commands = list(pairs(SAMPLE_PAIRS, ACCOUNTS))
    started = process_time()
    for _ in commit(store, commands):
        pass
    return (process_time() - started) / SAMPLE_PAIRS * 1e6


def _bytes(store: Store) -> tuple[int, int]:
    """Return how long all states are together, and the whole database on the disk."""
    size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    if store.engine != "sqlite":
        size = "SELECT pg_database_size(current_database())"
    with store.snapshot() as query:
        states = query("SELECT SUM(LENGTH(state)) FROM stored_events")[0][0]
        return int(states), int(query(size)[0][0])


def _verified(store: Store) -> None:
    difference = verify(store, _quietly)
    assert difference is None, difference


def _follow(store: Store) -> None:
    """Write the journal of the first `JOURNAL_EVENTS`; the service may have begun with it."""
    store.forget(JOURNAL.name)
    after = 0
    for page in store.log(after, JOURNAL_EVENTS):
        assert store.follow(JOURNAL.name, after, page)
        after = page[-1].position


def _speed(events: int, act: Callable[[], None]) -> Speed:
    started, cpu = perf_counter(), process_time()
    act()
    cpu_us = (process_time() - cpu) / events * 1e6
    return Speed(events / (perf_counter() - started), cpu_us)


def _quietly(_done: int, _all: int) -> None:
    """Show no progress: it would be timed as well."""
