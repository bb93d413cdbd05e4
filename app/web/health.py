"""Health, for whoever sends requests here; and figures, for whoever watches over us."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, request
from prometheus_client import CONTENT_TYPE_LATEST

from app.store.errors import StoreError
from app.web.bodies import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OK = "ok"
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


@dataclass(frozen=True, slots=True)
class Health:
    """What `/readyz` asks of each part; a part that is well says `ok`, else why it is not.

    `must` are the parts without which no request can be served; without the others some
    can. `told` are the figures, for those who know `token` or ask from this very machine.
    """

    must: Mapping[str, Callable[[], str]]
    may: Mapping[str, Callable[[], str]]
    told: Callable[[], bytes]
    token: str = field(default="", repr=False)


def blueprint(health: Health) -> Blueprint:
    """Return the routes `/readyz` and `/metrics`."""
    routes = Blueprint("health", __name__)

    @routes.get("/readyz")
    def ready() -> Response:
        must = {name: _asked(part) for name, part in health.must.items()}
        may = {name: _asked(part) for name, part in health.may.items()}
        is_ready = all(said == OK for said in must.values())
        document = {"status": "ready" if is_ready else "not ready", **must, **may}
        status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        answer = as_json(document, status)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @routes.get("/metrics")
    def metrics() -> Response:
        if not _may_read(health.token):
            # Nothing is there for those who may not know: what is earned is nobody's business.
            abort(HTTPStatus.NOT_FOUND)
        return Response(health.told(), content_type=CONTENT_TYPE_LATEST)

    return routes


def _asked(part: Callable[[], str]) -> str:
    try:
        return part()
    except StoreError as error:
        return type(error).__name__


def _may_read(token: str) -> bool:
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token:
        return hmac.compare_digest(given.encode(), token.encode())
    # A proxy on this machine asks from here too, for the whole world.
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
