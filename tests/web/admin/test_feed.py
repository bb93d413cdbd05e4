"""The live feed: what is recorded is told, and told again from where a browser was."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from app.web.admin.feed import FEEDS_MAX, STILL_HERE
from domain.msat import Msat
from tests.domain.given import TERMS
from tests.projections.story import CLIENTS
from tests.store.work import ledger_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.test import TestResponse

    from tests.web.admin.conftest import View


def messages(answer: TestResponse, count: int) -> list[dict[str, str]]:
    """The first `count` messages, each with its fields."""
    chunks: Iterator[bytes] = answer.iter_encoded()
    assert next(chunks) == b"retry: 2000\n\n"
    return [
        dict(line.split(": ", 1) for line in chunk.decode().strip().split("\n"))
        for chunk in islice(chunks, count)
    ]


def positions(told: list[dict[str, str]]) -> list[int]:
    return [int(message["id"]) for message in told]


def logged(view: View) -> list[Any]:
    return [placed for page in view.store.log() for placed in page]


def test_events_are_told_in_order_with_their_postings(view: View) -> None:
    answer = view.get("/admin/feed/", after="0")
    told = messages(answer, 250)
    answer.close()

    assert answer.mimetype == "text/event-stream"
    log = logged(view)[:250]
    assert positions(told) == [placed.position for placed in log]
    assert [message["event"] for message in told] == [
        placed.entry.event.TOPIC for placed in log
    ]
    document = json.loads(told[1]["data"])
    assert document["position"] == log[1].position
    assert document["postings"]


def test_a_browser_that_was_away_is_told_what_it_missed(view: View) -> None:
    seen = logged(view)[40].position

    answer = view.browser.get("/admin/feed/?after=3", headers={"Last-Event-ID": str(seen)})
    (first,) = messages(answer, 1)
    answer.close()

    assert int(first["id"]) == logged(view)[41].position


def test_what_is_recorded_later_is_told_as_it_comes(both: View) -> None:
    answer = both.get("/admin/feed/")
    head = both.store.head()
    hold_id = uuid4()
    ledger_on(both.store).hold(hold_id, CLIENTS[0], Msat(1), TERMS)

    (told,) = messages(answer, 1)
    answer.close()

    assert int(told["id"]) == head + 1
    assert json.loads(told["data"])["request_id"] == str(hold_id)


def test_a_stranger_is_sent_to_the_door(stranger: View) -> None:
    assert stranger.get("/admin/feed/").status_code == 303


def test_a_senseless_place_is_refused(view: View) -> None:
    assert view.get("/admin/feed/", after="soon").status_code == 400
    asked = view.browser.get("/admin/feed/", headers={"Last-Event-ID": "-1"})
    assert asked.status_code == 400


def test_there_is_an_end_to_how_many_are_open_and_closing_makes_room(view: View) -> None:
    opened = [view.get("/admin/feed/", after="0") for _ in range(FEEDS_MAX)]
    assert view.get("/admin/feed/").status_code == 503
    for answer in opened:
        answer.close()
        answer.close()

    again = view.get("/admin/feed/", after="0")
    assert again.status_code == 200
    again.close()


def test_the_comment_that_keeps_it_open_is_none_a_browser_tells() -> None:
    assert STILL_HERE.startswith(b":")
    assert STILL_HERE.endswith(b"\n\n")
