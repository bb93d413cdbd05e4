"""A process that works at a store as fast as it can, and says what is recorded: killed at will.

Run as `python -m tests.store.hammer WHERE OWNER`; each line on its output is a stream and
a version that the store has acknowledged.
"""

from __future__ import annotations

import sys
from uuid import UUID, uuid4

import gevent

from app.store.group import GroupCommit
from domain.errors import InsufficientFundsError
from domain.ledger import Ledger
from domain.msat import Msat
from tests.domain.given import ALICE, BOB, TERMS, USAGE
from tests.store.places import open_store
from tests.store.work import fund

GREENLETS = 10


def say(stream: UUID, version: int) -> None:
    sys.stdout.write(f"{stream} {version}\n")
    sys.stdout.flush()


def work(ledger: Ledger, account_id: UUID, number: int) -> None:
    while True:
        hold_id = uuid4()
        try:
            ledger.hold(hold_id, account_id, Msat(5_000 + number), TERMS)
        except InsufficientFundsError:
            deposit = fund(ledger, account_id, 200 + number)
            say(deposit.stream, 2)
            continue
        say(hold_id, 1)
        if number % 4 == 0:
            ledger.release(hold_id, account_id, "not served")
        else:
            ledger.charge(hold_id, account_id, Msat(4_000 + number * 300), TERMS, USAGE)
        say(hold_id, 2)


def main(where: str, owner: str) -> None:
    store = open_store(where)
    ledger = Ledger(GroupCommit(store.commit).record, owner)
    for account_id in (ALICE, BOB):
        say(fund(ledger, account_id, 500).stream, 2)
    gevent.joinall(
        [
            gevent.spawn(work, ledger, (ALICE, BOB)[number % 2], number)
            for number in range(GREENLETS)
        ],
        raise_error=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
