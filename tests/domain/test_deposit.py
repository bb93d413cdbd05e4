from __future__ import annotations

import pytest

from domain.deposit import (
    Claim,
    Credit,
    Credited,
    Plan,
    Receive,
    Received,
    Refuse,
    Refused,
    Replan,
    Replanned,
    Signed,
    owner_of,
)
from domain.errors import (
    KeysetTakenError,
    LedgerBrokenError,
    MovementEndedError,
    TokenTakenError,
    UnknownMovementError,
)
from domain.event import Entry
from domain.guards import (
    DEPOSIT,
    FREE,
    AccountRow,
    GuardRows,
    KeysetRow,
    MovementRow,
    ProofKey,
    ProofRow,
)
from tests.domain.given import (
    ALICE,
    AT,
    BOB,
    KEYSET,
    LATER,
    MINT,
    claim,
    credited,
    deposited,
    fold,
    made,
    name,
    receive,
    received,
    signed,
)

TOKEN = name(100)
OTHER_KEYSET = "00ffffffffffffff"


def intent_of(entry: Entry) -> Received | Replanned:
    assert isinstance(entry.event, Received | Replanned)
    return entry.event


def credit(begun: Entry, proofs: tuple[Signed, ...] | None = None) -> Credit:
    intent = intent_of(begun)
    kept = signed(intent.plan) if proofs is None else proofs
    return Credit(begun.stream, begun.version, intent, kept)


def refuse(begun: Entry, *, final: bool = False) -> Refuse:
    return Refuse(begun.stream, begun.version, intent_of(begun), 11001, "spent", final)


def replan(after: Entry) -> Replan:
    return Replan(TOKEN, after.version, claim(), OTHER_KEYSET, (100,))


def test_a_token_is_recorded_before_it_is_swapped() -> None:
    rows = GuardRows()

    entry = made(receive(), rows)

    plan = Plan(keyset_id=KEYSET, counter_from=0, amounts=(4, 32, 64))
    assert entry == Entry(TOKEN, 1, Received(at=LATER, claim=claim(), plan=plan))
    assert rows.movements.get(TOKEN) == MovementRow(DEPOSIT, 1, ALICE, MINT, LATER)
    assert rows.accounts.get(ALICE) is None


def test_no_counter_is_ever_used_for_two_outputs() -> None:
    rows = GuardRows()

    plans = [intent_of(made(receive(name(n), sat=7), rows)).plan for n in (1, 2, 3)]

    assert [plan.counter_from for plan in plans] == [0, 3, 6]
    assert rows.keysets.get(KEYSET) == KeysetRow(MINT, "sat", 9)


def test_a_second_mint_gains_nothing_by_showing_the_keyset_of_the_first() -> None:
    rows = fold(*deposited())
    stolen = Receive(name(101), claim(mint="https://evil.example"), KEYSET, (64,))

    with pytest.raises(KeysetTakenError):
        made(stolen, rows)


def test_a_token_is_credited_when_the_mint_has_signed() -> None:
    begun = received(fee_sat=3)
    rows = fold(begun)

    entry = made(credit(begun), rows, begun)

    assert isinstance(entry.event, Credited)
    assert entry.version == 2
    assert entry.event.credited_msat == 97_000
    assert rows.accounts.get(ALICE) == AccountRow(97_000, 0, MINT, "sat")
    assert rows.movements.get(TOKEN) is None
    assert sum(proof.amount for proof in rows.proofs.rows.values()) == 97
    assert rows.proofs.get(ProofKey(KEYSET, 0)) == ProofRow(
        MINT, "sat", 1, FREE, None, "c", "", ""
    )


def test_a_refused_token_credits_nobody() -> None:
    begun = received()
    rows = fold(begun)

    entry = made(refuse(begun, final=True), rows, begun)

    assert entry.event == Refused(
        at=LATER, account_id=ALICE, mint=MINT, code=11001, reason="spent", final=True
    )
    assert rows.movements.get(TOKEN) is None
    assert rows.accounts.get(ALICE) is None


def test_the_mint_may_not_fill_the_log_with_its_reasons() -> None:
    begun = received()
    wordy = Refuse(TOKEN, 1, intent_of(begun), 0, "x" * 1000, final=False)

    entry = made(wordy, fold(begun), begun)

    assert isinstance(entry.event, Refused)
    assert len(entry.event.reason) == 200


def test_refused_outputs_are_asked_for_anew_with_other_counters() -> None:
    begun = received()
    rows = fold(begun)

    entry = made(replan(begun), rows, begun)

    plan = Plan(keyset_id=OTHER_KEYSET, counter_from=0, amounts=(100,))
    assert entry == Entry(TOKEN, 2, Replanned(at=LATER, claim=claim(), plan=plan))
    assert rows.movements.get(TOKEN) == MovementRow(DEPOSIT, 2, ALICE, MINT, LATER)
    assert rows.keysets.get(KEYSET) == KeysetRow(MINT, "sat", 3)


def test_a_token_that_was_refused_may_be_tried_again() -> None:
    begun = received()
    refused = made(refuse(begun), fold(begun), begun)
    rows = fold(begun, refused)

    again = made(replan(refused), rows, begun, refused)
    end = made(credit(again), rows, begun, refused, again)

    assert (again.version, end.version) == (3, 4)
    assert rows.accounts.get(ALICE) == AccountRow(100_000, 0, MINT, "sat")


def test_who_replans_too_late_is_told_what_happened_meanwhile() -> None:
    begun = received()
    first = made(replan(begun), fold(begun), begun)
    end = credited(begun)

    during = made(replan(begun), fold(begun, first), begun, first)
    after = made(replan(begun), fold(begun, end), begun, end)

    assert during == first
    assert after == end


def test_a_token_presented_again_is_answered_with_what_became_of_it() -> None:
    begun, end = deposited()

    during = made(receive(), fold(begun), begun)
    after = made(receive(), fold(begun, end), begun, end)

    assert during == begun
    assert after == end


@pytest.mark.parametrize("ended", [False, True])
def test_a_token_cannot_be_deposited_to_a_second_account(ended: bool) -> None:  # noqa: FBT001
    history = deposited() if ended else (received(),)

    with pytest.raises(TokenTakenError):
        made(receive(account_id=BOB), fold(*history), *history)


def test_a_refused_token_may_be_presented_by_anybody() -> None:
    begun = received()
    refused = made(refuse(begun), fold(begun), begun)

    answer = made(receive(account_id=BOB), fold(begun, refused), begun, refused)

    assert answer == refused


def test_an_end_is_recorded_once_and_then_repeated() -> None:
    begun = received()
    credit_end = credited(begun)
    refused = made(refuse(begun), fold(begun), begun)

    again = made(credit(begun), fold(begun, credit_end), begun, credit_end)
    refused_again = made(refuse(begun), fold(begun, refused), begun, refused)

    assert again == credit_end
    assert refused_again == refused


def test_a_movement_has_one_end_only() -> None:
    begun = received()
    credit_end = credited(begun)
    refused = made(refuse(begun), fold(begun), begun)

    with pytest.raises(MovementEndedError) as after_refusal:
        made(credit(begun), fold(begun, refused), begun, refused)
    with pytest.raises(MovementEndedError) as after_credit:
        made(refuse(begun), fold(begun, credit_end), begun, credit_end)

    assert after_refusal.value.stream == TOKEN
    assert after_refusal.value.end == refused.event
    assert after_credit.value.end == credit_end.event


@pytest.mark.parametrize("command", [credit(received()), refuse(received())])
def test_what_was_never_begun_cannot_be_ended(command: Credit | Refuse) -> None:
    with pytest.raises(UnknownMovementError) as unknown:
        made(command, GuardRows())

    assert unknown.value.stream == TOKEN


def test_what_is_credited_is_what_the_proofs_are_worth() -> None:
    begun = received(sat=100)
    plan = Plan(keyset_id=KEYSET, counter_from=0, amounts=(32, 64))

    entry = made(credit(begun, signed(plan)), fold(begun), begun)

    assert isinstance(entry.event, Credited)
    assert entry.event.credited_msat == 96_000
    assert entry.event.fee_msat == 4_000


def test_more_than_the_token_was_worth_is_never_credited() -> None:
    begun = received(sat=100)
    plan = Plan(keyset_id=KEYSET, counter_from=0, amounts=(128,))

    with pytest.raises(LedgerBrokenError):
        made(credit(begun, signed(plan)), fold(begun), begun)


def test_units_of_a_thousandth_are_credited_as_they_are() -> None:
    small = Claim(account_id=ALICE, mint=MINT, unit="msat", face_msat=5, fee_msat=1, sealed=b"")
    plan = Plan(keyset_id=KEYSET, counter_from=0, amounts=(4,))
    begun = Entry(TOKEN, 1, Received(at=AT, claim=small, plan=plan))

    entry = made(credit(begun), fold(begun), begun)

    assert isinstance(entry.event, Credited)
    assert entry.event.credited_msat == 4


def test_a_token_belongs_to_whom_it_was_presented_for_until_it_is_refused() -> None:
    begun, end = deposited()
    refused = made(refuse(begun), fold(begun), begun)

    owners = [owner_of(entry.event) for entry in (begun, end, refused)]

    assert owners == [ALICE, ALICE, None]
