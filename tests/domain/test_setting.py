from __future__ import annotations

import pytest

from domain.command import Needs
from domain.errors import InvalidSettingError, SettingMovedError
from domain.guards import GuardRows, SettingRow
from domain.identity import setting_of
from domain.setting import VALUE_MAX, WHO_MAX, ChangeSetting, SettingChanged
from tests.domain.given import LATER, made

FIRST = ChangeSetting("name", 0, "My house", "me")


def changed_once() -> GuardRows:
    rows = GuardRows()
    made(FIRST, rows)
    return rows


def test_a_setting_is_changed_and_it_is_recorded_who_wanted_it() -> None:
    rows = GuardRows()

    entry = made(FIRST, rows)

    assert (entry.stream, entry.version) == (setting_of("name"), 1)
    assert entry.event == SettingChanged(at=LATER, name="name", value="My house", who="me")
    assert rows.settings.get("name") == SettingRow(1, "My house", "me", LATER)


def test_a_setting_that_is_as_the_environment_says_again_keeps_its_history() -> None:
    rows = changed_once()

    entry = made(ChangeSetting("name", 1, None, "you"), rows)

    assert entry.event == SettingChanged(at=LATER, name="name", value=None, who="you")
    assert rows.settings.get("name") == SettingRow(2, None, "you", LATER)


@pytest.mark.parametrize("version", [0, 2])
def test_two_who_change_at_once_do_not_undo_each_other(version: int) -> None:
    rows = changed_once()

    with pytest.raises(SettingMovedError, match="NAME was changed meanwhile") as refusal:
        made(ChangeSetting("name", version, "Yours", "you"), rows)

    assert refusal.value.name == "name"
    assert rows.settings.get("name") == SettingRow(1, "My house", "me", LATER)


def test_a_change_is_never_answered_by_an_older_one() -> None:
    with pytest.raises(SettingMovedError):
        FIRST.replay([made(FIRST, GuardRows())])


def test_a_change_reads_the_setting_of_its_name() -> None:
    needs = Needs()

    FIRST.need(needs)

    assert needs == Needs(settings={"name"})


SENSELESS = {
    "no name": ("", "x", "me"),
    "a name in capitals": ("NAME", "x", "me"),
    "a name that is long": ("n" * 61, "x", "me"),
    "a value that is long": ("name", "x" * (VALUE_MAX + 1), "me"),
    "wanted by nobody": ("name", "x", ""),
    "wanted by a long name": ("name", "x", "w" * (WHO_MAX + 1)),
}


@pytest.mark.parametrize(("name", "value", "who"), SENSELESS.values(), ids=SENSELESS)
def test_what_cannot_be_meant_is_refused(name: str, value: str, who: str) -> None:
    with pytest.raises(InvalidSettingError):
        made(ChangeSetting(name, 0, value, who), GuardRows())
