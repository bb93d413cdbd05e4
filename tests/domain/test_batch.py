from __future__ import annotations

from dataclasses import replace

from domain.batch import decide
from domain.deposit import Received
from domain.errors import (
    InsufficientFundsError,
    LedgerError,
    RequestInProgressError,
    RequestRepeatedError,
    UnknownAccountError,
    UnknownHoldError,
)
from domain.event import Entry
from domain.guards import AccountRow
from domain.hold import Charge, Charged, Held, Release
from tests.domain.given import (
    ALICE,
    BOB,
    LATER,
    MINT,
    TERMS,
    USAGE,
    answers,
    claim,
    deposited,
    fold,
    hold,
    name,
    receive,
)

HOLD = name(200)


def charge(cost_msat: int = 5) -> Charge:
    return Charge(HOLD, ALICE, cost_msat, TERMS, USAGE)


def kinds(told: list[Entry | LedgerError | None]) -> list[str]:
    return [
        type(answer.event if isinstance(answer, Entry) else answer).__name__ for answer in told
    ]


def test_entries_come_in_the_order_of_their_commands() -> None:
    rows = fold(*deposited())
    commands = [hold(name(n), 1_000) for n in (203, 201, 202)]

    decided = decide(commands, rows, LATER, {})

    assert [entry.stream for entry in decided.entries] == [name(203), name(201), name(202)]
    assert decided.answers == decided.entries
    assert decided.unanswered == []


def test_each_decision_sees_what_those_before_it_did() -> None:
    rows = fold(*deposited())

    told = answers([hold(), charge(), hold(name(201), 99_995), hold(name(202), 1)], rows)

    assert kinds(told) == ["Held", "Charged", "Held", "InsufficientFundsError"]
    assert rows.accounts.get(ALICE) == AccountRow(0, 99_995, MINT, "sat")


def test_the_error_of_one_leaves_the_others_alone() -> None:
    rows = fold(*deposited())

    told = answers([hold(account_id=BOB), hold(name(201)), charge(), hold(name(202))], rows)

    assert [type(answer) for answer in told] == [
        UnknownAccountError,
        Entry,
        UnknownHoldError,
        InsufficientFundsError,
    ]


def test_a_request_twice_in_one_batch_is_held_once() -> None:
    rows = fold(*deposited())

    told = answers([hold(), hold()], rows)

    assert isinstance(told[0], Entry)
    assert isinstance(told[1], RequestInProgressError)
    assert rows.accounts.get(ALICE) == AccountRow(40_000, 60_000, MINT, "sat")


def test_a_request_held_and_served_in_one_batch_is_not_held_again() -> None:
    rows = fold(*deposited())

    told = answers([hold(), charge(), hold()], rows)

    assert isinstance(told[2], RequestRepeatedError)
    assert isinstance(told[2].end, Charged)


def test_an_end_twice_in_one_batch_is_recorded_once() -> None:
    rows = fold(*deposited(), Entry(HOLD, 1, _held()))

    decided = decide([charge(7), charge(8)], rows, LATER, {HOLD: []})

    assert len(decided.entries) == 1
    assert decided.answers[0] == decided.answers[1] == decided.entries[0]


def test_two_ends_in_one_batch_are_the_first_and_an_error() -> None:
    rows = fold(*deposited(), Entry(HOLD, 1, _held()))

    told = answers([Release(HOLD, ALICE, "gone"), charge()], rows)

    assert kinds(told) == ["Released", "HoldEndedError"]


def test_a_token_twice_in_one_batch_is_one_deposit() -> None:
    rows = fold()

    decided = decide([receive(), receive()], rows, LATER, {})

    assert len(decided.entries) == 1
    assert decided.answers == [decided.entries[0]] * 2
    assert isinstance(decided.entries[0].event, Received)


def test_what_the_rows_do_not_say_is_asked_of_the_log() -> None:
    decided = decide([hold(), charge()], fold(*deposited()), LATER, {})
    alone = decide([charge()], fold(*deposited()), LATER, {})

    assert decided.unanswered == []
    assert alone.unanswered == [0]
    assert alone.answers == [None]
    assert alone.entries == []


def test_a_history_that_is_known_answers() -> None:
    begun, end = deposited()
    held = Entry(HOLD, 1, _held())

    told = answers([receive(), hold()], fold(begun, end), [begun, end, held])

    assert told[0] == end
    assert isinstance(told[1], RequestInProgressError)


def test_a_rule_that_is_broken_is_told_to_its_command_alone() -> None:
    rows = fold(*deposited(), Entry(HOLD, 1, _held()))
    rows.accounts.put(ALICE, AccountRow(0, 1, MINT, "sat"))

    told = answers([charge(), receive(name(101))], rows)

    assert kinds(told) == ["LedgerBrokenError", "Received"]
    assert rows.accounts.get(ALICE) == AccountRow(0, 1, MINT, "sat")


def test_nothing_comes_to_nothing() -> None:
    decided = decide([], fold(), LATER, {})

    assert (decided.entries, decided.answers, decided.unanswered) == ([], [], [])


def test_the_claim_of_a_batch_is_the_claim_of_its_event() -> None:
    (entry,) = decide([receive()], fold(), LATER, {}).entries

    assert isinstance(entry.event, Received)
    assert entry.event.claim == claim()
    assert entry.event.at == LATER


def _held() -> Held:
    return Held(at=LATER, account_id=ALICE, amount_msat=60_000, owner="worker-1", terms=TERMS)


def test_a_named_request_that_spent_the_money_itself_is_told_so() -> None:
    """Its own first attempt holds or has spent what a retry would need again."""
    rows = fold(*deposited())
    first = answers([hold(amount_msat=100_000)], rows)[0]
    assert isinstance(first, Entry)
    rows.holds.rows.clear()
    retry = replace(hold(), named=True)

    unread = decide([retry], rows, LATER, {})
    told = decide([retry], rows, LATER, {HOLD: [first]})

    assert unread.unanswered == [0]
    assert isinstance(told.answers[0], RequestInProgressError)


def test_a_named_request_that_was_never_seen_is_short_of_money_like_any_other() -> None:
    rows = fold(*deposited())
    request = replace(hold(amount_msat=100_001), named=True)

    told = decide([request], rows, LATER, {HOLD: []})

    assert isinstance(told.answers[0], InsufficientFundsError)
