"""Paying by Lightning without any program: a page with the invoice's QR code, then the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import segno
from flask import Blueprint, Response, redirect, render_template, request, url_for
from markupsafe import Markup

from app.cashier.invoice import Status
from app.web.balance import never_store
from app.web.info import policy
from app.web.lightning import AMOUNT_SAT_MAX
from app.web.refusals import InvalidParameterError

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from app.web.info import About
    from app.web.lightning import Lightning

LOOK_EVERY_S = 5
FORM_BYTES_MAX = 1_000
DIGITS_MAX = len(str(AMOUNT_SAT_MAX))


def blueprint(lightning: Lightning, about: About) -> Blueprint:
    """Return the routes of the page, which runs no script and loads nothing."""
    routes = Blueprint("pay", __name__, url_prefix="/pay")

    @routes.post("/")
    def ask() -> AnyResponse:
        request.max_content_length = FORM_BYTES_MAX
        invoice_id, _ = lightning.create(_amount_sat(request.form.get("amount_sats", "")))
        # The page may be loaded again and again; the form may not.
        return redirect(url_for("pay.look", invoice_id=str(invoice_id)), 303)

    @routes.get("/<invoice_id>")
    def look(invoice_id: str) -> Response:
        standing = lightning.standing(invoice_id)
        waits = standing.status in {Status.PENDING, Status.SETTLING}
        page = render_template(
            "pay.html",
            about=about,
            standing=standing,
            api_key=lightning.key(standing),
            code=qr_code(standing.bill.request) if waits else "",
            look_every_s=LOOK_EVERY_S if waits else 0,
        )
        answer = Response(page)
        style = render_template("landing.css")
        answer.headers["Content-Security-Policy"] = policy(style)
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    routes.after_request(never_store)
    return routes


def qr_code(bolt11: str) -> Markup:
    """Return an invoice as inline SVG; in capitals, which make a smaller code (BIP-173)."""
    code = segno.make(f"lightning:{bolt11}".upper(), error="l", micro=False)
    return Markup(code.svg_inline(scale=4, light="#fff"))  # noqa: S704  (paths and numbers)


def _amount_sat(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX):
        raise InvalidParameterError("amount_sats", "must be a whole number")
    if not 1 <= int(text) <= AMOUNT_SAT_MAX:
        raise InvalidParameterError("amount_sats", f"must be from 1 to {AMOUNT_SAT_MAX}")
    return int(text)
