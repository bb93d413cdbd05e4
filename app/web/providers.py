"""The directory of providers, as the back office has found them on Nostr."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from flask import Blueprint, Response, request

from app.store.nostr_rows import PROVIDERS, read
from app.web.bodies import JSON_TYPE
from app.web.refusals import NoDirectoryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from app.store.nostr_rows import NostrRow

TRUE = frozenset({"1", "true", "yes", "on"})


def blueprint(look: Callable[[Callable[..., Any]], Any], *, is_kept: bool) -> Blueprint:
    """Return the route; `look` reads the store, and relays are never asked here.

    While no directory `is_kept` there is none to tell of.
    """
    routes = Blueprint("providers", __name__)

    @routes.get("/v1/providers/")
    def providers() -> Response:
        if not is_kept:
            raise NoDirectoryError
        rows: list[NostrRow] = look(read(PROVIDERS))
        pubkey = request.args.get("pubkey")
        if pubkey:
            rows = [row for row in rows if row.name.partition(":")[0] == pubkey]
        wants_more = request.args.get("include_json", "").lower() in TRUE
        # They are JSON already, and are told as they stand.
        told = msgspec.json.encode({"providers": [_told(row, wants_more) for row in rows]})
        answer = Response(told, content_type=JSON_TYPE)
        answer.headers["Cache-Control"] = "public, max-age=60"
        return answer

    return routes


def _told(row: NostrRow, wants_more: bool) -> object:  # noqa: FBT001
    provider = msgspec.Raw(row.document.encode())
    if not wants_more:
        return provider
    return {"provider": provider, "health": msgspec.Raw(row.more.encode())}
