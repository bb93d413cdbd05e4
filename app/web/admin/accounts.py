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
from projections.statement import Place, accounts_of, read_part

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        rows = self.auditor.look(figures.richest)
        return self.render("auditor/accounts.html", rows=rows)

    def _find(self, query: Query, wanted: UUID) -> str:
        if figures.account_row(query, wanted):
            return str(wanted)
        movement = self.auditor.log.movement(query, wanted, 1)
        return movement[0].account if movement else ""


class Told(NamedTuple):
    """A part of a statement, what its accounts stood at around the period, a client's keys."""

    part: Part
    opening_msat: list[int]
    closing_msat: list[int]
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
            stood = [
                [
                    0 if is_begin and at is None else balance_msat(query, name, at, part.upto)
                    for name in accounts
                ]
                for is_begin, at in ((True, period.begin), (False, period.end))
            ]
            keys = figures.keys_of(query, UUID(account)) if len(accounts) > 1 else []
            return Told(part, stood[0], stood[1], keys)

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
                [told.part.opening_msat[0]]
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


def _after() -> Place | None:
    text = asked("after")
    if not text:
        return None
    found = PLACE.fullmatch(text)
    if found is None:
        raise FormError("'after' is not what the page before said.")
    return Place(int(found[1]), int(found[2]))
