"""Who we are: for machines, for visitors, and for whoever watches that we live."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Blueprint, Response, render_template, request

from app.web.bodies import JSON_TYPE, as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.web.models import Listing

HTML_TYPE = "text/html"
NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the operator says of the house; `mints` are the URLs whose tokens are taken.

    `verifier_key` verifies checkpoints of the log, and receipts. To `pubkey` tokens can be
    locked (NUT-11).
    """

    name: str
    description: str
    version: str
    mints: tuple[str, ...]
    npub: str | None = None
    http_url: str | None = None
    onion_url: str | None = None
    verifier_key: str = ""
    pubkey: str = ""
    child_key_cost_msat: int = 0

    def document(self) -> dict[str, Any]:
        """Return it as `/v1/info` tells it; what is not known is an empty text."""
        return {
            "name": self.name,
            "description": self.description,
            "version": self.version,
            "npub": self.npub or "",
            "mints": list(self.mints),
            "http_url": self.http_url or "",
            "onion_url": self.onion_url or "",
            "pubkey": self.pubkey,
            "verifier_key": self.verifier_key,
            "child_key_cost_msats": self.child_key_cost_msat,
        }


def blueprint(about: About, listing: Listing, account: Callable[[UUID], object]) -> Blueprint:
    """Return the routes; `account` is read to see that the store answers."""
    routes = Blueprint("info", __name__)

    @routes.get("/v1/info")
    def info() -> Response:
        return as_json(about.document())

    @routes.get("/")
    def root() -> Response:
        answer = _page(about) if _wants_html() else _root_document(about, listing)
        answer.headers["Vary"] = "Accept"
        return answer

    @routes.get("/healthz")
    def health() -> Response:
        account(NOBODY)
        return as_json({"status": "ok"})

    return routes


def _wants_html() -> bool:
    """Tell whether HTML is preferred; who takes anything gets JSON."""
    accepted = request.accept_mimetypes
    return accepted.best_match([JSON_TYPE, HTML_TYPE]) == HTML_TYPE


def _root_document(about: About, listing: Listing) -> Response:
    return as_json({**about.document(), "models": listing.page().models})


def _page(about: About) -> Response:
    """Return the page for visitors, which runs no script and loads nothing."""
    base_url = (about.http_url or request.host_url).rstrip("/")
    answer = Response(render_template("landing.html", about=about, base_url=base_url))
    style = render_template("landing.css")
    answer.headers["Content-Security-Policy"] = policy(style)
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def policy(style: str) -> str:
    """Return the Content-Security-Policy under which `style`, inline, is all there is."""
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'"
    )
