from __future__ import annotations

from typing import Any

import pytest

from domain.command import Needs
from domain.errors import InvalidOperatorError, LedgerBrokenError, OperatorChangedError
from domain.guards import GuardRows
from domain.operators import (
    TEXT_MAX,
    NoteAct,
    OperatorActed,
    OperatorRemoved,
    OperatorSet,
    OperatorSignedOut,
    RemoveOperator,
    SetOperator,
    SignOutOperator,
)
from domain.rights import SCOPES, OperatorRow, check_operator
from tests.domain.given import LATER, made, name

ID, OTHER_ID, PASSWORD_ID = name(510), name(511), name(512)
NEW = SetOperator(ID, 0, "ann", "me", ("audit",), PASSWORD_ID)


def with_one() -> GuardRows:
    rows = GuardRows()
    made(NEW, rows)
    return rows


def test_an_operator_is_recorded_with_who_wanted_it_and_without_a_password() -> None:
    rows = GuardRows()

    entry = made(NEW, rows)

    assert (entry.stream, entry.version) == (ID, 1)
    assert entry.event == OperatorSet(
        at=LATER, name="ann", scopes=("audit",), who="me", password_id=PASSWORD_ID
    )
    assert rows.operators.get("ann") == OperatorRow(ID, 1, ("audit",), PASSWORD_ID)


def test_other_scopes_and_signing_out_are_new_versions() -> None:
    rows = with_one()

    made(SetOperator(ID, 1, "ann", "you", SCOPES, None), rows)
    entry = made(SignOutOperator(ID, 2, "ann", "ann"), rows)

    assert entry.event == OperatorSignedOut(at=LATER, name="ann", who="ann")
    assert rows.operators.get("ann") == OperatorRow(ID, 3, SCOPES, None)


def test_an_operator_who_is_removed_is_gone_and_the_name_is_free() -> None:
    rows = with_one()

    entry = made(RemoveOperator(ID, 1, "ann", "me"), rows)
    again = made(SetOperator(OTHER_ID, 0, "ann", "me", ("audit",), None), rows)

    assert entry.event == OperatorRemoved(at=LATER, name="ann", who="me")
    assert (again.stream, again.version) == (OTHER_ID, 1)


OUTDATED = {
    "the name is taken": SetOperator(OTHER_ID, 0, "ann", "me", ("audit",), None),
    "it was changed meanwhile": SetOperator(ID, 7, "ann", "me", ("audit",), None),
    "there is nobody to sign out": SignOutOperator(ID, 0, "bob", "me"),
    "it never was": RemoveOperator(ID, 0, "bob", "me"),
    "another one has the name now": RemoveOperator(OTHER_ID, 1, "ann", "me"),
}


@pytest.mark.parametrize("command", OUTDATED.values(), ids=OUTDATED)
def test_what_was_wanted_of_another_state_is_refused(command: Any) -> None:
    rows = with_one()
    before = dict(rows.operators.rows)

    with pytest.raises(OperatorChangedError, match=command.name):
        made(command, rows)

    assert rows.operators.rows == before


def test_a_change_is_never_answered_by_an_older_one() -> None:
    with pytest.raises(OperatorChangedError):
        NEW.replay([made(NEW, GuardRows())])


def test_a_change_reads_the_operator_of_its_name() -> None:
    needs = Needs()

    NEW.need(needs)

    assert needs == Needs(operators={"ann"})


def test_signing_nobody_out_is_a_broken_log() -> None:
    event = OperatorSignedOut(at=LATER, name="ann", who="me")

    with pytest.raises(LedgerBrokenError, match="operator ann"):
        event.apply(GuardRows(), ID, 1)


@pytest.mark.parametrize("who", ["", "x" * (TEXT_MAX + 1)])
def test_somebody_must_have_wanted_it(who: str) -> None:
    with pytest.raises(InvalidOperatorError, match="who"):
        made(SetOperator(ID, 0, "ann", who, ("audit",), None), GuardRows())


@pytest.mark.parametrize("called", ["", "A", "-a", "a b", "a" * 41, "a.b", "a/b"])
def test_a_name_is_short_and_plain(called: str) -> None:
    with pytest.raises(InvalidOperatorError, match="name") as refusal:
        check_operator(called, ("audit",))

    assert refusal.value.field == "name"


@pytest.mark.parametrize(
    "scopes", [(), ("sing",), ("audit", "audit"), ("withdraw", "audit"), ("audit", "sing")]
)
def test_scopes_are_some_of_those_there_are(scopes: tuple[str, ...]) -> None:
    with pytest.raises(InvalidOperatorError, match="scopes"):
        check_operator("ann", scopes)


def test_what_an_operator_did_is_an_event_that_changes_no_row() -> None:
    rows, needs = GuardRows(), Needs()
    act = NoteAct(ID, "ann", "exported", "x" * 300)

    act.need(needs)
    entry = made(act, rows)

    assert entry.event == OperatorActed(
        at=LATER, who="ann", act="exported", about="x" * TEXT_MAX
    )
    assert act.replay([entry]) == entry
    assert needs == Needs()
    assert rows.operators.rows == {}
