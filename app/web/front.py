"""The front: paid requests of accounts that are known go straight to the proxy, before Flask.

Finding a route, opening a context and closing it again costs Flask more than the request
itself. What is said and done is the same, by the same parts; whatever is unusual, Flask's
application answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cashier.paths import PATHS
from app.web import headers, problems
from app.web.bearer import key_shown, ticket_shown
from app.web.proxy import plain_answer
from app.web.visit import Visit, ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask import Response

    from app.logs import RequestLine
    from app.web.bearer import Bearer
    from app.web.plain import PlainAnswer
    from app.web.proxy import Proxy
    from app.web.ratelimits import RateLimits

RULES = {rule: path for path in PATHS for rule in (f"/v1{path}", path)}


class Front:
    """A WSGI application: `proxy` serves what is paid by whom `bearer` knows, else `app`."""

    def __init__(
        self,
        app: WSGIApplication,
        proxy: Proxy,
        bearer: Bearer,
        rates: RateLimits,
        witness: Callable[[RequestLine], None] | None,
    ) -> None:
        self._app = app
        self._proxy = proxy
        self._bearer = bearer
        self._rates = rates
        self._witness = witness

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        rule = environ["PATH_INFO"]
        path = RULES.get(rule) if environ["REQUEST_METHOD"] == "POST" else None
        if path is not None:
            visit = Visit("POST", rule, environ, witness=self._witness)
            with ahead(visit):
                key = key_shown()
                if key is not None and ticket_shown() is None and self._bearer.knows(key):
                    return self._answer(path, key, visit)(environ, start_response)
        return self._app(environ, start_response)

    def _answer(self, path: str, key: str, visit: Visit) -> PlainAnswer | Response:
        try:
            answer = plain_answer(self._proxy.served(path, key), visit)
        except Exception as error:  # noqa: BLE001  (as Flask does: each has its answer)
            answer = problems.answer(error)
        return headers.mark(self._rates.mark(answer))
