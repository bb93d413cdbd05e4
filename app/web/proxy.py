"""The paid routes: a request let in, paid for, forwarded, and its answer handed on."""

from __future__ import annotations

import hmac
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from flask import Blueprint, Response
from werkzeug.exceptions import MethodNotAllowed

from app.cashier.bill import Call
from app.cashier.paths import PATHS
from app.cashier.stream import MeteredStream
from app.gateways.upstream import REQUEST_HEADERS
from app.web.asking import Asked, asked, request_name
from app.web.bearer import key_shown, ticket_shown
from app.web.bodies import JSON_TYPE, Bodies
from app.web.failures import upstream_failure
from app.web.pace import PACE
from app.web.plain import PlainAnswer
from app.web.refusals import NotOfferedError
from app.web.visit import Visit, current_visit
from domain.errors import RequestRepeatedError
from domain.hold import Released
from domain.identity import hold_of_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    from app.cashier.answer import Served
    from app.cashier.charge import Charges
    from app.web.bearer import Bearer
    from app.web.ratelimits import RateLimits
    from app.web.repeats import Repeats

# What clients of the API may look for, told from addresses that are nobody's.
NOT_OFFERED = (
    "/assistants",
    "/audio",
    "/batches",
    "/chat/completions",
    "/conversations",
    "/files",
    "/fine_tuning",
    "/images",
    "/messages",
    "/realtime",
    "/responses",
    "/threads",
    "/uploads",
    "/vector_stores",
    "/videos",
)
ATTEMPTS_MAX = 10
HASH_CHARACTERS = 16
COST_HEADER = "x-routstr-cost-msats"

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
OTHERS = ("GET", "PUT", "PATCH", "DELETE")
BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class Till(Protocol):
    """Where requests are paid for one by one, by whoever has no account."""

    def sell(self, path: str, token: str) -> Response: ...

    def ask_for_payment(self, path: str) -> Response: ...


class Stream(Protocol):
    """Bytes as they arrive; whoever is handed it closes it."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class LoggedStream:
    """A stream that is written down when it has ended.

    It is iterated through the metered stream itself, so that chunks make no detour, and
    closed through here: whoever is handed it closes it, read or not, and the hold ends.
    """

    def __init__(
        self, stream: Stream, begun: Callable[[], None], ended: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._begun = begun
        self._ended: Callable[[], None] | None = ended

    def __iter__(self) -> Iterator[bytes]:
        chunks = iter(self._stream)
        first = next(chunks, b"")
        self._begun()
        return chain((first,), chunks)

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            ended, self._ended = self._ended, None
            if ended is not None:
                ended()


class Proxy:
    """Forwards requests at their senders' cost."""

    def __init__(
        self,
        bearer: Bearer,
        charges: Charges,
        till: Till,
        bodies: Bodies,
        rates: RateLimits,
        repeats: Repeats,
    ) -> None:
        self._bearer = bearer
        self._rates = rates
        self._repeats = repeats
        self._charges = charges
        self._till = till
        self._bodies = bodies

    def serve(self, path: str) -> Response:
        """Answer the current request, which is for `path` of the upstream.

        Who pays is asked first. A token that pays for this request only goes before a key:
        SDKs send some key with every request, whether they have one or not.
        """
        token = ticket_shown()
        if token is not None:
            return self._till.sell(path, token)
        key = key_shown()
        if key is None:
            return self._till.ask_for_payment(path)
        return handed_on(self.served(path, key), current_visit())

    def served(self, path: str, key: str) -> Served:
        """Serve the current request, which is for `path`, at the cost of `key`."""
        wish = self._priced(path) if self._bearer.is_new(key) else None
        spender = self._bearer.spender(key)
        self._rates.admit(spender.account_id)
        name = request_name()
        if name is not None:
            current_visit().request_id = hold_of_request(spender.id, name)
        wish = wish or asked(path, self._bodies)
        call = call_of(path, wish, spender.account_id, spender.key_id)
        self._rates.weigh(call.document, call.prompt_bytes)
        return self._repeats.serve(call, key) if name is None else self._tried(call, name)

    def _priced(self, path: str) -> Asked:
        """Return the current request if it could be served, before a token is taken for it.

        Raises a `DoorError`, `PricingError`, `NoRateError`.
        """
        wish = asked(path, self._bodies)
        self._charges.expect(path, wish.document["model"], wish.document, wish.prompt_bytes)
        return wish

    def _tried(self, call: Call, name: str) -> Served:
        """Serve a request that its client named, unless it was served before.

        An attempt that was not served has cost nothing and is over; the next has a hold of
        its own. Raises what `Charges.serve` raises.
        """
        visit, attempt = current_visit(), 0
        while True:
            visit.request_id = hold_of_request(call.key_id or call.account_id, name, attempt)
            try:
                return self._charges.serve(named(call, visit.request_id, name))
            except RequestRepeatedError as error:
                attempt += 1
                if attempt == ATTEMPTS_MAX or not isinstance(error.end, Released):
                    raise


def blueprint(proxy: Proxy) -> Blueprint:
    """Return the paid routes, with `/v1` before them and without it."""
    routes = Blueprint("proxy", __name__)
    for path in PATHS:
        for rule in (f"/v1{path}", path):
            routes.add_url_rule(rule, rule, partial(proxy.serve, path), methods=["POST"])
            routes.add_url_rule(rule, f"only POST {rule}", only_post, methods=OTHERS)
    for path in NOT_OFFERED:
        for place in (f"/v1{path}", path):
            if path not in PATHS:
                routes.add_url_rule(place, f"not {place}", not_offered, methods=METHODS)
            below = f"{place}/<path:_rest>"
            routes.add_url_rule(below, f"not below {place}", not_offered, methods=METHODS)
    return routes


def only_post() -> Response:
    """Refuse the other methods of a path, which one below it would answer otherwise."""
    raise MethodNotAllowed(valid_methods=["POST", "OPTIONS"])


def not_offered(_rest: str = "") -> Response:
    """Refuse what the API has and this house has not."""
    raise NotOfferedError(f"/v1{path}" for path in PATHS)


def named(call: Call, request_id: UUID, name: str) -> Call:
    """Return one attempt at `call`, with a hash by which another request is told from it.

    It is keyed with the hold and the name: equal requests are not seen to be equal, and
    whoever reads the log cannot try what a request may have been.
    """
    key = request_id.bytes + name.encode()
    mark = hmac.new(key, call.body, sha256).hexdigest()[:HASH_CHARACTERS]
    return replace(call, request_id=request_id, named=True, request_hash=mark)


def call_of(
    path: str, request_asked: Asked, account_id: UUID, key_id: UUID | None = None
) -> Call:
    """Return the call that the current request is, asked by a key at an account's cost."""
    document, form = request_asked.document, request_asked.form
    visit = current_visit()
    found = ((name, visit.header(name)) for name in REQUEST_HEADERS)
    headers = {name: value for name, value in found if value is not None}
    if form is not None:
        headers["content-type"] = form.content_type
    return Call(
        request_id=visit.request_id,
        account_id=account_id,
        path=path,
        model=document["model"],
        document=document,
        body=request_asked.body,
        headers=headers,
        stream=document.get("stream") is True,
        form=form,
        used=visit.use,
        waiting=visit.environ[PACE].waiting if PACE in visit.environ else nullcontext,
        key_id=key_id,
    )


def handed_on(served: Served, visit: Visit) -> Response:
    """Return what was served as an answer of Flask's."""
    answer = plain_answer(served, visit)
    return answer if isinstance(answer, Response) else answer.for_flask()


def plain_answer(served: Served, visit: Visit) -> PlainAnswer | Response:
    """Return what was served as an answer of ours."""
    status, headers, body = served.status, served.headers, served.body
    if isinstance(body, MeteredStream):
        return plain_stream(status, headers, body, visit)
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        return upstream_failure(status, headers, body)
    cost_msat = headers.get(COST_HEADER)
    visit.charged_msat = None if cost_msat is None else int(cost_msat)
    if status in BODILESS:
        return PlainAnswer(status, headers)
    length = str(len(body))
    return PlainAnswer(
        status, {"content-type": JSON_TYPE, **headers, "content-length": length}, (body,)
    )


def streamed(status: int, headers: Mapping[str, str], stream: Stream, visit: Visit) -> Response:
    """Return a stream as an answer of Flask's that is written down when it has ended."""
    return plain_stream(status, headers, stream, visit).for_flask()


def plain_stream(
    status: int, headers: Mapping[str, str], stream: Stream, visit: Visit
) -> PlainAnswer:
    """Return a stream as an answer that is written down when it has ended."""
    if status in BODILESS:
        # Nobody would ever read the stream, nor close it.
        stream.close()
        return PlainAnswer(status, {})
    visit.ends_later = True
    logged = LoggedStream(stream, visit.begin_stream, partial(visit.write_down, status))
    return PlainAnswer(status, {**headers, **STREAM_HEADERS}, logged)
