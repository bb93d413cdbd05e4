"""The door of the auditor's view: the same words for every refusal."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import make_response, redirect, request, url_for

from app.web.admin.room import ANYBODY, Room, page

if TYPE_CHECKING:
    from flask import Response

    from app.web.admin.session import Session

REFUSED = (
    "Not signed in. Check name and password; after several attempts wait a while, and load"
    " this page anew."
)
NAME_MAX, PASSWORD_MAX = 40, 1_000


class Door(Room):
    """Lets in whoever knows a name and its password."""

    scope = ANYBODY

    @page("/", "GET", "POST")
    def index(self) -> Any:
        """Show the form, or look at what was filled in."""
        auditor = self.auditor
        known = auditor.session()
        if request.method == "GET":
            if auditor.operator() is not None:
                return redirect(url_for("admin.index"), HTTPStatus.SEE_OTHER)
            return self._form(known)
        if not auditor.has_form_token():
            return self._refuse(known, HTTPStatus.FORBIDDEN)
        name = request.form.get("name", "")[:NAME_MAX]
        found, wait_s = auditor.proven(name, request.form.get("password", ""))
        if wait_s:
            answer = self._refuse(known, HTTPStatus.TOO_MANY_REQUESTS)
            answer.headers["Retry-After"] = str(math.ceil(wait_s))
            return answer
        if found is None:
            return self._refuse(known, HTTPStatus.FORBIDDEN)
        auditor.keep(auditor.sessions.begin(found))
        auditor.note("signed in", found.name)
        return redirect(url_for("admin.index"), HTTPStatus.SEE_OTHER)

    def _refuse(self, known: Session | None, status: HTTPStatus) -> Response:
        answer = make_response(self._form(known, REFUSED))
        answer.status_code = status
        return answer

    def _form(self, known: Session | None, message: str = "") -> str:
        # Who is not signed in has a session too: the form's token belongs to it.
        self.auditor.keep(known or self.auditor.sessions.begin())
        return self.render("auditor/sign_in.html", message=message)
