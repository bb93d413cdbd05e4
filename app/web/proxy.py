"""The paid routes: a request let in, paid for, forwarded, and its answer handed on."""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Blueprint, Response, request

from app.cashier.bill import Call
from app.cashier.stream import MeteredStream
from app.web.bodies import JSON_TYPE, Bodies, json_object
from app.web.failures import upstream_failure
from app.web.refusals import InvalidParameterError
from app.web.visit import Visit, current_visit
from domain.identity import hold_of_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from app.cashier.charge import Charges, Served
    from app.web.bearer import Bearer

PATHS = ("/chat/completions", "/completions", "/embeddings")
MODEL_CHARACTERS_MAX = 200
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,200}")
COST_HEADER = "x-routstr-cost-msats"

# Names that a request is priced by. Some upstreams take `Model` for `model`: a second
# spelling would have another model served than the one that is paid for.
PRICED = frozenset(
    {
        "best_of",
        "conversation",
        "input",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "messages",
        "model",
        "n",
        "plugins",
        "previous_response_id",
        "prompt",
        "stream",
        "stream_options",
        "tools",
        "web_search_options",
    }
)
BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class LoggedStream:
    """A stream that is written down when it has ended.

    It is iterated through the metered stream itself, so that chunks make no detour, and
    closed through here: whoever is handed it closes it, read or not, and the hold ends.
    """

    def __init__(self, stream: MeteredStream, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._ended: Callable[[], None] | None = ended

    def __iter__(self) -> MeteredStream:
        return self._stream

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            ended, self._ended = self._ended, None
            if ended is not None:
                ended()


class Proxy:
    """Forwards requests at their senders' cost."""

    def __init__(self, bearer: Bearer, charges: Charges, bodies: Bodies) -> None:
        self._bearer = bearer
        self._charges = charges
        self._bodies = bodies

    def serve(self, path: str) -> Response:
        """Answer the current request, which is for `path` of the upstream.

        Who pays is asked first: a stranger's body is not even read.
        """
        account_id = self._bearer.open(request.headers.get("Authorization"))
        visit = current_visit()
        visit.request_id = request_id(account_id, visit.request_id)
        document = json_object(self._bodies.read())
        check(document)
        visit.model = document["model"]
        served = self._charges.serve(
            Call(
                request_id=visit.request_id,
                account_id=account_id,
                path=path,
                model=document["model"],
                document=document,
                # Written anew, so that the upstream reads what was priced: of a name that
                # is given twice, another parser might take the other value.
                body=msgspec.json.encode(document),
                headers=dict(request.headers),
                stream=document.get("stream") is True,
            )
        )
        return handed_on(served, visit)


def blueprint(bearer: Bearer, charges: Charges, bodies: Bodies) -> Blueprint:
    """Return the paid routes, with `/v1` before them and without it."""
    proxy = Proxy(bearer, charges, bodies)
    routes = Blueprint("proxy", __name__)
    for path in PATHS:
        for rule in (f"/v1{path}", path):
            routes.add_url_rule(rule, rule, partial(proxy.serve, path), methods=["POST"])
    return routes


def request_id(account_id: UUID, otherwise: UUID) -> UUID:
    """Return the id of the current request: a retry that its client names has the same.

    Raises `InvalidParameterError` for an `Idempotency-Key` that is not 1 to 200 visible
    ASCII characters.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return otherwise
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidParameterError(
            "Idempotency-Key", "must be 1 to 200 visible ASCII characters"
        )
    return hold_of_request(account_id, key)


def check(document: Mapping[str, Any]) -> None:
    """Raise `InvalidParameterError` for what cannot be priced or answered."""
    for name in document:
        if name not in PRICED and name.casefold() in PRICED:
            raise InvalidParameterError(name[:100], f"must be spelled {name.casefold()}")
    model = document.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= MODEL_CHARACTERS_MAX:
        raise InvalidParameterError("model", "must be the id of a model")
    if not isinstance(document.get("stream"), bool | None):
        raise InvalidParameterError("stream", "must be true or false")


def handed_on(served: Served, visit: Visit) -> Response:
    """Return what was served as an answer of ours."""
    status, headers, body = served.status, served.headers, served.body
    if isinstance(body, MeteredStream):
        return _streamed(status, headers, body, visit)
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        return upstream_failure(status, headers, body)
    cost_msat = headers.get(COST_HEADER)
    visit.charged_msat = None if cost_msat is None else int(cost_msat)
    return Response(body, status, {"content-type": JSON_TYPE, **headers})


def _streamed(
    status: int, headers: Mapping[str, str], stream: MeteredStream, visit: Visit
) -> Response:
    if status in BODILESS:
        # Nobody would ever read the stream, nor close it.
        stream.close()
        return Response(status=status)
    visit.ends_later = True
    return Response(
        LoggedStream(stream, partial(visit.write_down, status)),
        status,
        {**headers, **STREAM_HEADERS},
        direct_passthrough=True,
    )
