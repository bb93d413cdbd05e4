"""A client's own books: its statement, its balance at any moment, what it used."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, Response, request

from app.web.balance import PREFIXES, never_store
from app.web.bodies import as_json
from app.web.errors import API, retry_after
from app.web.problems import problem
from app.web.refusals import InvalidParameterError
from app.web.transactions import OF_HOLDS, key_of, transaction
from domain.errors import ChildKeyError
from projections.chart import NotToldError, balance_msat, told_upto
from projections.children import children_of
from projections.export.csv import table
from projections.export.tables import line_document, statement_csv, stood_document
from projections.history import read_history
from projections.moments import MomentError, Period, day_of, moment, start_of_day
from projections.rates import rate_before
from projections.statement import Place, Stand, accounts_of, read_part
from projections.usage import AMOUNTS, read_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.cashier.keys import Spender
    from app.web.admin.log import Told
    from app.web.bearer import Bearer
    from projections.chart import Query
    from projections.statement import Part

LINES_MAX, LINES_DEFAULT = 10_000, 1_000
HISTORY_MAX, HISTORY_DEFAULT = 1_000, 100
USAGE_DAYS_MAX, USAGE_DAYS_DEFAULT = 366, 31
USAGE_LINES_MAX = 20_000
NOT_TOLD_RETRY_S = 10
CSV_TYPE = "text/csv; charset=utf-8"
PLACE = re.compile(r"(\d{1,18})\.(\d{1,9})", re.ASCII)
GROUPS = {"day,model": ("day", "model"), "day": ("day",), "model": ("model",), "none": ()}
BY_KEY = "key"
AS_OF = (
    *("account", "as_of", "position", "available_msat", "held_msat"),
    *("btc_usd", "available_usd", "held_usd"),
)


class Books:
    """Reads an account's books for whoever holds its key.

    `look` runs a reading on one consistent view, where it does not stall other requests;
    `movement` reads the events of one movement there.
    """

    def __init__(
        self,
        bearer: Bearer,
        look: Callable[[Callable[[Query], Any]], Any],
        movement: Callable[[Query, UUID], Sequence[Told]],
    ) -> None:
        self._bearer = bearer
        self._look = look
        self._movement = movement

    def statement(self) -> Response:
        """Return the opening, the lines and the closing; or the balance `as_of` a moment."""
        account_id = str(self._own(request.headers.get("Authorization", "")).account_id)
        accounts = accounts_of(account_id)
        if as_of := request.args.get("as_of"):
            return self._as_of(account_id, accounts, as_of)
        period, limit, after = _period(), _limit(), _after()
        part: Part
        part, keys = self._look(lambda query: self._part(query, accounts, period, after, limit))
        if _wants_csv():
            text = statement_csv(accounts, part.opening, part.lines, part.closing_btc_usd)
            return _csv("statement", text, _link(part.next))
        document = {
            "account": account_id,
            "position": part.upto,
            "opening": stood_document(accounts, part.opening),
            "lines": [
                line_document(line, accounts) | keys.get(line.stream, {}) for line in part.lines
            ],
            "closing": stood_document(accounts, part.closing),
            "next": _spelled(part.next),
        }
        return as_json(document, headers=_link(part.next))

    def usage(self) -> Response:
        """Return what was used, by day and model; the days of a period in UTC.

        A child is told what it has used itself; its parent what all of them have.
        """
        account_id = self._bearer.spender(request.headers.get("Authorization", "")).id
        days = _days()
        if request.args.get("group_by") == BY_KEY:
            return self._by_key(account_id, days)
        by = _groups()
        used = self._look(
            lambda query: read_usage(query, account_id, days, by, USAGE_LINES_MAX + 1)
        )
        if len(used) > USAGE_LINES_MAX:
            raise InvalidParameterError("from", "asks for too much at once")
        lines = [{"day": each.day, "model": each.model, **each.amounts} for each in used]
        kept = [name for name in ("day", "model") if name in by]
        rows = [{name: line[name] for name in (*kept, *AMOUNTS)} for line in lines]
        if _wants_csv():
            heading = (*kept, *AMOUNTS)
            return _csv("usage", table(heading, (tuple(row.values()) for row in rows)), {})
        total = {name: sum(each.amounts[name] for each in used) for name in AMOUNTS}
        document = {"account": str(account_id), "from": days[0], "to": days[1]}
        return as_json({**document, "usage": rows, "total": total})

    def _by_key(self, account_id: UUID, days: tuple[str, str]) -> Response:
        """Return what an account has used, and each of its child keys."""

        def read(query: Query) -> list[dict[str, Any]]:
            owners = (account_id, *children_of(query, account_id))
            return [
                {"key": str(owner), **used.amounts}
                for owner in owners
                for used in read_usage(query, owner, days, (), 1)
            ]

        total, *children = self._look(read)
        children = [each for each in children if each["requests"]]
        del total["key"]
        if _wants_csv():
            heading = (BY_KEY, *AMOUNTS)
            return _csv(
                "usage", table(heading, (tuple(each.values()) for each in children)), {}
            )
        document = {"account": str(account_id), "from": days[0], "to": days[1]}
        return as_json({**document, "usage": children, "total": total})

    def history(self) -> Response:
        """Return what came in and went out, newest first, each with the balance after it."""
        account_id = self._own(request.headers.get("Authorization", "")).account_id
        before, limit = _before(), _limit(HISTORY_DEFAULT, HISTORY_MAX)

        def read(query: Query) -> tuple[list[dict[str, Any]], int | None]:
            changes, older = read_history(query, account_id, before, limit)
            told = [transaction(each, self._movement(query, each.stream)) for each in changes]
            return told, older

        transactions, older = self._look(read)
        following = None if older is None else str(older)
        return as_json({"transactions": transactions, "next": following})

    def _own(self, authorization: str) -> Spender:
        """Return who asks, if the books asked for are its own; raises `ChildKeyError`."""
        spender = self._bearer.spender(authorization)
        if spender.is_child:
            raise ChildKeyError
        return spender

    def _part(
        self,
        query: Query,
        accounts: Sequence[str],
        period: Period,
        after: Place | None,
        limit: int,
    ) -> tuple[Part, dict[UUID, dict[str, str]]]:
        """Return a part of a statement, and by which child key its requests were made."""
        part = read_part(query, accounts, period, after, limit)
        if not children_of(query, UUID(accounts[0].split(":")[1])):
            return part, {}
        holds = {line.stream for line in part.lines if line.topic in OF_HOLDS}
        made = {stream: key_of(self._movement(query, stream)) for stream in holds}
        return part, {stream: {"key": str(key)} for stream, key in made.items() if key}

    def _as_of(self, account_id: str, accounts: Sequence[str], text: str) -> Response:
        if {"from", "to", "after"} & set(request.args):
            raise InvalidParameterError("as_of", "goes without 'from', 'to' and 'after'")
        at = _moment("as_of", text)

        def stood(query: Query) -> tuple[int, Stand]:
            upto = told_upto(query)
            balances = tuple(balance_msat(query, name, at, upto) for name in accounts)
            return upto, Stand(balances, rate_before(query, at, upto))

        upto, stand = self._look(stood)
        document = {"account": account_id, "as_of": at.isoformat(), "position": upto}
        told = {**document, **stood_document(accounts, stand)}
        if _wants_csv():
            return _csv("balance", table(AS_OF, [[told.get(name, "") for name in AS_OF]]), {})
        return as_json(told)


def blueprint(books: Books) -> Blueprint:
    """Return the routes; they answer with JSON, or with CSV where `format=csv`."""
    routes = Blueprint("statement", __name__)
    for name, prefix in PREFIXES.items():
        routes.add_url_rule(f"{prefix}/statement", f"{name}_statement", books.statement)
        routes.add_url_rule(f"{prefix}/history", f"{name}_history", books.history)
    routes.add_url_rule("/v1/usage", "usage", books.usage)
    routes.register_error_handler(NotToldError, _not_told)
    routes.after_request(never_store)
    return routes


def _not_told(error: NotToldError) -> Response:
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        message=str(error),
        type_=API,
        code="statement_not_ready",
        headers=retry_after(NOT_TOLD_RETRY_S),
    )


def _period() -> Period:
    bounds = {name: _given(name) for name in ("from", "to")}
    try:
        return Period.between(bounds["from"], bounds["to"])
    except MomentError as error:
        raise InvalidParameterError("from", str(error)) from error


def _days() -> tuple[str, str]:
    today = start_of_day(datetime.now(UTC))
    end = _day("to", today + timedelta(days=1))
    begin = _day("from", end - timedelta(days=USAGE_DAYS_DEFAULT))
    if not timedelta(0) < end - begin <= timedelta(days=USAGE_DAYS_MAX):
        raise InvalidParameterError("from", f"is not 1 to {USAGE_DAYS_MAX} days before 'to'")
    return day_of(begin), day_of(end)


def _day(name: str, default: datetime) -> datetime:
    text = _given(name)
    at = _moment(name, text) if text else default
    if at != start_of_day(at):
        raise InvalidParameterError(name, "is not the beginning of a day in UTC")
    return at


def _moment(name: str, text: str) -> datetime:
    try:
        return moment(text)
    except MomentError as error:
        raise InvalidParameterError(name, str(error)) from error


def _limit(default: int = LINES_DEFAULT, most: int = LINES_MAX) -> int:
    text = request.args.get("limit", str(default))
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 0 < int(text) <= most:
        raise InvalidParameterError("limit", f"is not a number from 1 to {most}")
    return int(text)


def _before() -> int | None:
    text = _given("before")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise InvalidParameterError("before", "is not what 'next' said")
    return int(text)


def _after() -> Place | None:
    text = _given("after")
    if text is None:
        return None
    found = PLACE.fullmatch(text)
    if found is None:
        raise InvalidParameterError("after", "is not what 'next' said")
    return Place(int(found[1]), int(found[2]))


def _groups() -> tuple[str, ...]:
    text = request.args.get("group_by", "day,model")
    if text not in GROUPS:
        raise InvalidParameterError("group_by", f"is none of {'; '.join(GROUPS)}")
    return GROUPS[text]


def _given(name: str) -> str | None:
    return request.args.get(name) or None


def _wants_csv() -> bool:
    text = request.args.get("format", "json")
    if text not in {"json", "csv"}:
        raise InvalidParameterError("format", "is neither json nor csv")
    return text == "csv"


def _spelled(place: Place | None) -> str | None:
    return None if place is None else f"{place.position}.{place.line}"


def _link(place: Place | None) -> dict[str, str]:
    """Return the header that leads to the next part (RFC 8288)."""
    if place is None:
        return {}
    asked = {**request.args.to_dict(), "after": str(_spelled(place))}
    return {"Link": f'<{request.path}?{urlencode(asked)}>; rel="next"'}


def _csv(name: str, text: Iterator[str], headers: dict[str, str]) -> Response:
    saved = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response("".join(text), headers={**saved, **headers}, content_type=CSV_TYPE)
