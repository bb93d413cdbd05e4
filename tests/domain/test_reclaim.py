from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from domain.command import Needs
from domain.errors import FeeTooHighError, MovementEndedError, UnknownMovementError
from domain.guards import REFUND, SWEEP, AccountRow, MovementRow
from domain.identity import OWNER
from domain.posting import (
    FEES_MINT,
    REFUNDS_IN_FLIGHT,
    TOKENS_OUTSTANDING,
    Posting,
    available,
    postings,
)
from domain.purse import Purse, Spent
from domain.reclaim import Recall, Recalled, StartSweep, Sweep, SweepStarted, Swept
from domain.refund import Cancel, Cancelled, Collect, Collected, Issue, Issued, Start, Started
from tests.domain.given import (
    ALICE,
    KEYSET,
    LATER,
    MINT,
    PURSE,
    deposited,
    fold,
    made,
    name,
    signed,
)

if TYPE_CHECKING:
    from domain.command import Command
    from domain.event import Entry
    from domain.guards import GuardRows

REFUND_ID = name(300)
HISTORY = deposited()
DEAR = Purse(MINT, "sat", KEYSET, {KEYSET: 700})
EATS_ALL = Purse(MINT, "sat", KEYSET, {KEYSET: 100_000})


def begun(amount_msat: int | None = None) -> Entry:
    return made(Start(REFUND_ID, ALICE, PURSE, amount_msat), fold(*HISTORY))


def recall(entry: Entry, purse: Purse = DEAR) -> Recall:
    assert isinstance(entry.event, Started | Recalled)
    return Recall(REFUND_ID, entry.version, entry.event.draft, purse, "refused")


def recalled() -> tuple[Entry, Entry]:
    first = begun()
    return first, made(recall(first), fold(*HISTORY, first), first)


def issued(amount_msat: int | None = 50_000) -> tuple[Entry, Entry]:
    first = begun(amount_msat)
    assert isinstance(first.event, Started)
    draft = first.event.draft
    command = Issue(REFUND_ID, 1, draft, signed(draft.plan))
    return first, made(command, fold(*HISTORY, first), first)


def start_sweep(entry: Entry, *, left: int | None = None, purse: Purse = DEAR) -> StartSweep:
    """Sweep a token, or only the last `left` of its proofs."""
    assert isinstance(entry.event, Issued)
    token = entry.event.token
    unspent = token if left is None else token[-left:]
    return StartSweep(REFUND_ID, entry.version, ALICE, token, unspent, purse)


def sweeping(*, left: int | None = None) -> tuple[Entry, Entry, Entry]:
    first, token = issued()
    entry = made(start_sweep(token, left=left), fold(*HISTORY, first, token), first, token)
    return first, token, entry


def sweep(entry: Entry) -> Sweep:
    assert isinstance(entry.event, SweepStarted)
    proofs = signed(entry.event.swap.plan)
    return Sweep(REFUND_ID, entry.version, entry.event, proofs)


def worth(rows: GuardRows) -> dict[str, int]:
    told: dict[str, int] = {}
    for row in rows.proofs.rows.values():
        told[row.state] = told.get(row.state, 0) + row.amount
    return told


def test_the_inputs_of_a_refused_token_are_about_to_be_swapped_to_ourselves() -> None:
    first = begun()
    rows = fold(*HISTORY, first)

    entry = made(recall(first), rows, first)

    assert isinstance(entry.event, Recalled)
    swap = entry.event.swap
    assert isinstance(first.event, Started)
    assert swap.inputs == first.event.draft.inputs
    assert (swap.plan.counter_from, swap.plan.amounts) == (6, (1, 32, 64))
    assert swap.fee_msat == 3_000
    assert rows.movements.get(REFUND_ID) == MovementRow(REFUND, 2, ALICE, MINT, LATER)
    assert worth(rows) == {"reserved": 100}
    assert postings(entry.event) == []


def test_the_account_gets_all_of_it_back_and_the_house_pays_the_fee() -> None:
    first, back = recalled()
    assert isinstance(back.event, Recalled)
    rows = fold(*HISTORY, first, back)
    swap = back.event.swap
    command = Cancel(REFUND_ID, 2, back.event.draft, "refused", signed(swap.plan), 3_000)

    entry = made(command, rows, first, back)

    assert isinstance(entry.event, Cancelled)
    assert rows.accounts.get(ALICE) == AccountRow(100_000, 0, MINT, "sat")
    assert worth(rows) == {"free": 97}
    assert rows.movements.get(REFUND_ID) is None
    assert postings(entry.event) == [
        Posting(REFUNDS_IN_FLIGHT, available(ALICE), 100_000),
        Posting(FEES_MINT, f"mint:{MINT}", 3_000),
    ]


def test_a_token_that_was_made_after_all_is_issued_though_it_was_recalled() -> None:
    first, back = recalled()
    assert isinstance(first.event, Started)
    rows = fold(*HISTORY, first, back)
    draft = first.event.draft

    entry = made(Issue(REFUND_ID, 2, draft, signed(draft.plan)), rows, first, back)

    assert isinstance(entry.event, Issued)
    assert entry.event.draft == draft
    assert worth(rows) == {"out": 100}


def test_an_uncollected_token_is_taken_back_into_its_account() -> None:
    first, token, started = sweeping()
    rows = fold(*HISTORY, first, token, started)
    assert rows.movements.get(REFUND_ID) == MovementRow(SWEEP, 3, ALICE, MINT, LATER)

    entry = made(sweep(started), rows, first, token, started)

    assert isinstance(entry.event, Swept)
    assert rows.accounts.get(ALICE) == AccountRow(97_000, 0, MINT, "sat")
    assert worth(rows) == {"free": 97}
    assert rows.movements.get(REFUND_ID) is None
    assert postings(entry.event) == [
        Posting(TOKENS_OUTSTANDING, available(ALICE), 50_000),
        Posting(available(ALICE), f"mint:{MINT}", 3_000),
    ]


def test_what_of_a_token_was_collected_does_not_come_back() -> None:
    first, token, started = sweeping(left=1)
    rows = fold(*HISTORY, first, token, started)

    entry = made(sweep(started), rows, first, token, started)

    assert rows.accounts.get(ALICE) == AccountRow(81_000, 0, MINT, "sat")
    assert worth(rows) == {"free": 81}
    assert postings(entry.event) == [
        Posting(TOKENS_OUTSTANDING, available(ALICE), 32_000),
        Posting(available(ALICE), f"mint:{MINT}", 1_000),
        Posting(TOKENS_OUTSTANDING, f"mint:{MINT}", 18_000),
    ]


def test_a_token_collected_while_it_is_being_taken_back_was_collected() -> None:
    """M44: whoever was quicker at the mint, has it."""
    first, token, started = sweeping()
    rows = fold(*HISTORY, first, token, started)
    assert isinstance(token.event, Issued)

    entry = made(Collect(REFUND_ID, 3, token.event), rows, first, token, started)

    assert isinstance(entry.event, Collected)
    assert rows.accounts.get(ALICE) == AccountRow(50_000, 0, MINT, "sat")
    assert worth(rows) == {"free": 50}
    with pytest.raises(MovementEndedError):
        made(sweep(started), rows, first, token, started, entry)


def test_a_sweep_can_be_begun_anew_with_fewer_proofs() -> None:
    first, token, started = sweeping()
    rows = fold(*HISTORY, first, token, started)
    command = start_sweep(token, left=2)
    again = StartSweep(REFUND_ID, 3, ALICE, command.token, command.unspent, DEAR)

    entry = made(again, rows, first, token, started)

    assert isinstance(entry.event, SweepStarted)
    assert entry.version == 4
    assert [spent.amount for spent in entry.event.swap.inputs] == [16, 32]
    assert isinstance(started.event, SweepStarted)
    used = started.event.swap.plan
    assert entry.event.swap.plan.counter_from == used.counter_from + len(used.amounts)


def test_what_the_fee_would_eat_is_not_taken_back() -> None:
    first, token = issued()
    rows = fold(*HISTORY, first, token)

    with pytest.raises(FeeTooHighError):
        made(start_sweep(token, purse=EATS_ALL), rows, first, token)
    with pytest.raises(FeeTooHighError):
        made(recall(first, EATS_ALL), fold(*HISTORY, first), first)


def test_each_step_is_recorded_once_and_then_repeated() -> None:
    first, back = recalled()
    _, token, started = sweeping()
    swept = made(sweep(started), fold(*HISTORY, first, token, started), first, token, started)
    whole = (first, token, started, swept)

    assert made(recall(first), fold(*HISTORY, first, back), first, back) == back
    assert made(start_sweep(token), fold(*HISTORY, *whole[:3]), *whole[:3]) == started
    assert made(sweep(started), fold(*HISTORY, *whole), *whole) == swept


def test_what_was_never_begun_cannot_go_on() -> None:
    first, token, started = sweeping()
    commands: list[Command] = [recall(first), start_sweep(token), sweep(started)]

    for command in commands:
        with pytest.raises(UnknownMovementError):
            made(command, fold(*HISTORY))


def test_a_tokens_proofs_are_named_as_whoever_spends_them_names_them() -> None:
    _, token = issued()

    assert isinstance(token.event, Issued)
    assert token.event.token == tuple(
        Spent(keyset_id=KEYSET, counter=counter, amount=amount)
        for counter, amount in enumerate((2, 16, 32), 3)
    )


def test_what_the_owner_drew_and_nobody_collected_is_the_houses_again() -> None:
    _, _, started = sweeping()
    owners = started._replace(event=msgspec.structs.replace(started.event, account_id=OWNER))
    needs = Needs()
    sweep(owners).need(needs)
    event = msgspec.structs.replace(
        made(sweep(started), fold(*HISTORY, *sweeping()), *sweeping()).event, account_id=OWNER
    )

    assert needs.accounts == set()
    assert {arrow.destination for arrow in postings(event)} >= {"house:drawn"}
