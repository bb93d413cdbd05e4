"""Settings read and changed from the auditor's view, and what an operator's zone is for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from app.changes import Changes
from app.settings import Settings
from app.store.group import OneByOne
from domain.ledger import Ledger
from domain.setting import SettingChanged
from tests.projections.story import Story
from tests.staff.desk import events_in
from tests.web.admin.conftest import TOKEN, View, view_of
from tests.web.admin.reading import rows

if TYPE_CHECKING:
    from pathlib import Path

    from werkzeug.test import TestResponse

    from tests.store.places import Store

# The first test vector of BIP-39; it holds no money.
SEED = "abandon " * 11 + "about"
UPSTREAM_KEY = "sk-the-key-of-the-upstream"


@pytest.fixture
def office(store: Store, desk: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> View:
    """A signed-in browser at a house whose settings can be changed."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.setenv("UPSTREAM_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("UPSTREAM_API_KEY", UPSTREAM_KEY)
    monkeypatch.setenv("CASHU_MINTS", "http://127.0.0.1:9")
    monkeypatch.setenv("WALLET_SEED", SEED)
    ledger = Ledger(OneByOne(store.commit).record, "office")
    changes = Changes(ledger, store, Settings(_env_file=None))
    view = view_of(store, Story(), desk, changes=changes)
    assert view.sign_in().status_code == 303
    return view


def post(view: View, what: str, **form: str) -> TestResponse:
    token = TOKEN.search(view.page("/admin/settings/"))
    assert token
    return view.browser.post(f"/admin/settings/{what}", data={**form, "form_token": token[1]})


def row_of(view: View, name: str) -> list[str]:
    return next(row for row in rows(view.page("/admin/settings/")) if row[0] == name)


def test_every_setting_is_told_with_where_it_comes_from(office: View) -> None:
    page = office.page("/admin/settings/")

    named = {row[0] for row in rows(page)}
    assert {field.upper() for field in Settings.model_fields} <= named
    assert row_of(office, "UPSTREAM_BASE_URL")[2] == "environment"
    assert row_of(office, "STUCK_AFTER_S")[2] == "default"


def test_of_a_secret_it_is_only_told_that_it_is_set(office: View) -> None:
    """M48."""
    page = office.page("/admin/settings/")

    assert row_of(office, "UPSTREAM_API_KEY")[1] == "(set)"
    assert UPSTREAM_KEY not in page
    assert "abandon" not in page


def test_a_setting_is_changed_and_given_back_and_each_is_an_event(office: View) -> None:
    assert post(office, "set", name="STUCK_AFTER_S", value="1800").status_code == 303
    changed = row_of(office, "STUCK_AFTER_S")
    assert post(office, "unset", name="STUCK_AFTER_S").status_code == 303

    events = [event for event in events_in(office.store) if isinstance(event, SettingChanged)]
    assert changed[2].startswith("changed admin")
    assert [(event.who, event.value is None) for event in events] == [
        ("admin", False),
        ("admin", True),
    ]


@pytest.mark.parametrize(
    ("what", "form", "says"),
    [
        ("set", {"name": "STUCK_AFTER_S", "value": "soon"}, "STUCK_AFTER_S"),
        ("set", {"name": "WALLET_SEED", "value": "x"}, "start again"),
        ("set", {"name": "NO_SUCH", "value": "x"}, "no setting"),
        ("set", {"name": "TIME_ZONE", "value": "Mars/Olympus"}, "no time zone"),
        ("set", {"name": "TIME_ZONE", "value": "../../etc/passwd"}, "no time zone"),
        ("unset", {"name": "STUCK_AFTER_S"}, "already"),
    ],
)
def test_what_makes_no_sense_is_told_and_changes_nothing(
    office: View, what: str, form: dict[str, str], says: str
) -> None:
    answer = post(office, what, **form)

    assert answer.status_code == 400
    assert says in answer.text
    assert events_in(office.store) == []


def test_times_are_told_and_asked_for_in_the_operators_zone(
    library: Store, story: Story, desk: Store
) -> None:
    tokyo = view_of(library, story, desk, zone=ZoneInfo("Asia/Tokyo"))
    utc = view_of(library, story, desk)
    for each in (tokyo, utc):
        each.sign_in()
    at = story.entries[300].event.at.replace(microsecond=0)
    local = at.astimezone(ZoneInfo("Asia/Tokyo"))

    page = tokyo.page("/admin/events/")
    there = tokyo.page("/admin/balances/", as_of=f"{local:%Y-%m-%dT%H:%M:%S}")
    here = utc.page("/admin/balances/", as_of=f"{at:%Y-%m-%dT%H:%M:%S}")

    first = re.search(r'<time datetime="([^"]+)">([^<]+)<', page)
    assert "Time (Asia/Tokyo)" in page
    assert first
    assert first[2] != first[1][:19].replace("T", " ")
    assert rows(there) == rows(here)
    assert f"just before {local:%Y-%m-%d %H:%M:%S} Asia/Tokyo" in there


def test_a_house_without_changes_tells_no_settings(view: View) -> None:
    assert "No settings are told here" in view.page("/admin/settings/")
    assert post(view, "set", name="STUCK_AFTER_S", value="1").status_code == 400
