"""The door of the auditor's view: one password, and the same words for every refusal."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import make_response, redirect, request, url_for

from app.web.admin.room import Room, page

if TYPE_CHECKING:
    from flask import Response

    from app.web.admin.session import Session

REFUSED = (
    "Not signed in. Check the password; after several attempts wait a while, and load this"
    " page anew."
)
FORM_BYTES_MAX = 16 * 1024


class Door(Room):
    """Lets in whoever knows the password."""

    def is_accessible(self) -> bool:
        return True

    @page("/", "GET", "POST")
    def index(self) -> Any:
        """Show the form, or look at what was filled in."""
        auditor = self.auditor
        if request.method == "GET":
            if auditor.is_signed_in():
                return redirect(url_for("admin.index"), HTTPStatus.SEE_OTHER)
            return self._form(auditor.session())
        request.max_content_length = request.max_form_memory_size = FORM_BYTES_MAX
        known = auditor.session()
        if not auditor.has_form_token():
            return self._refuse(known, HTTPStatus.FORBIDDEN)
        address = request.remote_addr or ""
        wait_s = auditor.throttle.wait_s(address)
        if wait_s:
            answer = self._refuse(known, HTTPStatus.TOO_MANY_REQUESTS)
            answer.headers["Retry-After"] = str(math.ceil(wait_s))
            return answer
        attempt = request.form.get("password", "")
        if not auditor.apart(lambda: auditor.password.is_right(attempt)):
            return self._refuse(known, HTTPStatus.FORBIDDEN)
        auditor.throttle.forgive(address)
        auditor.keep(auditor.sessions.begin(signed_in=True))
        return redirect(url_for("admin.index"), HTTPStatus.SEE_OTHER)

    def _refuse(self, known: Session | None, status: HTTPStatus) -> Response:
        answer = make_response(self._form(known, REFUSED))
        answer.status_code = status
        return answer

    def _form(self, known: Session | None, message: str = "") -> str:
        # Who is not signed in has a session too: the form's token belongs to it.
        self.auditor.keep(known or self.auditor.sessions.begin(signed_in=False))
        return self.render("auditor/sign_in.html", message=message)
