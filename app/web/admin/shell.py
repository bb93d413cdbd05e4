"""The shell around the pages: Flask-Admin's menu and plumbing, and headers of our own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request
from flask_admin import Admin

from app.web.admin import words
from app.web.admin.accounts import Accounts, Statement
from app.web.admin.auditor import PATH
from app.web.admin.books import Balances, Mints, Prices, Unfinished
from app.web.admin.door import Door
from app.web.admin.events import Events
from app.web.admin.feed import Feed
from app.web.admin.jobs import Jobs
from app.web.admin.models import Models
from app.web.admin.nostr import NostrRoom
from app.web.admin.overview import Overview
from app.web.admin.payouts import PayoutDesk
from app.web.admin.providers import ProviderDesk
from app.web.admin.reconciling import Reconciling
from app.web.admin.settings import SettingDesk

if TYPE_CHECKING:
    from flask import Flask

    from app.web.admin.auditor import Auditor

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex, nofollow",
}
"""No script runs on these pages, whoever wrote it: none of ours needs one."""


STRICT_TRANSPORT = "max-age=31536000"


def attach(app: Flask, auditor: Auditor) -> None:
    """Open the auditor's view in `app`, under `/admin/`."""
    files = Blueprint(
        "auditor",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path=f"{PATH}/static",
    )
    for write in (
        *(words.sat, words.usd, words.price, words.asked_price),
        *(words.ago, words.short, words.owner),
    ):
        files.add_app_template_filter(write)
    files.add_app_template_filter(partial(words.time, zone=auditor.zone), "time")
    app.register_blueprint(files)
    # Views of our own throughout, the first one too: Flask-Admin's index would serve the
    # 21 MB of scripts and styles that come with it.
    admin = Admin(app, name=auditor.house, index_view=Overview(auditor, "Overview", ""))
    admin.add_views(
        Events(auditor, "Events", "events"),
        Accounts(auditor, "Accounts", "accounts"),
        Statement(auditor, "Statement", "statement", in_menu=False),
        Balances(auditor, "Balances", "balances"),
        Unfinished(auditor, "Unfinished", "unfinished"),
        Mints(auditor, "Mints", "mints"),
        Reconciling(auditor, "Reconciliation", "reconciliation"),
        PayoutDesk(auditor, "Payouts", "payouts"),
        Jobs(auditor, "Jobs", "jobs"),
        Models(auditor, "Models", "models"),
        Prices(auditor, "Prices", "prices"),
        ProviderDesk(auditor, "Providers", "providers", in_menu=auditor.providers is not None),
        SettingDesk(auditor, "Settings", "settings"),
        NostrRoom(auditor, "Nostr", "nostr"),
        Feed(auditor, "Feed", "feed"),
        Door(auditor, "Sign in", "sign-in", in_menu=False),
    )

    @app.after_request
    def guard(answer: Response) -> Response:
        if request.path == PATH or request.path.startswith(f"{PATH}/"):
            answer.headers.update(HEADERS)
            if auditor.is_secure():
                answer.headers["Strict-Transport-Security"] = STRICT_TRANSPORT
            auditor.mark(answer)
        return answer
