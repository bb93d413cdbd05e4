"""The first page: what is owed, what is there, what was earned, and whether it agrees."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import redirect, request, url_for

from app.web.admin import figures
from app.web.admin.room import ON, SIGNED_IN, Room, now, page
from domain.posting import EARNED, SHORTFALL, TOKENS_OUTSTANDING
from projections.chart import told_upto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.chart import Query

CHART_WIDTH, CHART_HEIGHT = 720, 160


class Bar(NamedTuple):
    """A day in the picture; what the numbers are of stands beside it in words."""

    x: int
    y: int
    height: int
    day: str
    earned_msat: int


def bars(days: Sequence[figures.Day]) -> list[Bar]:
    """Return a bar for each day, the tallest as high as the picture.

    >>> [bar.height for bar in bars([figures.Day("a", 5), figures.Day("b", 10)])]
    [80, 160]
    """
    most_msat = max((day.earned_msat for day in days), default=0)
    step = CHART_WIDTH // max(1, len(days))
    found = []
    for place, (day, earned_msat) in enumerate(days):
        height = CHART_HEIGHT * earned_msat // most_msat if most_msat else 0
        # A day on which a msat was earned does not look like one without.
        height = max(height, 2) if earned_msat else 0
        found.append(Bar(place * step, CHART_HEIGHT - height, height, day, earned_msat))
    return found


class Overview(Room):
    """The first page, and the way out."""

    @page("/")
    def index(self) -> Any:
        told = self.auditor.look(self._read)
        return self.render("auditor/overview.html", **told)

    @page("/sign-out", "POST", scope=SIGNED_IN)
    def sign_out(self) -> Any:
        """End this session, or with `everywhere` all sessions of whoever is signed in."""
        if request.form.get("everywhere") == ON:
            self.auditor.operators.sign_out(self.auditor.who(), self.auditor.who())
        self.auditor.keep(None)
        return redirect(url_for("admin-sign-in.index"), HTTPStatus.SEE_OTHER)

    def _read(self, query: Query) -> dict[str, Any]:
        at, log = now(), self.auditor.log
        told = figures.balances(query, log)
        tail = figures.tail_of(query, log, told_upto(query))
        days = figures.earned_days(query, tail, at)
        fixed, found = self.auditor.fixed_btc_usd, figures.rate(query)
        mints = figures.mints(query, told)
        return {
            "told": told,
            "held_msat": told.msat.get(figures.CLIENTS_HELD, 0),
            "tokens_msat": told.msat.get(TOKENS_OUTSTANDING, 0),
            "earned_msat": told.msat.get(EARNED, 0),
            "shortfall_msat": -told.msat.get(SHORTFALL, 0),
            "requests_open": figures.holds_open(query),
            "rate": fixed or (found[0] if found else ""),
            "rate_is_fixed": bool(fixed),
            "rate_age_s": (at - found[1]).total_seconds() if found else 0,
            "mints": mints,
            "agrees": all(mint.agrees for mint in mints),
            "bars": bars(days),
            "earned_30_msat": sum(day.earned_msat for day in days),
            "models": figures.top_models(query, at),
        }
