"""Facts and wishes that tests of the books begin with, at one mint on one day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from domain.batch import decide
from domain.deposit import Claim, Credit, Plan, Receive, Received, Signed
from domain.errors import LedgerError
from domain.event import Entry
from domain.guards import GuardRows
from domain.hold import Hold, Metered, Terms
from domain.purse import Purse, split

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.batch import Answer
    from domain.command import Command

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = AT + timedelta(hours=7)
MINT = "https://mint.example"
KEYSET = "00deadbeef012345"
TERMS = Terms(model="gpt-x", route="main", price_version="p1", btc_usd="50000")
USAGE = Metered(prompt_tokens=10, completion_tokens=5)
PURSE = Purse(MINT, "sat", KEYSET, {})


def name(number: int) -> UUID:
    """A movement or an account of its own for each number."""
    return UUID(int=number, version=4)


ALICE, BOB = name(1), name(2)
DEPOSIT_ID, HOLD_ID = name(100), name(200)


def claim(
    account_id: UUID = ALICE, face_sat: int = 100, fee_sat: int = 0, mint: str = MINT
) -> Claim:
    return Claim(
        account_id=account_id,
        mint=mint,
        unit="sat",
        face_msat=face_sat * 1000,
        fee_msat=fee_sat * 1000,
        sealed=b"sealed",
    )


def signed(plan: Plan) -> tuple[Signed, ...]:
    """What an honest mint signs when it is asked for `plan`."""
    return tuple(
        Signed(
            keyset_id=plan.keyset_id, counter=plan.counter_from + place, amount=amount, c="c"
        )
        for place, amount in enumerate(plan.amounts)
    )


def fold(*entries: Entry) -> GuardRows:
    rows = GuardRows()
    for stream, version, event in entries:
        event.apply(rows, stream, version)
    return rows


def answers(
    commands: Iterable[Command], rows: GuardRows, history: Iterable[Entry] = ()
) -> list[Answer | None]:
    """What each of `commands` is answered, with `history` in the log."""
    told: dict[UUID, list[Entry]] = {}
    for entry in history:
        told.setdefault(entry.stream, []).append(entry)
    commands = list(commands)
    for command in commands:
        told.setdefault(command.stream, [])
    return decide(commands, rows, LATER, told).answers


def made(command: Command, rows: GuardRows, *history: Entry) -> Entry:
    """The entry that `command` comes to; raises what it fails with."""
    (answer,) = answers([command], rows, history)
    if isinstance(answer, LedgerError):
        raise answer
    assert answer is not None
    return answer


def received(
    stream: UUID = DEPOSIT_ID,
    account_id: UUID = ALICE,
    sat: int = 100,
    fee_sat: int = 0,
    counter_from: int = 0,
) -> Entry:
    plan = Plan(keyset_id=KEYSET, counter_from=counter_from, amounts=split(sat - fee_sat))
    event = Received(at=AT, claim=claim(account_id, sat, fee_sat), plan=plan)
    return Entry(stream, 1, event)


def credited(begun: Entry) -> Entry:
    """The credit that ends a deposit just begun."""
    intent = begun.event
    assert isinstance(intent, Received)
    command = Credit(begun.stream, begun.version, intent, signed(intent.plan))
    return made(command, fold(begun), begun)


def deposited(
    stream: UUID = DEPOSIT_ID, account_id: UUID = ALICE, sat: int = 100, counter_from: int = 0
) -> tuple[Entry, Entry]:
    """A deposit from its beginning to its end."""
    begun = received(stream, account_id, sat, counter_from=counter_from)
    return begun, credited(begun)


def hold(stream: UUID = HOLD_ID, amount_msat: int = 60_000, account_id: UUID = ALICE) -> Hold:
    return Hold(stream, account_id, amount_msat, "worker-1", TERMS)


def receive(stream: UUID = DEPOSIT_ID, account_id: UUID = ALICE, sat: int = 100) -> Receive:
    return Receive(stream, claim(account_id, sat), KEYSET, split(sat))
