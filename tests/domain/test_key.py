from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from domain.allowance import KeyRow, Rules
from domain.errors import (
    ChildKeyError,
    ForeignKeyError,
    InsufficientFundsError,
    KeyExpiredError,
    LedgerBrokenError,
    LedgerError,
    LimitReachedError,
    ModelNotAllowedError,
    OtherKeyError,
    RequestChangedError,
    TooManyKeysError,
    UnknownAccountError,
    UnknownChildError,
)
from domain.event import Entry
from domain.guards import AccountRow
from domain.hold import Charge, Charged, Held, Release
from domain.key import CHILDREN_MAX, Changes, KeyMade, MakeKey, ResetKey, SetKey
from domain.ledger import Ledger
from domain.msat import Msat
from tests.domain.given import (
    ALICE,
    AT,
    BOB,
    HOLD_ID,
    LATER,
    TERMS,
    USAGE,
    answers,
    deposited,
    fold,
    hold,
    made,
    name,
)

if TYPE_CHECKING:
    from domain.command import Command
    from domain.guards import GuardRows

CHILD, OTHER, SALT = name(50), name(51), name(52)
FUNDED = deposited()
WHOLE = Rules(limit_msat=30_000, reset="daily", models=("gpt-x",))


def make(child: object = CHILD, parent: object = ALICE, rules: Rules | None = None) -> MakeKey:
    return MakeKey(child, parent, SALT, rules or Rules())  # type: ignore[arg-type]


def with_child(rules: Rules | None = None) -> tuple[Entry, ...]:
    """A funded account with one child."""
    return *FUNDED, made(make(rules=rules), fold(*FUNDED))


def by_child(amount_msat: int = 20_000, stream: object = HOLD_ID) -> Command:
    return replace(hold(stream, amount_msat), key_id=CHILD)  # type: ignore[arg-type]


def row_of(rows: GuardRows, key: object = CHILD) -> KeyRow:
    return rows.key(key)  # type: ignore[arg-type]


def test_a_child_knows_its_parent_and_the_parent_counts_it() -> None:
    rows = fold(*with_child(WHOLE))

    assert row_of(rows) == KeyRow(1, LATER, ALICE, SALT, WHOLE)
    assert row_of(rows, ALICE) == KeyRow(0, LATER, children=1)
    assert rows.accounts.rows[ALICE].keyed == 1
    assert CHILD not in rows.accounts.rows


def test_the_same_child_asked_for_again_is_the_same_child() -> None:
    history = with_child(WHOLE)

    assert made(make(rules=WHOLE), fold(*history), *history) == history[-1]


@pytest.mark.parametrize(
    "again", [make(rules=Rules(limit_msat=1)), make(parent=BOB, rules=WHOLE)]
)
def test_a_child_of_the_same_name_with_other_rules_is_refused(again: MakeKey) -> None:
    history = with_child(WHOLE)

    with pytest.raises(RequestChangedError):
        made(again, fold(*history), *history)


def test_a_key_that_is_bound_already_is_not_made_a_child() -> None:
    bound = made(SetKey(ALICE, ALICE, Changes(reset="daily")), fold(*FUNDED))
    rows = fold(*FUNDED, bound)

    with pytest.raises(RequestChangedError):
        made(MakeKey(ALICE, ALICE, SALT, Rules()), rows, bound)


def test_nobody_has_children_but_an_account_of_its_own() -> None:
    with pytest.raises(UnknownAccountError):
        made(make(parent=BOB), fold(*FUNDED))
    with pytest.raises(UnknownAccountError):
        made(make(OTHER, CHILD), fold(*with_child()))
    rows = fold(*with_child())
    rows.bind(CHILD)
    with pytest.raises(ChildKeyError):
        made(make(OTHER, CHILD), rows)


def test_an_expired_key_and_one_with_very_many_children_make_none() -> None:
    rows = fold(*with_child())
    rows.keys.put(ALICE, row_of(rows, ALICE)._replace(children=CHILDREN_MAX))
    with pytest.raises(TooManyKeysError):
        made(make(OTHER), rows)

    rows.keys.put(ALICE, KeyRow(0, AT, rules=Rules(valid_until=LATER)))
    with pytest.raises(KeyExpiredError):
        made(make(OTHER), rows)


def test_what_a_child_spends_is_its_parents_money_and_counts_for_both() -> None:
    rows = fold(*with_child(WHOLE))

    begun = made(by_child(), rows)
    assert isinstance(begun.event, Held)
    assert begun.event.key_id == CHILD
    assert rows.accounts.rows[ALICE].held_msat == 20_000
    assert row_of(rows).held_msat == row_of(rows, ALICE).held_msat == 20_000

    end = made(Charge(HOLD_ID, ALICE, 5_000, TERMS, USAGE, CHILD), rows, begun)
    assert isinstance(end.event, Charged)
    assert end.event.key_id == CHILD
    assert rows.accounts.rows[ALICE].available_msat == 95_000
    for row in (row_of(rows), row_of(rows, ALICE)):
        assert (row.held_msat, row.spent_msat, row.total_msat) == (0, 5_000, 5_000)
        assert row.requests == 1


def test_what_a_child_did_not_get_counts_nowhere() -> None:
    rows = fold(*with_child(WHOLE))
    begun = made(by_child(), rows)

    made(Release(HOLD_ID, ALICE, "no", CHILD), rows, begun)

    for row in (row_of(rows), row_of(rows, ALICE)):
        assert (row.held_msat, row.spent_msat, row.requests) == (0, 0, 0)


def test_a_limit_holds_for_requests_that_come_in_one_batch() -> None:
    """M18: fifty at once, and the limit is for three."""
    rows = fold(*with_child(Rules(limit_msat=30_000)))

    told = answers([by_child(10_000, name(300 + n)) for n in range(50)], rows)

    assert sum(isinstance(answer, Entry) for answer in told) == 3
    assert sum(isinstance(answer, LimitReachedError) for answer in told) == 47
    assert row_of(rows).held_msat == 30_000


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        (Rules(limit_msat=19_999), LimitReachedError),
        (Rules(models=("gpt-y",)), ModelNotAllowedError),
        (Rules(valid_until=LATER), KeyExpiredError),
        (Rules(expires_at=LATER), KeyExpiredError),
    ],
)
def test_what_binds_the_parent_binds_the_child(
    rules: Rules, refused: type[LedgerError]
) -> None:
    child_bound = fold(*with_child(rules))
    parent_bound = fold(*with_child())
    parent_bound.keys.put(ALICE, row_of(parent_bound, ALICE)._replace(rules=rules))

    for rows in (child_bound, parent_bound):
        with pytest.raises(refused):
            made(by_child(), rows)


def test_a_child_cannot_spend_what_its_parent_has_not() -> None:
    with pytest.raises(InsufficientFundsError):
        made(by_child(100_001), fold(*with_child()))


def test_a_named_request_beyond_the_limit_is_first_looked_up() -> None:
    rows = fold(*with_child(Rules(limit_msat=20_000)))
    named = replace(hold(amount_msat=20_000), key_id=CHILD, named=True)
    begun = made(named, rows)
    end = made(Charge(HOLD_ID, ALICE, 20_000, TERMS, USAGE, CHILD), rows, begun)

    (again,) = answers([named], rows, [begun, end])
    (other,) = answers([replace(named, stream=name(201))], rows)

    assert type(again).__name__ == "RequestRepeatedError"
    assert isinstance(other, LimitReachedError)


def test_above_the_hold_the_limit_is_kept_and_the_house_bears_the_rest() -> None:
    rows = fold(*with_child(Rules(limit_msat=25_000)))
    begun = made(by_child(), rows)

    end = made(Charge(HOLD_ID, ALICE, 40_000, TERMS, USAGE, CHILD), rows, begun).event

    assert isinstance(end, Charged)
    assert (end.from_hold_msat, end.from_available_msat) == (20_000, 5_000)
    assert end.shortfall_msat == 15_000
    assert row_of(rows).spent_msat == 25_000
    assert rows.accounts.rows[ALICE].available_msat == 75_000


def test_another_request_of_the_child_keeps_what_was_held_for_it() -> None:
    rows = fold(*with_child(Rules(limit_msat=25_000)))
    begun = made(by_child(), rows)
    made(by_child(4_000, name(201)), rows)

    end = made(Charge(HOLD_ID, ALICE, 40_000, TERMS, USAGE, CHILD), rows, begun).event

    assert isinstance(end, Charged)
    assert end.from_available_msat == 1_000


def test_an_account_that_is_bound_must_be_asked_by_its_key() -> None:
    rows = fold(*with_child())

    with pytest.raises(OtherKeyError) as other:
        made(hold(), rows)

    assert other.value.key_id == ALICE


@pytest.mark.parametrize(
    "end", [Charge(HOLD_ID, ALICE, 1, TERMS, USAGE), Release(HOLD_ID, ALICE, "no", ALICE)]
)
def test_who_ends_a_hold_without_its_key_is_told_the_key(end: Charge | Release) -> None:
    rows = fold(*with_child())
    begun = made(by_child(), rows)

    with pytest.raises(OtherKeyError) as other:
        made(end, rows, begun)

    assert other.value.key_id == CHILD


def test_the_ledger_finds_the_key_that_it_was_not_told() -> None:
    rows, told = fold(*with_child()), list(with_child())

    def record(command: Command) -> Entry:
        entry = made(command, rows, *told)
        told.append(entry)
        return entry

    ledger = Ledger(record, "w")

    held = ledger.hold(HOLD_ID, ALICE, Msat(20_000), TERMS)
    charged = ledger.charge(HOLD_ID, ALICE, Msat(5), TERMS, USAGE)
    ledger.hold(name(201), ALICE, Msat(20_000), TERMS, key_id=CHILD)
    released = ledger.release(name(201), ALICE, "no")

    assert (held.key_id, charged.key_id, released.key_id) == (ALICE, ALICE, CHILD)
    assert row_of(rows, ALICE).total_msat == 5
    assert row_of(rows).total_msat == 0


def test_nobody_spends_an_account_that_is_not_the_keys() -> None:
    rows = fold(*with_child(), *deposited(name(101), BOB, counter_from=9))

    with pytest.raises(LedgerBrokenError):
        made(replace(hold(account_id=BOB), key_id=CHILD), rows)
    with pytest.raises(LedgerBrokenError):
        made(replace(hold(account_id=BOB), key_id=name(99)), rows)


def test_rules_are_changed_one_by_one() -> None:
    rows = fold(*with_child(WHOLE))

    first = made(SetKey(CHILD, ALICE, Changes(limit_msat=None)), rows)
    second = made(SetKey(CHILD, ALICE, Changes(refund_to="x", expires_at=AT)), rows, first)

    assert (first.version, second.version) == (2, 3)
    assert row_of(rows).rules == Rules(
        reset="daily", models=("gpt-x",), refund_to="x", expires_at=AT
    )
    assert row_of(rows).parent_id == ALICE


def test_an_account_that_nothing_bound_can_bind_itself() -> None:
    rows = fold(*FUNDED)

    entry = made(SetKey(ALICE, ALICE, Changes(expires_at=LATER)), rows)

    assert entry.version == 1
    assert rows.accounts.rows[ALICE].keyed == 1
    with pytest.raises(KeyExpiredError):
        made(replace(hold(), key_id=ALICE), rows)


def test_an_account_can_be_bound_before_it_has_money() -> None:
    rows = fold()

    made(SetKey(BOB, BOB, Changes(limit_msat=5)), rows)

    assert rows.accounts.rows[BOB] == AccountRow(0, 0, "", "", 1)
    with pytest.raises(LimitReachedError):
        made(replace(hold(account_id=BOB), key_id=BOB), rows)


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        (SetKey(CHILD, CHILD, Changes()), ChildKeyError),
        (SetKey(OTHER, ALICE, Changes()), UnknownChildError),
        (SetKey(ALICE, BOB, Changes()), UnknownChildError),
        (SetKey(CHILD, BOB, Changes()), ForeignKeyError),
        (ResetKey(OTHER, ALICE), UnknownChildError),
        (ResetKey(ALICE, ALICE), UnknownChildError),
        (ResetKey(CHILD, BOB), ForeignKeyError),
    ],
)
def test_only_a_parent_changes_its_children(
    command: SetKey | ResetKey, refused: type[LedgerError]
) -> None:
    with pytest.raises(refused):
        made(command, fold(*with_child()))


def test_a_new_window_by_hand_erases_nothing() -> None:
    """M18: what was spent in all is still told after a reset."""
    rows = fold(*with_child(Rules(limit_msat=20_000)))
    begun = made(by_child(), rows)
    end = made(Charge(HOLD_ID, ALICE, 20_000, TERMS, USAGE, CHILD), rows, begun)
    with pytest.raises(LimitReachedError):
        made(by_child(1, name(201)), rows)

    reset = made(ResetKey(CHILD, ALICE), rows)

    row = row_of(rows)
    assert (row.version, row.spent_msat, row.total_msat, row.requests) == (2, 0, 20_000, 1)
    assert row.window_from == LATER
    assert end.version == 2
    assert made(by_child(20_000, name(201)), rows).version == 1
    assert made(ResetKey(CHILD, ALICE), rows, reset).version == 3


def test_a_change_that_was_recorded_elsewhere_is_answered_by_the_newest() -> None:
    history = with_child()

    for command in (SetKey(CHILD, ALICE, Changes()), ResetKey(CHILD, ALICE)):
        assert command.replay(history) == history[-1]


def test_the_day_after_a_limit_of_a_day_is_whole_again() -> None:
    rows = fold(*with_child(WHOLE))
    begun = made(by_child(30_000), rows)
    made(Charge(HOLD_ID, ALICE, 30_000, TERMS, USAGE, CHILD), rows, begun)
    again = by_child(30_000, name(201))

    with pytest.raises(LimitReachedError):
        made(again, rows)
    entry = again.decide(rows, LATER + timedelta(days=1))

    assert isinstance(entry.event, Held)
    assert isinstance(with_child()[-1].event, KeyMade)
