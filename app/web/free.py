"""What of the upstream may be read for nothing: the addresses that the operator has named."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from app.gateways.upstream import UpstreamUnreachableError
from app.web.failures import upstream_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.cashier.route import Route

ANSWER_BYTES_MAX = 4 * 1024 * 1024


def blueprint(paths: Sequence[str], routes: Callable[[], Sequence[Route]]) -> Blueprint:
    """Return a route for each of `paths`, with `/v1` before it and without; HEAD goes along.

    The provider that is asked is the first one by priority.
    """
    free = Blueprint("free", __name__)

    def show(path: str) -> Response:
        there = min(routes(), key=lambda route: route.priority, default=None)
        if there is None:
            raise UpstreamUnreachableError("There is no upstream to ask.")
        query = request.query_string.decode("ascii", "replace")
        asked = f"{path}?{query}" if query else path
        answer = there.upstream.get(asked, dict(request.headers))
        try:
            body = answer.read_all(ANSWER_BYTES_MAX)
        finally:
            answer.close()
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            return upstream_failure(answer.status, answer.headers, body)
        return Response(body, answer.status, answer.headers)

    for path in paths:
        for rule in (f"/v1{path}", path):
            free.add_url_rule(rule, rule, partial(show, path))
    return free
