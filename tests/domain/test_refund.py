from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.deposit import Plan, Signed
from domain.errors import (
    KeysetTakenError,
    MovementEndedError,
    NothingToRefundError,
    PurseShortError,
    UnknownAccountError,
    UnknownMovementError,
)
from domain.guards import (
    FREE,
    ISSUED,
    OUT,
    REFUND,
    RESERVED,
    AccountRow,
    GuardRows,
    MovementRow,
    ProofKey,
)
from domain.purse import Purse, Spent
from domain.refund import (
    Cancel,
    Cancelled,
    Collect,
    Collected,
    Draft,
    Issue,
    Issued,
    Redraft,
    Redrafted,
    Start,
    Started,
)
from tests.domain.given import (
    ALICE,
    BOB,
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

REFUND_ID = name(300)
OTHER_KEYSET = "00ffffffffffffff"
HISTORY = deposited()


def spent(*amounts: int) -> list[Spent]:
    return [
        Spent(keyset_id=KEYSET, counter=counter, amount=amount)
        for counter, amount in enumerate(amounts)
    ]


def start(amount_msat: int | None = None, purse: Purse = PURSE) -> Start:
    return Start(REFUND_ID, ALICE, purse, amount_msat)


def started(amount_msat: int | None = None, purse: Purse = PURSE) -> Entry:
    return made(start(amount_msat, purse), fold(*HISTORY))


def draft_of(entry: Entry) -> Draft:
    assert isinstance(entry.event, Started | Redrafted)
    return entry.event.draft


def issue(begun: Entry, draft: Draft | None = None) -> Issue:
    draft = draft or draft_of(begun)
    return Issue(begun.stream, begun.version, draft, signed(draft.plan))


def cancel(begun: Entry) -> Cancel:
    return Cancel(begun.stream, begun.version, draft_of(begun), "inputs refused")


def collect(issued: Entry) -> Collect:
    assert isinstance(issued.event, Issued)
    return Collect(issued.stream, issued.version, issued.event)


def states(rows: GuardRows) -> dict[str, int]:
    """What the proofs of each state are worth together."""
    told: dict[str, int] = {}
    for proof in rows.proofs.rows.values():
        told[proof.state] = told.get(proof.state, 0) + proof.amount
    return told


def test_a_refund_takes_all_that_is_available_and_sets_proofs_aside() -> None:
    rows = fold(*HISTORY)

    entry = made(start(), rows)

    draft = draft_of(entry)
    assert isinstance(entry.event, Started)
    assert (draft.taken_msat, draft.token_msat, draft.fee_msat) == (100_000, 100_000, 0)
    assert draft.plan == Plan(keyset_id=KEYSET, counter_from=3, amounts=(4, 32, 64))
    assert draft.send_count == 3
    assert rows.accounts.get(ALICE) == AccountRow(0, 0, MINT, "sat")
    assert states(rows) == {RESERVED: 100}
    assert rows.movements.get(REFUND_ID) == MovementRow(REFUND, 1, ALICE, MINT, LATER)


def test_part_of_it_can_be_asked_for_and_the_rest_comes_back_as_change() -> None:
    rows = fold(*HISTORY)

    draft = draft_of(made(start(50_999), rows))

    assert (draft.taken_msat, draft.token_msat) == (50_000, 50_000)
    assert [proof.amount for proof in draft.inputs] == [64]
    assert draft.plan.amounts == (2, 16, 32, 2, 4, 8)
    assert draft.send_count == 3
    assert states(rows) == {FREE: 36, RESERVED: 64}
    assert rows.accounts.get(ALICE) == AccountRow(50_000, 0, MINT, "sat")


def test_more_than_is_available_is_never_taken() -> None:
    assert draft_of(started(10**9)).taken_msat == 100_000


def test_the_fee_of_the_mint_comes_out_of_what_was_asked_for() -> None:
    draft = draft_of(started(purse=Purse(MINT, "sat", KEYSET, {KEYSET: 400})))

    assert (draft.taken_msat, draft.token_msat, draft.fee_msat) == (100_000, 98_000, 2_000)
    assert sum(draft.plan.amounts) == 98


def test_a_fee_is_rounded_up_and_none_is_none() -> None:
    purse = Purse(MINT, "sat", KEYSET, {KEYSET: 1})

    assert purse.fee(spent(1)) == 1
    assert purse.fee(spent(*[1] * 1000)) == 1
    assert purse.fee(spent(*[1] * 1001)) == 2
    assert PURSE.fee(spent(1, 2)) == 0


def test_less_than_one_unit_cannot_be_refunded() -> None:
    with pytest.raises(NothingToRefundError) as dust:
        started(999)

    assert dust.value.available_msat == 100_000
    assert "too small" in str(dust.value)


def test_an_empty_account_has_nothing_to_refund() -> None:
    rows = fold(*HISTORY)
    made(start(), rows)

    with pytest.raises(NothingToRefundError, match="No balance to refund"):
        made(Start(name(301), ALICE, PURSE), rows)


def test_what_the_fee_would_eat_is_not_refunded() -> None:
    with pytest.raises(NothingToRefundError) as eaten:
        started(1_000, Purse(MINT, "sat", KEYSET, {KEYSET: 1000}))

    assert eaten.value.fee_msat == 1_000


def test_a_purse_without_proofs_refunds_nothing() -> None:
    elsewhere = Purse("https://other.example", "sat", OTHER_KEYSET, {})

    with pytest.raises(PurseShortError):
        made(start(purse=elsewhere), fold(*HISTORY))


def test_a_short_purse_refunds_what_it_has() -> None:
    rows = fold(*HISTORY)
    rows.proofs.drop(ProofKey(KEYSET, 2))

    draft = draft_of(made(start(), rows))

    assert draft.taken_msat == 36_000
    assert rows.accounts.get(ALICE) == AccountRow(64_000, 0, MINT, "sat")


def test_a_refund_that_must_be_whole_is_not_begun_with_a_short_purse() -> None:
    whole = Start(REFUND_ID, ALICE, PURSE, whole=True)
    short = fold(*HISTORY)
    short.proofs.drop(ProofKey(KEYSET, 2))

    with pytest.raises(PurseShortError):
        made(whole, short)

    assert draft_of(made(whole, fold(*HISTORY))).taken_msat == 100_000


def test_proofs_that_are_wanted_first_are_taken_if_they_are_enough() -> None:
    both = [*HISTORY, *deposited(name(101), BOB, counter_from=3)]
    own = frozenset(ProofKey(KEYSET, counter) for counter in (3, 4, 5))
    fewer = fold(*both)
    fewer.proofs.drop(ProofKey(KEYSET, 5))
    command = Start(REFUND_ID, ALICE, PURSE, first=own)

    enough, too_few = made(command, fold(*both)), made(command, fewer)

    assert {spent.key for spent in draft_of(enough).inputs} == own
    assert draft_of(too_few).taken_msat == 100_000


def test_proofs_of_another_unit_or_already_set_aside_are_left_alone() -> None:
    rows = fold(*HISTORY, *deposited(name(101), BOB, counter_from=3))
    first = made(start(), rows)

    second = made(Start(name(301), BOB, PURSE), rows)

    assert not set(draft_of(first).inputs) & set(draft_of(second).inputs)
    with pytest.raises(PurseShortError):
        made(start(purse=Purse(MINT, "msat", OTHER_KEYSET, {})), fold(*HISTORY))


def test_nobody_is_refunded_who_never_paid() -> None:
    with pytest.raises(UnknownAccountError) as unknown:
        made(Start(REFUND_ID, BOB, PURSE), fold(*HISTORY))

    assert unknown.value.account_id == BOB


def test_a_refund_begun_twice_is_begun_once() -> None:
    begun = started()

    again = made(start(), fold(*HISTORY, begun), begun)

    assert again == begun


def test_a_refund_that_has_ended_is_not_begun_again() -> None:
    begun = started()
    end = made(cancel(begun), fold(*HISTORY, begun), begun)

    again = made(start(), fold(*HISTORY, begun, end), begun, end)

    assert again == end


def test_refused_outputs_are_asked_of_another_keyset() -> None:
    begun = started()
    rows = fold(*HISTORY, begun)

    entry = made(Redraft(REFUND_ID, 1, draft_of(begun), OTHER_KEYSET), rows, begun)

    plan = Plan(keyset_id=OTHER_KEYSET, counter_from=0, amounts=(4, 32, 64))
    assert isinstance(entry.event, Redrafted)
    assert draft_of(entry).plan == plan
    assert draft_of(entry).inputs == draft_of(begun).inputs
    assert rows.movements.get(REFUND_ID) == MovementRow(REFUND, 2, ALICE, MINT, LATER)
    assert states(rows) == {RESERVED: 100}


def test_a_redraft_gains_nothing_from_a_keyset_of_another_mint() -> None:
    begun = started()
    rows = fold(*HISTORY, begun)
    rows.use_counters(OTHER_KEYSET, "https://evil.example", "sat", 0, 1)

    with pytest.raises(KeysetTakenError):
        made(Redraft(REFUND_ID, 1, draft_of(begun), OTHER_KEYSET), rows, begun)


def test_who_redrafts_too_late_is_told_what_happened_meanwhile() -> None:
    begun = started()
    issued = made(issue(begun), fold(*HISTORY, begun), begun)
    late = Redraft(REFUND_ID, 1, draft_of(begun), OTHER_KEYSET)

    assert made(late, fold(*HISTORY, begun, issued), begun, issued) == issued


def test_an_issued_token_is_ours_to_remember_until_it_is_collected() -> None:
    begun = started(50_000)
    rows = fold(*HISTORY, begun)

    issued = made(issue(begun), rows, begun)

    assert isinstance(issued.event, Issued)
    assert [proof.amount for proof in issued.event.token_proofs] == [2, 16, 32]
    assert states(rows) == {FREE: 50, OUT: 50}
    assert rows.movements.get(REFUND_ID) == MovementRow(ISSUED, 2, ALICE, MINT, LATER)


def test_a_collected_token_is_forgotten() -> None:
    begun = started(50_000)
    issued = made(issue(begun), fold(*HISTORY, begun), begun)
    rows = fold(*HISTORY, begun, issued)

    entry = made(collect(issued), rows, begun, issued)

    assert isinstance(entry.event, Collected)
    assert entry.event.token_msat == 50_000
    assert states(rows) == {FREE: 50}
    assert rows.movements.get(REFUND_ID) is None


def test_a_cancelled_refund_gives_everything_back() -> None:
    begun = started(50_000)
    rows = fold(*HISTORY, begun)

    entry = made(cancel(begun), rows, begun)

    assert isinstance(entry.event, Cancelled)
    assert entry.event.reason == "inputs refused"
    assert rows.accounts.get(ALICE) == AccountRow(100_000, 0, MINT, "sat")
    assert states(rows) == {FREE: 100}
    assert rows.movements.get(REFUND_ID) is None


def test_only_proofs_that_are_still_there_are_set_aside_or_freed() -> None:
    begun = started()
    lost = fold(*HISTORY)
    lost.proofs.drop(ProofKey(KEYSET, 0))

    begun.event.apply(lost, REFUND_ID, 1)
    reserved = states(lost)
    made(cancel(begun), lost, begun)

    assert reserved == {RESERVED: 96}
    assert states(lost) == {FREE: 96}


def test_each_step_is_recorded_once_and_then_repeated() -> None:
    begun = started()
    issued = made(issue(begun), fold(*HISTORY, begun), begun)
    collected = made(collect(issued), fold(*HISTORY, begun, issued), begun, issued)
    cancelled = made(cancel(begun), fold(*HISTORY, begun), begun)

    rows = fold(*HISTORY, begun, issued, collected)
    assert made(issue(begun), fold(*HISTORY, begun, issued), begun, issued) == issued
    assert made(issue(begun), rows, begun, issued, collected) == issued
    assert made(collect(issued), rows, begun, issued, collected) == collected
    assert made(cancel(begun), fold(*HISTORY, begun, cancelled), begun, cancelled) == cancelled


def test_a_refund_has_one_end_only() -> None:
    begun = started()
    issued = made(issue(begun), fold(*HISTORY, begun), begun)
    cancelled = made(cancel(begun), fold(*HISTORY, begun), begun)

    with pytest.raises(MovementEndedError) as after_issue:
        made(cancel(begun), fold(*HISTORY, begun, issued), begun, issued)
    with pytest.raises(MovementEndedError) as after_cancel:
        made(issue(begun), fold(*HISTORY, begun, cancelled), begun, cancelled)

    assert after_issue.value.end == issued.event
    assert after_cancel.value.end == cancelled.event


def test_what_was_never_begun_cannot_go_on() -> None:
    begun = started()
    issued = made(issue(begun), fold(*HISTORY, begun), begun)
    commands: list[Command] = [
        issue(begun),
        cancel(begun),
        collect(issued),
        Redraft(REFUND_ID, 1, draft_of(begun), OTHER_KEYSET),
    ]

    for command in commands:
        with pytest.raises(UnknownMovementError):
            made(command, fold(*HISTORY))


def test_a_token_in_msat_is_made_of_msat() -> None:
    rows = GuardRows()
    proof = Signed(keyset_id=KEYSET, counter=0, amount=8, c="c")
    rows.add(ALICE, 8)
    rows.proofs.put(
        proof.key, fold(*HISTORY).proofs.rows[proof.key]._replace(unit="msat", amount=8)
    )

    draft = draft_of(made(start(purse=Purse(MINT, "msat", KEYSET, {})), rows))

    assert (draft.taken_msat, draft.plan.amounts) == (8, (8,))
