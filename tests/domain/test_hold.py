from __future__ import annotations

from dataclasses import replace

import pytest

from domain.errors import (
    HoldEndedError,
    InsufficientFundsError,
    LedgerBrokenError,
    RequestChangedError,
    RequestInProgressError,
    RequestRepeatedError,
    UnknownAccountError,
    UnknownHoldError,
)
from domain.event import Entry
from domain.guards import AccountRow, GuardRows, HoldRow
from domain.hold import Charge, Charged, Held, Release, Released
from tests.domain.given import (
    ALICE,
    AT,
    BOB,
    LATER,
    MINT,
    TERMS,
    USAGE,
    answers,
    deposited,
    fold,
    hold,
    made,
    name,
)

HOLD = name(200)
HELD = Entry(
    HOLD, 1, Held(at=AT, account_id=ALICE, amount_msat=60_000, owner="worker-1", terms=TERMS)
)


def charge(cost_msat: int) -> Charge:
    return Charge(HOLD, ALICE, cost_msat, TERMS, USAGE)


def release() -> Release:
    return Release(HOLD, ALICE, "upstream failed")


def charged_for(cost_msat: int, rows: GuardRows) -> Charged:
    event = made(charge(cost_msat), rows, HELD).event
    assert isinstance(event, Charged)
    return event


def test_a_hold_sets_its_amount_aside() -> None:
    rows = fold(*deposited())

    entry = made(hold(), rows)

    assert entry == Entry(
        HOLD,
        1,
        Held(at=LATER, account_id=ALICE, amount_msat=60_000, owner="worker-1", terms=TERMS),
    )
    assert rows.accounts.get(ALICE) == AccountRow(40_000, 60_000, MINT, "sat")
    assert rows.holds.get(HOLD) == HoldRow(ALICE, 60_000, "worker-1", LATER)


def test_all_that_is_available_can_be_held_and_not_one_msat_more() -> None:
    rows = fold(*deposited())

    all_of_it = made(hold(amount_msat=100_000), rows)
    with pytest.raises(InsufficientFundsError) as refused:
        made(hold(name(201), 1), rows)

    assert isinstance(all_of_it.event, Held)
    assert refused.value.required_msat == 1
    assert refused.value.available_msat == 0
    assert refused.value.held_msat == 100_000


def test_an_account_without_a_deposit_holds_nothing() -> None:
    with pytest.raises(UnknownAccountError) as unknown:
        made(hold(account_id=BOB), fold(*deposited()))

    assert unknown.value.account_id == BOB


def test_the_same_request_is_not_held_twice_while_it_runs() -> None:
    with pytest.raises(RequestInProgressError) as running:
        made(hold(), fold(*deposited(), HELD), HELD)

    assert running.value.hold_id == HOLD


def test_a_running_request_is_known_even_if_its_hold_row_was_not_read() -> None:
    with pytest.raises(RequestInProgressError):
        made(hold(amount_msat=1), fold(*deposited()), HELD)


def test_a_request_that_was_served_is_answered_with_its_end() -> None:
    rows = fold(*deposited(), HELD)
    end = made(charge(5), rows, HELD)

    with pytest.raises(RequestRepeatedError) as repeated:
        made(hold(), rows, HELD, end)

    assert repeated.value.hold_id == HOLD
    assert repeated.value.end == end.event


def test_the_hash_of_a_named_request_is_kept() -> None:
    entry = made(replace(hold(), request_hash="ab"), fold(*deposited()))

    assert isinstance(entry.event, Held)
    assert entry.event.request_hash == "ab"


@pytest.mark.parametrize("ended", [False, True])
def test_a_name_does_not_stand_for_another_request(*, ended: bool) -> None:
    first = replace(hold(), request_hash="ab")
    begun = made(first, fold(*deposited()))
    history = [begun]
    if ended:
        history.append(made(release(), fold(*deposited(), begun), begun))

    with pytest.raises(RequestChangedError) as changed:
        made(replace(first, request_hash="cd"), fold(*deposited()), *history)

    assert changed.value.hold_id == HOLD


def test_two_requests_of_one_name_that_come_together_are_told_apart() -> None:
    rows = fold(*deposited())
    first = replace(hold(amount_msat=1), request_hash="ab")

    told = answers([first, replace(first, request_hash="cd"), first], rows)

    assert isinstance(told[1], RequestChangedError)
    assert isinstance(told[2], RequestInProgressError)


@pytest.mark.parametrize(("then", "now"), [("", "ab"), ("ab", ""), ("ab", "ab")])
def test_without_two_hashes_that_differ_a_request_is_taken_for_the_same(
    then: str, now: str
) -> None:
    first = made(replace(hold(), request_hash=then), fold(*deposited()))

    with pytest.raises(RequestInProgressError):
        made(replace(hold(), request_hash=now), fold(*deposited()), first)


@pytest.mark.parametrize("cost_msat", [0, 1, 59_999, 60_000])
def test_a_cost_within_the_hold_is_paid_by_it_and_the_rest_goes_back(cost_msat: int) -> None:
    rows = fold(*deposited(), HELD)

    charged = charged_for(cost_msat, rows)

    assert charged.from_hold_msat == charged.cost_msat == cost_msat
    assert charged.from_available_msat == charged.shortfall_msat == 0
    assert rows.accounts.get(ALICE) == AccountRow(100_000 - cost_msat, 0, MINT, "sat")
    assert rows.holds.get(HOLD) is None


def test_what_exceeds_the_hold_is_taken_from_what_is_free() -> None:
    rows = fold(*deposited(), HELD)

    charged = charged_for(75_000, rows)

    assert (charged.from_hold_msat, charged.from_available_msat) == (60_000, 15_000)
    assert charged.shortfall_msat == 0
    assert rows.accounts.get(ALICE) == AccountRow(25_000, 0, MINT, "sat")


def test_what_nothing_covers_is_the_loss_of_the_house() -> None:
    rows = fold(*deposited(), HELD)

    charged = charged_for(100_001, rows)

    assert (charged.from_available_msat, charged.shortfall_msat) == (40_000, 1)
    assert rows.accounts.get(ALICE) == AccountRow(0, 0, MINT, "sat")


def test_a_charge_names_what_was_agreed_and_what_was_used() -> None:
    charged = charged_for(5, fold(*deposited(), HELD))

    assert charged.terms == TERMS
    assert charged.usage == USAGE


def test_a_release_gives_everything_back() -> None:
    rows = fold(*deposited(), HELD)

    entry = made(release(), rows, HELD)

    assert entry.event == Released(
        at=LATER, account_id=ALICE, held_msat=60_000, reason="upstream failed"
    )
    assert entry.version == 2
    assert rows.accounts.get(ALICE) == AccountRow(100_000, 0, MINT, "sat")


def test_a_second_charge_is_answered_with_the_first() -> None:
    rows = fold(*deposited(), HELD)
    first = made(charge(7), rows, HELD)

    second = made(charge(8), rows, HELD, first)

    assert second is first


def test_a_second_release_is_answered_with_the_first() -> None:
    rows = fold(*deposited(), HELD)
    first = made(release(), rows, HELD)

    second = made(release(), rows, HELD, first)

    assert second is first


def test_what_was_released_cannot_be_charged_nor_the_other_way_round() -> None:
    rows, other = fold(*deposited(), HELD), fold(*deposited(), HELD)
    released, charged = made(release(), rows, HELD), made(charge(7), other, HELD)

    after_release = answers([charge(7)], rows, [HELD, released])
    after_charge = answers([release()], other, [HELD, charged])

    for (answer,), end in ((after_release, released), (after_charge, charged)):
        assert isinstance(answer, HoldEndedError)
        assert answer.hold_id == HOLD
        assert answer.end == end.event


@pytest.mark.parametrize("command", [charge(1), release()])
def test_a_hold_that_was_never_made_cannot_be_ended(command: Charge | Release) -> None:
    with pytest.raises(UnknownHoldError) as unknown:
        made(command, fold(*deposited()))

    assert unknown.value.hold_id == HOLD


def test_a_hold_is_never_ended_in_the_name_of_another_account() -> None:
    rows = fold(*deposited(), *deposited(name(101), BOB, counter_from=9), HELD)
    rows.accounts.rows.pop(ALICE)

    with pytest.raises(LedgerBrokenError):
        made(Charge(HOLD, BOB, 70_000, TERMS, USAGE), rows, HELD)
    with pytest.raises(LedgerBrokenError):
        made(Release(HOLD, BOB, "no"), rows, HELD)

    assert rows.accounts.get(BOB) == AccountRow(100_000, 0, MINT, "sat")
    assert rows.holds.get(HOLD) is not None
