from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from domain.deposit import Refused
from domain.event import Entry
from projections.dead import find_dead
from tests.domain.given import ALICE, AT, MINT, name, received
from tests.projections.conftest import follow
from tests.projections.story import put

if TYPE_CHECKING:
    from tests.store.places import Store


def refused(number: int, code: int, *dead: str) -> Entry:
    event = Refused(
        at=AT, account_id=ALICE, mint=MINT, code=code, reason="no", final=True, dead=dead
    )
    return Entry(name(number), 2, event)


@pytest.mark.parametrize(
    ("marks", "days", "code"),
    [
        (["a"], 29, 11001),
        (["a"], 31, None),
        (["x", "b", "y"], 29, 11001),
        (["c"], 0, 10001),
        (["c"], 2, None),
        (["a", "c"], 0, 11001),
        (["x", "y"], 0, None),
    ],
)
def test_a_mints_word_is_found_for_a_while(
    store: Store, marks: list[str], days: int, code: int | None
) -> None:
    put(store, [received(), refused(1, 11001, "a", "b"), refused(2, 10001, "c"), refused(3, 0)])
    follow(store)

    assert find_dead(store, marks, AT + timedelta(days=days)) == code
