"""Accounts: found by their id or by a request, and the statement of any of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from flask import redirect, url_for

from app.web.admin import figures
from app.web.admin.room import (
    FormError,
    NothingFoundError,
    Room,
    asked,
    asked_id,
    asked_period,
    linked,
    page,
)
from projections.chart import balance_msat
from projections.rates import rate_before
from projections.statement import Place, Stand, accounts_of, read_part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from projections.chart import Query
    from projections.statement import Part

LINES = 100
PLACE = re.compile(r"([0-9]{1,18})\.([0-9]{1,9})", re.ASCII)
WIDTH, HEIGHT = 720, 100
TITLES = {"available": "Available", "held": "Held"}


class Accounts(Room):
    """Where an account is looked for."""

    @page("/")
    def index(self) -> Any:
        wanted = asked_id("id")
        if wanted is not None:
            account = self.auditor.look(lambda query: self._find(query, wanted))
            if not account:
                raise NothingFoundError(
                    "No account has that id, and no request. An id is in the log line of a"
                    " request, and in x-request-id of its answer."
                )
            return redirect(url_for("admin-statement.index", account=account))

        def read(query: Query) -> tuple[list[dict[str, Any]], str]:
            observed = figures.rate(query)
            return figures.richest(query), observed[0] if observed else ""

        rows, observed = self.auditor.look(read)
        rate = self.auditor.fixed_btc_usd or observed
        return self.render("auditor/accounts.html", rows=rows, rate=rate)

    def _find(self, query: Query, wanted: UUID) -> str:
        if figures.account_row(query, wanted):
            return str(wanted)
        movement = self.auditor.log.movement(query, wanted, 1)
        return movement[0].account if movement else ""


class Told(NamedTuple):
    """A part of a statement, what its accounts stood at around the period, a client's keys."""

    part: Part
    opening: Stand
    closing: Stand
    keys: list[dict[str, Any]]


class Statement(Room):
    """What an account took in and gave between two moments, and what it stood at."""

    @page("/")
    def index(self) -> Any:
        account, period = asked("account"), asked_period(self.auditor.zone)
        if not account:
            return redirect(url_for("admin-accounts.index"))
        if account.startswith(("sk-", "cashu")):
            raise FormError("An account is named by its id, never by its key.")
        accounts, after = accounts_of(account), _after()

        def read(query: Query) -> Told:
            part = read_part(query, accounts, period, after, LINES)
            begin, end = (
                _stood(query, accounts, at, part.upto) for at in (period.begin, period.end)
            )
            opening = begin if period.begin else Stand((0,) * len(accounts))
            keys = figures.keys_of(query, UUID(account)) if len(accounts) > 1 else []
            return Told(part, opening, end, keys)

        told: Told = self.auditor.look(read)
        kept = {name: asked(name) for name in ("account", "from", "to") if asked(name)}
        following = first = None
        if told.part.next is not None:
            place = f"{told.part.next.position}.{told.part.next.line}"
            following = linked("admin-statement.index", kept | {"after": place})
        if after is not None:
            first = linked("admin-statement.index", kept)
        return self.render(
            "auditor/statement.html",
            account=account,
            titles=[TITLES.get(name.rpartition(":")[2], "Balance") for name in accounts],
            accounts=accounts,
            told=told,
            kept=kept,
            following=following,
            first=first,
            curve=curve(
                [told.part.opening.msat[0]]
                + [line.balances_msat[0] for line in told.part.lines]
            ),
        )


def curve(balances_msat: Sequence[int]) -> str:
    """Return the points of a line in steps, from left to right; lowest at the bottom.

    >>> curve([0, 10])
    '0,100 720,100 720,0'
    """
    low, high = min(balances_msat), max(balances_msat)
    steps = max(1, len(balances_msat) - 1)
    points: list[str] = []
    for place, stood_msat in enumerate(balances_msat):
        x = WIDTH * place // steps
        y = HEIGHT - (HEIGHT * (stood_msat - low) // (high - low) if high > low else 0)
        if points:
            points.append(f"{x},{points[-1].rpartition(',')[2]}")
        points.append(f"{x},{y}")
    return " ".join(points)


def _stood(query: Query, accounts: Sequence[str], at: datetime | None, upto: int) -> Stand:
    balances = (balance_msat(query, name, at, upto) for name in accounts)
    return Stand(tuple(balances), rate_before(query, at, upto))


def _after() -> Place | None:
    text = asked("after")
    if not text:
        return None
    found = PLACE.fullmatch(text)
    if found is None:
        raise FormError("'after' is not what the page before said.")
    return Place(int(found[1]), int(found[2]))
