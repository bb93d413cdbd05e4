from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from app.web.admin import figures, words
from domain.posting import KINDS, postings
from tests.domain.given import MINT
from tests.projections.story import CLIENTS, OTHER_MINT, Story, books_of, rates_change
from tests.web.admin.conftest import HOSTILE_MINT, MODELS, SCRIPT, View, fill, view_of
from tests.web.admin.reading import all_rows, positions, rows, sat_msat, tile

if TYPE_CHECKING:
    from uuid import UUID

    from tests.store.places import Store

PAGES = (
    "/admin/",
    "/admin/events/",
    "/admin/accounts/",
    "/admin/balances/",
    "/admin/unfinished/",
    "/admin/mints/",
    "/admin/prices/",
    f"/admin/statement/?account={CLIENTS[0]}",
    "/admin/statement/?account=house:earned",
)


def test_the_first_page_tells_the_figures_of_the_books(both: View) -> None:
    books = books_of(both.story.entries)
    owners = ("client:", "refunds:", "tokens:")

    text = both.page("/admin/")

    owed_msat = sum(msat for name, msat in books.items() if name.startswith(owners))
    mints_msat = -sum(msat for name, msat in books.items() if name.startswith("mint:"))
    held_msat = sum(msat for name, msat in books.items() if name.endswith(":held"))
    assert sat_msat(tile(text, "Owed to clients")) == owed_msat
    assert sat_msat(tile(text, "Held at mints")) == mints_msat
    assert sat_msat(tile(text, "Earned")) == books["house:earned"]
    assert sat_msat(tile(text, "In holds now")) == held_msat == 12_345


def test_the_days_and_the_models_add_up_to_what_was_earned(both: View) -> None:
    earned_msat = books_of(both.story.entries)["house:earned"]

    found = rows(both.page("/admin/"))

    days = [sat_msat(row[1]) for row in found if re.fullmatch(r"\d{4}-\d\d-\d\d", row[0])]
    models = {row[0]: sat_msat(row[2]) for row in found if row and row[0] in MODELS}
    assert len(days) == 30
    assert sum(days) == sum(models.values()) == earned_msat
    assert set(models) == set(MODELS)


def test_the_rate_is_told_with_its_age(store: Store, desk: Store) -> None:
    story = Story()
    story.now = datetime.now(UTC) - timedelta(minutes=7, seconds=5)
    story.ledger.observe_rate(story.new(), "97120.12", ("here",))
    view = view_of(store, story, desk)
    view.sign_in()
    before = view.page("/admin/")
    fill(store, story)

    text = view.page("/admin/")

    assert "no rate was observed yet" in before
    assert tile(text, "Bitcoin in USD") == "$97,120.12"
    assert "observed 7 min ago" in text


def test_each_mint_agrees_with_its_proofs(both: View) -> None:
    books = books_of(both.story.entries)

    found = {row[0]: row for row in rows(both.page("/admin/mints/")) if len(row) == 9}

    for mint in (MINT, OTHER_MINT, HOSTILE_MINT):
        ledger, free, set_aside, out, difference = map(sat_msat, found[mint][1:6])
        assert ledger == free + set_aside + out == -books[f"mint:{mint}"]
        assert (difference, found[mint][8]) == (0, "agrees")


def test_a_proof_that_is_lost_is_named(both: View) -> None:
    with both.store.transaction() as query:
        query("DELETE FROM proof WHERE mint = ?", [HOSTILE_MINT])

    (row,) = [row for row in rows(both.page("/admin/mints/")) if row[0] == HOSTILE_MINT]

    assert sat_msat(row[5]) == -64_000
    assert row[8] == "look into it"
    assert "look into it" in both.page("/admin/")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_balances_as_of_any_moment_are_those_of_the_books(both: View, share: float) -> None:
    entries = both.story.entries
    at = entries[int(len(entries) * share)].event.at.replace(microsecond=0)
    books = books_of(entry for entry in entries if entry.event.at < at)

    text = both.page("/admin/balances/", as_of=at.strftime("%Y-%m-%dT%H:%M:%S"))

    found = {row[0]: sat_msat(row[1]) for row in rows(text) if len(row) == 3 and ":" in row[0]}
    own = {name: msat for name, msat in books.items() if not name.startswith("client:")}
    clients = {name: msat for name, msat in found.items() if name.startswith("client:")}
    assert {name: msat for name, msat in found.items() if name not in clients} == own
    assert sum(clients.values()) == sum(books.values()) - sum(own.values())
    assert sum(found.values()) == 0


def test_an_event_shows_its_entries_and_its_whole_movement(both: View) -> None:
    charged = positions(both, lambda entry: entry.event.TOPIC == "hold.charged")[-1]
    entry = both.story.entries[charged - both.store.head() - 1]

    text = both.page(f"/admin/events/{charged}")

    found = rows(text)
    for arrow in postings(entry.event):
        assert [
            words.short(arrow.source),
            words.short(arrow.destination),
            words.sat(arrow.amount_msat),
        ] in found
    assert f'href="/admin/events/{charged - 1}"' in text
    assert str(entry.stream) in text
    assert "sealed" in text
    assert f"/proof/inclusion?position={charged}" in text


def test_every_kind_of_event_in_the_story_has_its_page(view: View) -> None:
    shown = set()
    for place, entry in enumerate(view.story.entries, 1):
        if entry.event.TOPIC not in shown:
            shown.add(entry.event.TOPIC)
            assert entry.event.TOPIC in view.page(f"/admin/events/{place}")

    assert shown <= {kind.TOPIC for kind in KINDS}
    assert len(shown) >= 9


@pytest.mark.parametrize("client", CLIENTS)
def test_a_statement_ends_at_what_the_books_say(both: View, client: UUID) -> None:
    books = books_of(both.story.entries)
    names = [f"client:{client}:{part}" for part in ("available", "held")]
    path = f"/admin/statement/?account={client}"

    lines = all_rows(both, path)
    opening, closing = rows(both.page(path))[1:3]

    wanted = [books.get(name, 0) for name in names]
    assert [sat_msat(cell) for cell in opening[1::2]] == [0, 0]
    assert [sat_msat(cell) for cell in closing[1::2]] == wanted
    assert [sat_msat(cell) for cell in lines[-1][-2:]] == wanted
    arrows = [arrow for e in both.story.entries for arrow in postings(e.event)]
    assert len(lines) == sum(bool({a.source, a.destination} & set(names)) for a in arrows)


def test_a_period_opens_where_the_one_before_closed(both: View) -> None:
    day = both.story.entries[300].event.at.date().isoformat()
    account = str(CLIENTS[0])

    before = rows(both.page("/admin/statement/", account=account, to=day))
    after = rows(both.page("/admin/statement/", account=account, **{"from": day}))

    assert before[2][1:] == after[1][1:] != ["0.000", "0.000"]


def test_dollars_stand_beside_every_amount_at_the_rate_of_then(
    store: Store, desk: Store
) -> None:
    client = str(CLIENTS[0])
    view = view_of(store, rates_change(), desk)
    fill(store, view.story)
    view.sign_in()
    day = {"from": "2026-01-03"}

    statement = rows(view.page("/admin/statement/", account=client, **day))
    balances = rows(view.page("/admin/balances/", as_of="2026-01-03"))
    now = rows(view.page("/admin/balances/"))
    accounts = rows(view.page("/admin/accounts/"))

    # 1,000,000 msat, less 30,000 at 50,000 dollars; 70,000 more at 40,000.
    assert statement[1][1:] == ["970.000", "$0.4850", "0.000", "$0.0000"]
    assert statement[2][1:] == ["1,040.000", "$0.4160", "0.000", "$0.0000"]
    assert [row[-4:] for row in statement if row[0].startswith("20")] == [
        ["+70.000", "$0.0280", "1,040.000", "0.000"]
    ]
    assert {row[0]: row[2] for row in balances}["house:earned"] == "$0.0150"
    assert {row[0]: row[2] for row in now}["house:earned"] == "$0.0120"
    assert accounts[1][3] == "$0.4160"


def test_the_operators_own_rate_is_that_of_now_and_not_of_the_past(
    store: Store, desk: Store
) -> None:
    view = view_of(store, rates_change(), desk, fixed_btc_usd="100000")
    fill(store, view.story)
    view.sign_in()

    now = rows(view.page("/admin/balances/"))
    then = rows(view.page("/admin/balances/", as_of="2026-01-03"))
    accounts = rows(view.page("/admin/accounts/"))

    assert {row[0]: row[2] for row in now}["house:earned"] == "$0.0300"
    assert {row[0]: row[2] for row in then}["house:earned"] == "$0.0150"
    assert accounts[1][3] == "$1.04"


def test_what_is_not_finished_is_told(both: View) -> None:
    found = rows(both.page("/admin/unfinished/"))

    kinds = [row[1] for row in found if row and row[0].startswith("20")]
    assert kinds == ["refund stuck at mint", "76.000", "12.345"]


def test_only_what_has_waited_for_long_is_stuck(view: View) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3_000)
    with view.store.snapshot() as query:
        found = [
            figures.open_movements(query, issued=False, stuck_since=since)[0]["is_stuck"]
            for since in (datetime.now(UTC), long_ago, None)
        ]

    assert found == [True, False, False]


def test_an_account_is_found_by_its_id_and_by_a_request(view: View) -> None:
    stream = next(e.stream for e in view.story.entries if e.event.TOPIC == "hold.held")
    owner = next(e.event for e in view.story.entries if e.stream == stream)

    by_id = view.get("/admin/accounts/", id=str(CLIENTS[0]))
    by_request = view.get("/admin/accounts/", id=str(stream))

    assert by_id.headers["Location"] == f"/admin/statement/?account={CLIENTS[0]}"
    assert by_request.headers["Location"].endswith(str(words.account_of(owner)))


@pytest.mark.parametrize("path", PAGES)
def test_what_would_like_to_be_a_script_is_text(view: View, path: str) -> None:
    text = view.page(path)

    assert "<script" not in text.lower()
    assert "<img" not in text.lower()
    assert "Test &lt;House&gt;" in text


def test_hostile_names_are_shown_as_they_are(view: View) -> None:
    text = view.page("/admin/events/", model=SCRIPT)

    assert {row[6] for row in rows(text)[1:]} == {SCRIPT}
    assert "<script" not in text


@pytest.mark.parametrize("path", PAGES[:-2])
def test_a_page_without_anything_says_what_it_is_for(empty: View, path: str) -> None:
    text = empty.page(path)

    assert 'class="empty"' in text or path == "/admin/prices/"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("events", {"type": "no.such"}),
        ("events", {"request": "x"}),
        ("events", {"before": "-1"}),
        ("events", {"before": "1e9"}),
        ("events", {"min_sat": "1,5"}),
        ("events", {"from": "yesterday"}),
        ("events", {"from": "2026-02-02", "to": "2026-02-01"}),
        ("events", {"account": "sk-secret"}),
        ("events", {"model": "x" * 400}),
        ("events", {"model": "\x00"}),
        ("accounts", {"id": "sk-secret"}),
        ("statement", {"account": "cashuAsecret"}),
        ("statement", {"account": "house:earned", "after": "1"}),
        ("balances", {"as_of": "soon"}),
    ],
)
def test_what_makes_no_sense_is_told_without_repeating_secrets(
    view: View, path: str, asked: dict[str, str]
) -> None:
    answer = view.get(f"/admin/{path}/", **asked)

    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/admin/events/0",
        "/admin/events/9999999",
        f"/admin/events/{1 << 63}",
        "/admin/accounts/?id=00000000-0000-4000-8000-0000000fffff",
    ],
)
def test_what_is_not_there_is_not_found(view: View, path: str) -> None:
    assert view.get(path).status_code == 404


def test_a_statement_of_nobody_is_empty(view: View) -> None:
    assert "No money moved" in view.page("/admin/statement/", account="nobody")


def test_the_books_of_what_the_followers_have_not_told_are_read_from_the_log(
    both: View,
) -> None:
    for name in ("journal", "daily"):
        both.store.forget(name)

    text = both.page("/admin/")

    earned_msat = books_of(both.story.entries)["house:earned"]
    assert sat_msat(tile(text, "Earned")) == earned_msat


def test_books_that_are_made_anew_are_told_of(both: View) -> None:
    both.store.forget("journal")

    answer = both.get("/admin/")

    assert answer.status_code == 503
    assert "being made anew" in answer.text
