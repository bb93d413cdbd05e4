"""One process of load, a worker's wiring without the web: 200 greenlets hold and charge.

Run under gevent as a worker is: `python -m gevent.monkey --module tests.bench.load URL
ACCOUNTS SECONDS`. Says "ready", waits for a line, and answers with one line of JSON.
"""

from __future__ import annotations

import json
import sys
from itertools import count
from random import Random
from time import monotonic, process_time
from typing import TYPE_CHECKING
from uuid import uuid4

import gevent

from app.store.opening import open_store
from app.store.threads import in_groups
from app.web.visit import new_request_id
from domain.ledger import Ledger
from domain.msat import Msat
from tests.bench.databases import COST_MSAT, GROUP, HELD_MSAT, TERMS, USAGE, account

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

WARM_S = 0.3
HELD, COST = Msat(HELD_MSAT), Msat(COST_MSAT)


def run(ledger: Ledger, accounts: Sequence[UUID], seconds: float) -> tuple[int, float, float]:
    """Hold and charge in `GROUP` greenlets; return pairs, seconds and CPU seconds."""
    done = count()
    choose = Random().choice  # noqa: S311  (which account is no secret)
    started, cpu = monotonic(), process_time()
    until = started + seconds

    def requests() -> None:
        while monotonic() < until:
            hold_id, account_id = new_request_id(), choose(accounts)
            ledger.hold(hold_id, account_id, HELD, TERMS)
            ledger.charge(hold_id, account_id, COST, TERMS, USAGE)
            next(done)

    gevent.joinall([gevent.spawn(requests) for _ in range(GROUP)], raise_error=True)
    return next(done), monotonic() - started, process_time() - cpu


def main(url: str, accounts: str, seconds: str) -> None:
    store, _ = open_store(url)
    ledger = Ledger(in_groups(store), owner=f"process-{uuid4().hex}")
    chosen = [account(number) for number in range(int(accounts))]
    run(ledger, chosen, WARM_S)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    pairs, wall_s, cpu_s = run(ledger, chosen, float(seconds))
    json.dump({"pairs": pairs, "wall_s": wall_s, "cpu_s": cpu_s}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
