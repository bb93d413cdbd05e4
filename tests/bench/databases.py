"""Databases that live as long as a benchmark, and the money in them."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING
from uuid import UUID, uuid4, uuid5

import psycopg

from app.web.visit import new_request_id
from domain.deposit import Claim, Credit, Receive, Received, Signed
from domain.event import Entry
from domain.hold import Charge, Hold, Metered, Terms
from domain.identity import NAMESPACE, prices_of_version
from domain.price_list import fixed
from domain.prices import AdoptPrices
from projections.audit import usage_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from app.store.opening import Store
    from domain.command import Command

POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
GROUP = 200
"""Greenlets a process that wait for the ledger, and so the rows of a full transaction."""

MINT, KEYSET = "https://mint.example.com", "00" + "5e" * 7
FUNDS_MSAT = 1 << 50
BOOK = fixed(Fraction(1), Fraction(1), Fraction(2))
TERMS = Terms(
    model="openai/gpt-4o-mini",
    route="https://api.example.com/v1",
    price_version=BOOK.version,
    btc_usd="97123.45",
)
USAGE = Metered(prompt_tokens=731, completion_tokens=212, cached_tokens=256)
HELD_MSAT = 3_000
COST_MSAT = BOOK.at(None).find(TERMS.model).cost(usage_of(USAGE)).total.msat


@contextmanager
def fresh_database(engine: str) -> Iterator[str]:
    """Make an empty database, yield its URL, remove it."""
    if engine == "sqlite":
        with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as directory:
            yield f"sqlite:///{directory}/ledger.db"
        return
    server = os.environ.get("TEST_DATABASE_URL", POSTGRES)
    name = f"tallystick_bench_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True, connect_timeout=10) as db:
        db.execute(f"CREATE DATABASE {name}")
        try:
            yield server.rpartition("/")[0] + "/" + name
        finally:
            db.execute(f"DROP DATABASE {name} WITH (FORCE)")


def account(number: int) -> UUID:
    return uuid5(NAMESPACE, f"bench:{number}")


def fund(store: Store, accounts: Iterable[UUID]) -> None:
    """Credit `accounts` with more than a benchmark can spend."""
    store.commit(
        [AdoptPrices(prices_of_version(BOOK.version), BOOK.version, BOOK.to_document())]
    )
    commands: list[Command] = []
    for account_id in accounts:
        claim = Claim(
            account_id=account_id,
            mint=MINT,
            unit="msat",
            face_msat=FUNDS_MSAT,
            fee_msat=0,
            sealed=b"",
        )
        commands.append(Receive(uuid4(), claim, KEYSET, (FUNDS_MSAT,)))
    for answers in commit(store, commands):
        store.commit([_credit(answer) for answer in answers])


def pairs(count: int, accounts: int) -> Iterator[Command]:
    """Yield `count` holds and their charges, `GROUP` holds and then their ends."""
    for first in range(0, count, GROUP):
        holds = [
            Hold(
                new_request_id(), account(number % accounts), HELD_MSAT, "process-bench", TERMS
            )
            for number in range(first, min(first + GROUP, count))
        ]
        yield from holds
        for hold in holds:
            yield Charge(hold.stream, hold.account_id, COST_MSAT, TERMS, USAGE)


def commit(store: Store, commands: list[Command]) -> Iterator[list[Entry]]:
    """Commit `commands` in transactions of `GROUP`; yield what each of them came to."""
    for first in range(0, len(commands), GROUP):
        answers = store.commit(commands[first : first + GROUP])
        assert all(isinstance(answer, Entry) for answer in answers)
        yield [answer for answer in answers if isinstance(answer, Entry)]


def _credit(received: Entry) -> Command:
    event = received.event
    assert isinstance(event, Received)
    proof = Signed(
        keyset_id=KEYSET,
        counter=event.plan.counter_from,
        amount=FUNDS_MSAT,
        c="02" + "c5" * 32,
        e="e5" * 32,
        s="55" * 32,
    )
    return Credit(received.stream, received.version, event, (proof,))
