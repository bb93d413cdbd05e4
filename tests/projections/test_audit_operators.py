from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from domain.operators import NoteAct, RemoveOperator, SetOperator, SignOutOperator
from projections.audit import Auditor
from tests.domain.given import fold, made, name

if TYPE_CHECKING:
    from domain.command import Command
    from domain.event import Entry

ANN = name(510)


def story() -> list[Entry]:
    """An operator comes, gets other scopes, acts, signs out everywhere and goes."""
    told: list[Entry] = []

    def then(command: Command) -> None:
        told.append(made(command, fold(*told), *told))

    then(SetOperator(ANN, 0, "ann", "me", ("audit",), name(512)))
    then(SetOperator(ANN, 1, "ann", "me", ("audit", "export"), name(512)))
    then(NoteAct(name(513), "ann", "exported", "events as csv"))
    then(SignOutOperator(ANN, 2, "ann", "ann"))
    then(RemoveOperator(ANN, 3, "ann", "me"))
    return told


STORY = story()
MADE, SET, ACTED, OUT, GONE = STORY


def read(entries: list[Entry]) -> str:
    return Auditor().read(enumerate(entries, 1)) or ""


def changed(entry: Entry, **fields: Any) -> list[Entry]:
    event = msgspec.structs.replace(entry.event, **fields)
    return [each._replace(event=event) if each is entry else each for each in STORY]


def test_a_true_story_of_operators_is_believed() -> None:
    assert read(STORY) == ""


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (changed(MADE, who=""), "was wanted by nobody"),
        (changed(MADE, scopes=("sing",)), "scopes"),
        ([MADE, SET._replace(version=3)], "is version 3 after 1"),
        ([MADE, SET._replace(stream=name(600))], "changes another operator"),
        ([OUT], "changes nobody"),
        ([GONE], "changes nobody"),
        ([ACTED._replace(version=2)], "begins with version 2"),
        ([SET], "is version 2 after 0"),
    ],
)
def test_a_false_one_is_not(entries: list[Entry], says: str) -> None:
    assert says in read(entries)
