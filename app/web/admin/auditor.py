"""What the auditor's view is made of, and who is looking at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any

from flask import g, request

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from flask import Response

    from app.cashier.providers import Providers
    from app.cashier.reconcile import Report
    from app.cashier.withdrawal import Withdrawals
    from app.changes import Changes
    from app.discovery.listing import Draft
    from app.sealing.prove import Inclusion
    from app.staff.attempts import Attempts
    from app.staff.operators import Operator, Operators
    from app.web.admin.log import Log
    from app.web.admin.session import Session, Sessions
    from domain.pricing import PriceBook
    from projections.chart import Query

COOKIE = "tallystick_auditor"
PATH = "/admin"
OWN_SITES = {"same-origin", "none"}
NOBODY = "nobody"
KEPT_OUT, MANY = "kept out", "after many wrong passwords from one address, or from all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """The parts that the pages read and act by.

    `look` runs a reading on one consistent view of the store, beside other requests.
    `sealed` proves that an event is under a checkpoint, or raises `NotSealedError`. `prices`
    are those in force, `zone` is where the operator is, `fixed_btc_usd` the operator's own
    rate, `public_url` where clients reach the house. A movement that waits for longer than
    `stuck_after_s` is stuck at its mint. `ask_again` asks about one movement and tells whether
    it has ended, `compare` asks a mint about all our proofs; both raise `TimeoutError` rather
    than last for long. `draft` returns what would be published on Nostr just now.
    """

    house: str
    log: Log
    look: Callable[[Callable[[Query], Any]], Any]
    sealed: Callable[[int], Inclusion]
    operators: Operators
    attempts: Attempts
    sessions: Sessions
    prices: PriceBook
    fixed_btc_usd: str | None = None
    public_url: str | None = None
    providers: Providers | None = None
    stuck_after_s: float = 3600.0
    zone: tzinfo = UTC
    changes: Changes | None = None
    withdrawals: Withdrawals | None = None
    ask_again: Callable[[UUID], bool] | None = None
    compare: Callable[[str], Report] | None = None
    draft: Callable[[], Draft] | None = None

    def session(self) -> Session | None:
        """Return the session of the request that is being answered, if it has one."""
        if "auditor_session" not in g:
            g.auditor_session = self.sessions.read(request.cookies.get(COOKIE, ""))
        found: Session | None = g.auditor_session
        return found

    def operator(self) -> Operator | None:
        """Return who is signed in; nobody once they were changed, removed or signed out."""
        session = self.session()
        if session is None or not session.operator:
            return None
        if "auditor_operator" not in g:
            g.auditor_operator = self.operators.known(session.operator)
        found: Operator | None = g.auditor_operator
        return found if found and found.version == session.version else None

    def who(self) -> str:
        """Return the name of whoever is signed in, for the events that they bring about."""
        operator = self.operator()
        return operator.name if operator else NOBODY

    def has_form_token(self) -> bool:
        """Tell whether a form was sent from a page of ours, in this session (CSRF)."""
        session = self.session()
        if session is None or request.headers.get("Sec-Fetch-Site", "none") not in OWN_SITES:
            return False
        return self.sessions.is_form_token(session, request.form.get("form_token", ""))

    def proven(self, name: str, attempt: str) -> tuple[Operator | None, float]:
        """Return the operator of a name and a password, or how many seconds to wait first.

        Each attempt counts, until one is right.
        """
        address = request.remote_addr or ""
        allowed = self.attempts.count(address)
        if allowed.wait_s:
            if allowed.is_news:
                self.note(KEPT_OUT, NOBODY, MANY)
            return None, allowed.wait_s
        found = self.operators.with_password(name, attempt)
        if found is not None:
            self.attempts.forgive(address)
        return found, 0.0

    def is_fresh(self) -> bool:
        """Tell whether the password was given so lately that money may be moved."""
        session = self.session()
        return session is not None and self.sessions.is_fresh(session)

    def prove_again(self) -> bool:
        """Tell whether the form being answered holds the password of who is signed in.

        Not asked for while the last one is fresh.
        """
        session = self.session()
        if session is None or self.is_fresh():
            return session is not None
        found, _ = self.proven(session.operator, request.form.get("password", ""))
        if found is None:
            return False
        self.keep(self.sessions.proved(session))
        return True

    def note(self, act: str, who: str, about: str = "") -> None:
        """Record what somebody did that changes no books."""
        self.operators.note(who, act, about)

    def keep(self, session: Session | None) -> None:
        """Let the answer set this session's cookie, or take it away."""
        g.auditor_session = session
        g.pop("auditor_operator", None)

    def mark(self, answer: Response) -> Response:
        """Renew the cookie, so that only who does nothing is idle."""
        if "auditor_session" not in g:
            return answer
        session, secure = g.auditor_session, self.is_secure()
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

    def is_secure(self) -> bool:
        """Tell whether the browser has come by TLS."""
        # A proxy that takes TLS off need not be one that the server believes.
        public = self.public_url or ""
        return request.is_secure or public.startswith(f"https://{request.host}")
