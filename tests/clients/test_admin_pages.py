"""A real browser clicks through the auditor's view, wide and narrow, by mouse and by keys.

M48: nothing that a client could have named is more than text there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.discovery.listing import Draft, Listing
from tests.clients.auditing import served, sign_in
from tests.clients.devtools import Chromium
from tests.web.admin.conftest import HOSTILE_MINT, MODELS, SCRIPT, fill, told_story

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

FITS = "document.documentElement.scrollWidth <= window.innerWidth"
MENU = "[...document.querySelectorAll('.top nav a')].map(link => link.textContent.trim())"
HEADING = "document.querySelector('h1').firstChild.textContent.trim()"
FOREIGN = (
    "performance.getEntriesByType('resource').map(each => each.name)"
    ".filter(name => !name.startsWith(location.origin))"
)
MADE = (
    "document.querySelectorAll("
    "'script, iframe, main img, [onclick], [onerror], [style]').length"
)
FOCUS = "document.activeElement.textContent.trim() || document.activeElement.name"
TABS_MAX = 60


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A house of two weeks, whose models and mints have names that would like to be scripts."""
    listing = Listing("Shop", SCRIPT, ("https://shop.example",), (HOSTILE_MINT,), "1")
    with served(
        tmp_path_factory.mktemp("house"),
        lambda store: fill(store, told_story(120)),
        draft=lambda: Draft(listing, "ab" * 32, None, ("wss://relay.example",)),
    ) as where:
        yield where


@pytest.fixture
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.mark.parametrize("width", [1280, 390])
def test_an_auditor_clicks_through_every_page(house: str, page: Chromium, width: int) -> None:
    page.resize(width, 850)
    sign_in(page, house)
    names = page.run(MENU)

    wide = {}
    for name in names:
        page.follow(name)
        wide[name] = page.run(FITS)
        assert page.run(HEADING).startswith(name.split()[0])
        assert page.run(MADE) == 0
        assert page.run(FOREIGN) == []
    page.follow("Events")
    page.click("[rel=next]")
    page.click("tbody th a")
    wide["an event"] = page.run(FITS)
    page.click(".fields a")
    wide["a statement"] = page.run(FITS)
    page.click(".top form button")

    assert len(names) >= 12
    assert [name for name, fits in wide.items() if not fits] == []
    assert page.text("h1") == "Sign in"
    assert page.complaints == []


def test_what_would_like_to_be_a_script_is_read_as_it_is_written(
    house: str, page: Chromium
) -> None:
    sign_in(page, house)
    seen = ""
    for path in ("/admin/", "/admin/events/", "/admin/mints/", "/admin/models/"):
        page.go(house + path)
        seen += page.text("main")
    page.go(f"{house}/admin/nostr/")
    draft = page.text("main")

    assert all(name in seen for name in (SCRIPT, MODELS[-1], HOSTILE_MINT))
    assert all(name in draft for name in (SCRIPT, HOSTILE_MINT))
    assert page.complaints == []


def test_filters_are_filled_in_and_found_again(house: str, page: Chromium) -> None:
    sign_in(page, house)
    page.go(f"{house}/admin/events/")
    page.fill("#type", "hold.charged")
    page.fill("#model", SCRIPT)
    page.click(".filters button")

    models = page.run(
        "[...document.querySelectorAll('tbody tr')].map(row => row.cells[6].textContent)"
    )

    assert set(models) == {SCRIPT}
    assert page.run("document.querySelector('#model').value") == SCRIPT
    assert page.complaints == []


def test_a_form_that_is_refused_says_why_and_breaks_nothing(house: str, page: Chromium) -> None:
    sign_in(page, house)
    page.go(f"{house}/admin/unfinished/")
    page.click("main form button")

    assert "No mint can be asked from here." in page.text("main")
    # The browser itself writes down that the answer was a 400.
    assert [line for line in page.complaints if "400" not in line] == []


def test_everything_is_reached_by_keys_and_seen(house: str, page: Chromium) -> None:
    sign_in(page, house)
    page.go(f"{house}/admin/balances/")

    reached = []
    for _ in range(TABS_MAX):
        page.press("Tab")
        reached.append(page.run(FOCUS))
        outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", reached[-1]
        if reached[-1] == "house:earned":
            break

    assert reached[0] == "Skip to the page"
    assert {"Overview", "Settings", "Sign out", "as_of", "Show"} <= set(reached)
    assert reached[-1] == "house:earned"


def test_the_picture_of_the_days_is_told_in_words_too(house: str, page: Chromium) -> None:
    sign_in(page, house)

    told = page.run("document.querySelector('svg[role=img]').getAttribute('aria-label')")
    rows = page.run("document.querySelectorAll('details tbody tr').length")

    assert "what was earned a day" in told
    assert rows == 30
