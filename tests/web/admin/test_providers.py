"""Providers set up from the auditor's view, as events that say so."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.providers import DEFAULT, OwnProvider, Providers
from app.gateways.mint.seal import Sealer
from app.gateways.upstream import Upstream
from app.store.group import OneByOne
from app.urls import normalised_url
from domain.ledger import Ledger
from domain.provider import ProviderRemoved, ProviderSet
from tests.projections.story import Story
from tests.web.admin import conftest
from tests.web.admin.conftest import SCRIPT
from tests.web.admin.reading import rows

if TYPE_CHECKING:
    from domain.event import Event
    from tests.store.places import Store
    from tests.web.admin.conftest import View

KEY = "sk-a-key-of-ours"
OWN = OwnProvider("https://own.example/v1", "sk-own", "1.05", ())
FORM = {
    "name": "second",
    "base_url": "https://second.example/v1/",
    "api_key": KEY,
    "fee": "1.1",
    "priority": "3",
    "only": "openai/* meta/*",
    "enabled": "on",
}


def connect(base_url: str, key: str) -> Upstream:
    return Upstream(base_url, key, connect_timeout_s=0.5, read_timeout_s=0.5, connections_max=1)


@pytest.fixture
def office(store: Store, desk: Store) -> View:
    """A signed-in browser at a house whose providers can be set up."""
    providers = Providers(
        Ledger(OneByOne(store.commit).record, "worker-1"),
        store,
        Sealer(bytes(32)),
        OWN,
        connect,
        normalised_url,
        Fraction(3),
    )

    view = conftest.view_of(store, Story(), desk, providers=providers)
    assert view.sign_in().status_code == 303
    return view


def post(view: View, what: str, **form: str) -> Any:
    page = view.page("/admin/providers/")
    token = conftest.TOKEN.search(page)
    assert token
    return view.browser.post(f"/admin/providers/{what}", data={**form, "form_token": token[1]})


def events(view: View) -> list[Event]:
    return [placed.entry.event for page in view.store.log() for placed in page]


def test_a_provider_is_added_changed_and_removed_and_each_is_an_event(office: View) -> None:
    assert post(office, "add", **FORM).status_code == 303
    page = office.page("/admin/providers/")
    assert "https://second.example/v1" in page
    assert KEY not in page

    changed = {**FORM, "api_key": "", "priority": "1", "enabled": ""}
    assert post(office, "change", **changed).status_code == 303
    assert "not asked" in office.page("/admin/providers/")
    assert post(office, "remove", name="second").status_code == 303

    made, again, gone = events(office)
    assert isinstance(made, ProviderSet)
    assert isinstance(again, ProviderSet)
    assert isinstance(gone, ProviderRemoved)
    assert {made.who, again.who, gone.who} == {"admin"}
    assert (made.provider.fee, made.provider.only) == ("1.1", ("openai/*", "meta/*"))
    assert again.provider.sealed_key == made.provider.sealed_key
    assert (again.provider.enabled, again.provider.priority) == (False, 1)


@pytest.mark.parametrize(
    ("what", "form", "told"),
    [
        ("add", {**FORM, "name": DEFAULT}, "default"),
        ("add", {**FORM, "name": "No Name"}, "name"),
        ("add", {**FORM, "base_url": "ftp://x"}, "base_url"),
        ("add", {**FORM, "fee": "much"}, "fee"),
        ("add", {**FORM, "priority": "first"}, "priority"),
        ("change", {**FORM, "name": "nobody"}, "nobody"),
        ("remove", {"name": "nobody"}, "nobody"),
        ("refresh", {"name": "nobody"}, "nobody"),
    ],
)
def test_what_makes_no_sense_is_told_and_changes_nothing(
    office: View, what: str, form: dict[str, str], told: str
) -> None:
    answer = post(office, what, **form)

    assert answer.status_code == 400
    assert told in answer.text
    assert KEY not in answer.text
    assert events(office) == []


def test_a_provider_that_does_not_answer_is_told_so(office: View) -> None:
    post(office, "add", **{**FORM, "base_url": "http://127.0.0.1:9/v1"})

    answer = post(office, "refresh", name="second")

    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_a_form_that_is_not_ours_changes_nothing(office: View) -> None:
    answer = office.browser.post("/admin/providers/add", data={**FORM, "form_token": "0" * 64})

    assert answer.status_code == 403
    assert events(office) == []


def test_a_house_without_the_desk_shows_no_form_that_works(view: View) -> None:
    assert view.get("/admin/providers/").status_code == 200
    token = conftest.TOKEN.search(view.page("/admin/providers/"))
    assert token
    answer = view.browser.post("/admin/providers/add", data={**FORM, "form_token": token[1]})
    assert answer.status_code == 403


def test_every_model_is_told_with_its_price_and_what_was_sold(office: View) -> None:
    post(office, "add", **FORM)
    providers = office.app.extensions["admin"][0].index_view.auditor.providers
    prices = {"prompt": "0.00000015", "completion": "0.0000006"}
    models = [{"id": "openai/x", "pricing": prices}, {"id": SCRIPT, "pricing": prices}]
    providers.list_models("second", {"models": models}, "me")

    page = office.page("/admin/models/")
    found = office.page("/admin/models/", like="OPENAI")

    assert ["openai/x", "second", "0.15", "0.6", "", "0", "0.000"] in rows(page)
    assert "<script" not in page
    assert "openai/x" in found
    assert "script" not in found
