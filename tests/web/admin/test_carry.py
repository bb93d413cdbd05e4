"""Events carried out as files: all that fit, in bounded memory, and nothing that computes."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from app.web.admin import carry
from app.web.admin.carry import COLUMNS, Carried
from app.web.admin.log import Marks
from domain.operators import OperatorActed
from projections.moments import Period
from tests.projections.story import CLIENTS, Story
from tests.staff.desk import events_in
from tests.web.admin.conftest import MODELS, TOKEN, View, fill, view_of

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.store.places import Store

FORMULA = '=HYPERLINK("http://evil.example","x")'


def export(view: View, layout: str, **marks: str) -> TestResponse:
    token = TOKEN.search(view.page("/admin/events/"))
    assert token
    form = {"form_token": token[1], "format": layout}
    return view.browser.post("/admin/events/export", query_string=marks, data=form)


def lines(answer: TestResponse) -> list[dict[str, Any]]:
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "PAGE", 7)


@pytest.mark.usefixtures("small_pages")
def test_every_event_is_in_it_once_newest_first(view: View) -> None:
    found = lines(export(view, "csv"))

    positions = [int(line["position"]) for line in found]
    assert list(found[0]) == list(COLUMNS)
    assert positions == list(range(view.store.head(), 0, -1))


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(
    "marks",
    [
        {"type": "hold.charged"},
        {"model": MODELS[0]},
        {"account": str(CLIENTS[0])},
        {"account": str(CLIENTS[1]), "type": "hold.held"},
        {"min_sat": "60"},
    ],
)
def test_only_what_fits_is_in_it_and_all_of_that(view: View, marks: dict[str, str]) -> None:
    every = [json.loads(line) for line in export(view, "jsonl").text.splitlines()]

    found = lines(export(view, "csv", **marks))

    wanted = [
        line["position"]
        for line in every
        if marks.get("type", line["type"]) == line["type"]
        and marks.get("model", "") in {"", line["event"].get("terms", {}).get("model", "")}
        and ("account" not in marks or marks["account"] in json.dumps(line["postings"]))
    ]
    positions = [int(line["position"]) for line in found]
    if "min_sat" in marks:
        assert all(int(line["amount_msat"]) >= 60_000 for line in found)
    else:
        assert positions == wanted
    assert positions


def test_amounts_have_the_rate_of_then_beside_them(view: View) -> None:
    line = lines(export(view, "csv", type="hold.charged"))[0]

    assert line["btc_usd"] == "97120.12"
    assert line["amount_sat"] == f"{int(line['amount_msat']) / 1000:.3f}"
    assert float(line["amount_usd"]) > 0


def test_a_cell_cannot_be_a_formula(store: Store, desk: Store) -> None:
    story = Story()
    story.deposit(CLIENTS[0], 1_000)
    story.hold(CLIENTS[0], 1_000, FORMULA, "97120.12")
    fill(store, story, seal=False)
    view = view_of(store, story, desk)
    view.sign_in()

    answer = export(view, "csv")

    cells = [cell for row in csv.reader(io.StringIO(answer.text)) for cell in row]
    assert "'" + FORMULA in cells
    assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@", "\t", "\r"}]


def test_json_lines_hold_the_event_and_its_arrows(view: View) -> None:
    first = json.loads(export(view, "jsonl", type="deposit.credited").text.splitlines()[-1])

    assert first["type"] == "deposit.credited"
    assert first["event"]["account_id"] == str(CLIENTS[0])
    assert first["postings"][0]["amount_msat"] > 0


def test_who_carried_what_out_is_an_event(view: View) -> None:
    export(view, "csv", type="hold.charged")

    event = events_in(view.desk)[-1]
    assert isinstance(event, OperatorActed)
    assert (event.who, event.act) == ("admin", "exported")
    assert event.about == "events as csv, type=hold.charged"


@pytest.mark.parametrize(
    ("layout", "marks"), [("xlsx", {}), ("", {}), ("csv", {"type": "no.such"})]
)
def test_what_makes_no_sense_is_refused_and_is_no_event(
    view: View, layout: str, marks: dict[str, str]
) -> None:
    before = len(events_in(view.desk))

    assert export(view, layout, **marks).status_code == 400

    assert len(events_in(view.desk)) == before


def test_one_page_is_in_memory_and_a_broken_download_asks_no_more(view: View) -> None:
    answer = export(view, "csv")
    auditor = view.app.extensions["admin"][0].index_view.auditor
    carried = Carried(auditor, Marks(period=Period()), "csv")
    next(carried)
    next(carried)

    size = len(carried._ready)
    carried.close()

    assert size <= 1
    assert list(carried) == []
    assert answer.headers["Content-Disposition"] == 'attachment; filename="events.csv"'
