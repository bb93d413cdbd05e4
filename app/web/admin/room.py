"""What all pages have in common: they are for whoever is signed in, and told on one view."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, g, redirect, request, url_for
from flask_admin import BaseView, expose

from projections.chart import NotToldError
from projections.moments import MomentError, Period, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.cashier.providers import Providers
    from app.sealing.prove import Inclusion
    from app.web.admin.log import Log
    from app.web.admin.password import Password, Throttle
    from app.web.admin.session import Session, Sessions
    from domain.pricing import PriceBook
    from projections.chart import Query

COOKIE = "tallystick_auditor"
PATH = "/admin"
TEXT_CHARACTERS_MAX = 300
NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
SAT = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,3}))?", re.ASCII)
MOMENT_SHORT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", re.ASCII)


Page = TypeVar("Page", bound="Callable[..., Any]")


class FormError(ValueError):
    """What was filled in makes no sense; the message says what would."""


class NothingFoundError(LookupError):
    """What was asked for is not in the ledger; the message says where to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """What the view is made of.

    `look` runs a reading on one consistent view of the store, beside other requests;
    `apart` runs what keeps a processor busy. `sealed` proves that an event is under a
    checkpoint, or raises `NotSealedError`. `prices` are those in force;
    `fixed_btc_usd` is the operator's own rate, `public_url` where clients reach the house.
    A movement that waits for longer than `stuck_after_s` is stuck at its mint.
    """

    house: str
    log: Log
    look: Callable[[Callable[[Query], Any]], Any]
    apart: Callable[[Callable[[], bool]], bool]
    sealed: Callable[[int], Inclusion]
    password: Password
    throttle: Throttle
    sessions: Sessions
    prices: PriceBook
    fixed_btc_usd: str | None = None
    public_url: str | None = None
    providers: Providers | None = None
    stuck_after_s: float = 3600.0

    def session(self) -> Session | None:
        """Return the session of the request that is being answered, if it has one."""
        if "auditor_session" not in g:
            g.auditor_session = self.sessions.read(request.cookies.get(COOKIE, ""))
        found: Session | None = g.auditor_session
        return found

    def is_signed_in(self) -> bool:
        session = self.session()
        return session is not None and session.signed_in

    def has_form_token(self) -> bool:
        """Tell whether a form was sent from a page of ours, in this session (CSRF)."""
        session = self.session()
        if session is None or request.headers.get("Sec-Fetch-Site", "same-origin") not in {
            "same-origin",
            "none",
        }:
            return False
        return self.sessions.is_form_token(session, request.form.get("form_token", ""))

    def keep(self, session: Session | None) -> None:
        """Let the answer set this session's cookie, or take it away."""
        g.auditor_session = session

    def mark(self, answer: Response) -> Response:
        """Renew the cookie, so that only who does nothing is idle."""
        if "auditor_session" not in g:
            return answer
        session, secure = g.auditor_session, self._is_secure()
        if session is None:
            if COOKIE in request.cookies:
                answer.delete_cookie(
                    COOKIE, path=PATH, secure=secure, httponly=True, samesite="Strict"
                )
            return answer
        answer.set_cookie(
            COOKIE,
            self.sessions.write(session),
            path=PATH,
            secure=secure,
            httponly=True,
            samesite="Strict",
        )
        return answer

    def _is_secure(self) -> bool:
        # A proxy that takes TLS off need not be one that the server believes.
        public = self.public_url or ""
        return request.is_secure or public.startswith(f"https://{request.host}")


class Room(BaseView):  # type: ignore[misc, unused-ignore]
    """A page, or a few, for whoever is signed in; `place` is where, under `/admin/`."""

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
        return self.auditor.is_signed_in()

    def inaccessible_callback(self, _name: str, **_: Any) -> Any:
        """Send who only looks to the door, and nowhere else; refuse whatever changes."""
        if request.method in {"GET", "HEAD"}:
            return redirect(url_for("admin-sign-in.index"), HTTPStatus.SEE_OTHER)
        return Response("Refused.\n", HTTPStatus.FORBIDDEN, content_type="text/plain")

    def _run_view(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # The shell's own version calls a page again when it raises a TypeError.
        try:
            return fn(self, *args, **kwargs)
        except FormError as error:
            return self._fault(HTTPStatus.BAD_REQUEST, "That cannot be looked for", error)
        except NothingFoundError as error:
            return self._fault(HTTPStatus.NOT_FOUND, "Not found", error)
        except NotToldError as error:
            return self._fault(HTTPStatus.SERVICE_UNAVAILABLE, "Not told yet", error)

    def render(self, template: str, **values: Any) -> str:
        """Return a page, with what the frame around it needs."""
        session = self.auditor.session()
        token = "" if session is None else self.auditor.sessions.form_token(session)
        page: str = super().render(
            template,
            house=self.auditor.house,
            signed_in=self.auditor.is_signed_in(),
            form_token=token,
            now=now(),
            **values,
        )
        return page

    def _fault(self, status: HTTPStatus, heading: str, error: Exception) -> Any:
        return self.render("auditor/fault.html", heading=heading, message=str(error)), status


def page(url: str, *methods: str) -> Callable[[Page], Page]:
    """Mark a method as the page at `url`, for GET unless `methods` are named."""
    marked: Callable[[Page], Page] = expose(url, methods or ("GET",))
    return marked


def linked(endpoint: str, query: Mapping[str, str]) -> str:
    """Return the address of a page with what it is asked for."""
    return f"{url_for(endpoint)}?{urlencode(query)}"


def now() -> datetime:
    return datetime.now(UTC)


def asked(name: str) -> str:
    """Return what the query says of `name`, without spaces around it."""
    text = request.args.get(name, "").strip()
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
    text = asked(name)
    if not text:
        return 0
    found = SAT.fullmatch(text)
    if found is None:
        raise FormError(f"'{name}' is an amount in sat, such as 12 or 0.250.")
    return int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0"))


def asked_id(name: str) -> UUID | None:
    """Return an identifier, `None` if none is given; raises `FormError`."""
    text = asked(name)
    try:
        return UUID(text) if text else None
    except ValueError:
        raise FormError(f"'{name}' is an identifier of 32 hexadecimal digits.") from None


def asked_moment(name: str) -> datetime | None:
    """Return a moment in UTC, `None` if none is given; raises `FormError`."""
    text = asked(name)
    if MOMENT_SHORT.fullmatch(text):
        # What a browser's own field for times sends.
        text = text.replace(" ", "T") + ("Z" if text.count(":") == 2 else ":00Z")  # noqa: PLR2004
    try:
        return moment(text) if text else None
    except MomentError as error:
        raise FormError(f"{error}.") from error


def asked_period() -> Period:
    """Return the period from the beginning of `from` to the end of the day `to`."""
    begin, end = asked_moment("from"), asked_moment("to")
    if begin and end and begin >= end:
        raise FormError("'From' is not before 'to'.")
    return Period(begin, end)
