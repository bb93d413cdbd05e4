"""How tests read a page: its tables, its figures, its links."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

from app.web.admin import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.event import Entry
    from tests.web.admin.conftest import View

ROW = re.compile(r"<tr[^>]*>(.*?)</tr>", re.DOTALL)
CELL = re.compile(r"<(?:td|th)[^>]*>(.*?)</(?:td|th)>", re.DOTALL)
PLACE = re.compile(r"#\d+")
TAG = re.compile(r"<[^>]*>")


def rows(text: str) -> list[list[str]]:
    """The cells of every table's lines, as they are read."""
    return [
        [unescape(TAG.sub("", cell)).strip() for cell in CELL.findall(row)]
        for row in ROW.findall(text)
    ]


def fields(text: str) -> list[tuple[str, str]]:
    """The names and values of a list of fields."""
    return [
        (unescape(name), unescape(TAG.sub("", value)).strip())
        for name, value in re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", text, re.DOTALL)
    ]


def tile(text: str, title: str) -> str:
    """The figure under a title on the first page."""
    found = re.search(rf"<dt>{title}</dt><dd class=\"figure[^>]*>([^ <]*)", text)
    assert found
    return found[1]


def sat_msat(text: str) -> int:
    sign = -1 if text.startswith(words.MINUS) else 1
    return sign * int(re.sub(r"\D", "", text))


def following(text: str) -> str | None:
    found = re.search(r'rel="next" href="([^"]*)"', text)
    return unescape(found[1]) if found else None


def all_rows(view: View, path: str | None) -> list[list[str]]:
    """The lines of the last table on a page and on all that follow it."""
    found: list[list[str]] = []
    while path:
        text = view.page(path)
        found += [row for row in rows(text) if any(PLACE.fullmatch(cell) for cell in row[:2])]
        path = following(text)
    return found


def events_of(view: View, **asked: str) -> list[int]:
    path = "/admin/events/?" + "&".join(f"{name}={text}" for name, text in asked.items())
    return [
        int(row[0].removeprefix("#")) for row in all_rows(view, path) if row[0][1:].isdigit()
    ]


def positions(view: View, fits: Callable[[Entry], bool]) -> list[int]:
    """Where the events are that `fits` chooses, newest first; positions count from 1."""
    first = view.store.head() - len(view.story.entries)
    chosen = [first + place for place, entry in enumerate(view.story.entries, 1) if fits(entry)]
    return chosen[::-1]
