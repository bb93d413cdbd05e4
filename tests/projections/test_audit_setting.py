from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.event import Entry
from domain.identity import setting_of
from domain.setting import SettingChanged
from projections.audit import Auditor
from tests.domain.given import AT

if TYPE_CHECKING:
    from uuid import UUID

NAME = SettingChanged(at=AT, name="name", value="My house", who="me")
STREAM = setting_of("name")


def told(*steps: tuple[UUID, int]) -> str | None:
    """What the auditor finds wrong with these changes of one setting."""
    page = [(place, Entry(*step, NAME)) for place, step in enumerate(steps, 1)]
    return Auditor().read(page)


def test_changes_of_a_setting_that_follow_each_other_are_right() -> None:
    assert told((STREAM, 1), (STREAM, 2)) is None


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([(STREAM, 2)], "is version 2"),
        ([(STREAM, 1), (STREAM, 3)], "is version 3"),
        ([(setting_of("other"), 1)], "a setting of another name"),
    ],
)
def test_a_change_that_is_out_of_its_place_is_named(
    steps: list[tuple[UUID, int]], says: str
) -> None:
    found = told(*steps)

    assert found is not None
    assert says in found
