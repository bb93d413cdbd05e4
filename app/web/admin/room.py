"""What all pages have in common: they are for whoever is signed in, and told on one view."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, redirect, request, url_for
from flask_admin import BaseView, expose

from app.web.admin.auditor import PATH
from domain.rights import AUDIT
from projections.chart import NotToldError
from projections.moments import MomentError, Period, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.staff.operators import Operator
    from app.web.admin.auditor import Auditor

ANYBODY = ""
"""The scope of what is for everybody, signed in or not."""

SIGNED_IN = "signed in"
"""The scope of what is for every operator, whatever their own scopes."""

ON = "on"
FORM_BYTES_MAX = 64 * 1024
STALE_FORM = "This form was not sent from a page of this session. Load the page anew."
TEXT_CHARACTERS_MAX = 300
NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
SAT = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,3}))?", re.ASCII)
DAY_OR_TIME = re.compile(r"(19[7-9]|[2-9]\d\d)\d-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?", re.ASCII)


Page = TypeVar("Page", bound="Callable[..., Any]")


class FormError(ValueError):
    """What was filled in makes no sense; the message says what would."""


class NothingFoundError(LookupError):
    """What was asked for is not in the ledger; the message says where to look."""


class Room(BaseView):  # type: ignore[misc, unused-ignore]
    """A page, or a few, for who has the `scope`; `place` is where, under `/admin/`."""

    scope = AUDIT

    def __init__(
        self, auditor: Auditor, name: str, place: str, *, in_menu: bool = True
    ) -> None:
        url = f"{PATH}/{place}" if place else PATH
        super().__init__(name=name, endpoint=f"admin-{place}" if place else "admin", url=url)
        self.auditor = auditor
        self._in_menu = in_menu

    def is_visible(self) -> bool:
        return self._in_menu

    def is_accessible(self) -> bool:
        """Tell whether whoever is signed in may come in here."""
        operator = self.auditor.operator()
        return self.scope == ANYBODY or (operator is not None and operator.may(self.scope))

    def _handle_view(self, name: str, **_: Any) -> Any:
        """Refuse whoever may not have this page; every page comes by here first."""
        wanted = getattr(getattr(type(self), name), "wanted_scope", None)
        scope = self.scope if wanted is None else wanted
        if request.method == "POST":
            request.max_content_length = request.max_form_memory_size = FORM_BYTES_MAX
        if scope == ANYBODY:
            return None
        operator = self.auditor.operator()
        if operator is None:
            return self._to_the_door()
        if scope != SIGNED_IN and not operator.may(scope):
            return self._denied(operator, scope)
        if request.method == "POST" and not self.auditor.has_form_token():
            return self._fault(HTTPStatus.FORBIDDEN, "Refused", STALE_FORM)
        return None

    def _to_the_door(self) -> Any:
        """Send who only looks to the door, and nowhere else; refuse whatever changes."""
        if request.method in {"GET", "HEAD"}:
            return redirect(url_for("admin-sign-in.index"), HTTPStatus.SEE_OTHER)
        return Response("Refused.\n", HTTPStatus.FORBIDDEN, content_type="text/plain")

    def _denied(self, operator: Operator, scope: str) -> Any:
        message = (
            f"This needs the scope '{scope}', and {operator.name} has"
            f" {', '.join(operator.scopes)}. Whoever runs the house can change that with"
            f" 'tallystick admin scopes {operator.name}'."
        )
        return self._fault(HTTPStatus.FORBIDDEN, "Not yours to do", message)

    def _run_view(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # The shell's own version calls a page again when it raises a TypeError.
        try:
            return fn(self, *args, **kwargs)
        except FormError as error:
            return self._fault(HTTPStatus.BAD_REQUEST, "That cannot be looked for", str(error))
        except NothingFoundError as error:
            return self._fault(HTTPStatus.NOT_FOUND, "Not found", str(error))
        except NotToldError as error:
            return self._fault(HTTPStatus.SERVICE_UNAVAILABLE, "Not told yet", str(error))

    def render(self, template: str, **values: Any) -> str:
        """Return a page, with what the frame around it needs."""
        session = self.auditor.session()
        token = "" if session is None else self.auditor.sessions.form_token(session)
        page: str = super().render(
            template,
            house=self.auditor.house,
            operator=self.auditor.operator(),
            form_token=token,
            zone=str(self.auditor.zone),
            now=now(),
            **values,
        )
        return page

    def _fault(self, status: HTTPStatus, heading: str, message: str) -> Any:
        return self.render("auditor/fault.html", heading=heading, message=message), status


def page(url: str, *methods: str, scope: str | None = None) -> Callable[[Page], Page]:
    """Mark a method as the page at `url`, for GET unless `methods` are named.

    `scope` is who may have it, if it is another than the whole room's.
    """
    marked: Callable[[Page], Page] = expose(url, methods or ("GET",))

    def mark(method: Page) -> Page:
        if scope is not None:
            vars(method)["wanted_scope"] = scope
        return marked(method)

    return mark


def linked(endpoint: str, query: Mapping[str, str]) -> str:
    """Return the address of a page with what it is asked for."""
    return f"{url_for(endpoint)}?{urlencode(query)}"


def now() -> datetime:
    return datetime.now(UTC)


def asked(name: str) -> str:
    """Return what the query says of `name`, without spaces around it."""
    return _checked(name, request.args.get(name, ""))


def filled(name: str) -> str:
    """Return what the form says of `name`, without spaces around it."""
    return _checked(name, request.form.get(name, ""))


def _checked(name: str, given: str) -> str:
    text = given.strip()
    if len(text) > TEXT_CHARACTERS_MAX:
        raise FormError(f"'{name}' is longer than {TEXT_CHARACTERS_MAX} characters.")
    if "\x00" in text:
        raise FormError(f"'{name}' holds what no name holds.")
    return text


def asked_number(name: str) -> int | None:
    """Return a position, `None` if none is given; raises `FormError`."""
    text = asked(name)
    if text and not NUMBER.fullmatch(text):
        raise FormError(f"'{name}' is a whole number, such as 1234.")
    return int(text) if text else None


def asked_msat(name: str) -> int:
    """Return an amount that is given in sat, 0 if none is; raises `FormError`."""
    return _msat(name, asked(name))


def filled_msat(name: str) -> int:
    """Return the same of a form."""
    return _msat(name, filled(name))


def _msat(name: str, text: str) -> int:
    if not text:
        return 0
    found = SAT.fullmatch(text)
    if found is None:
        raise FormError(f"'{name}' is an amount in sat, such as 12 or 0.250.")
    return int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0"))


def asked_id(name: str) -> UUID | None:
    """Return an identifier, `None` if none is given; raises `FormError`."""
    text = asked(name)
    return _id(name, text) if text else None


def filled_id(name: str) -> UUID:
    """Return the identifier that a form must have; raises `FormError`."""
    return _id(name, filled(name))


def _id(name: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise FormError(f"'{name}' is an identifier of 32 hexadecimal digits.") from None


def asked_moment(name: str, zone: tzinfo) -> datetime | None:
    """Return a moment, of the `zone` unless it names one, `None` if none is given.

    Raises `FormError`.
    """
    text = asked(name)
    try:
        if DAY_OR_TIME.fullmatch(text):
            # What a browser's own fields for days and times send.
            return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
        return moment(text) if text else None
    except (MomentError, OverflowError) as error:
        raise FormError(f"{error}.") from error
    except ValueError as error:
        raise FormError(f"'{name}' is no day that there is.") from error


def asked_period(zone: tzinfo) -> Period:
    """Return the period from the beginning of `from` to before `to`, days of the `zone`."""
    begin, end = asked_moment("from", zone), asked_moment("to", zone)
    if begin and end and begin >= end:
        raise FormError("'From' is not before 'to'.")
    return Period(begin, end)
