"""Answers held against what `/openapi.json` says of them."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from flask import request
from jsonschema_rs import Draft202012Validator

from app.web.info import About
from app.web.openapi.document import document

if TYPE_CHECKING:
    from flask import Flask, Response

METHODS = ("get", "post")
NO_CONTENT = 204
ABOUT = About(name="n", description="d", version="1", mints=())
# Pages for people, and answers that say only that there is nothing.
PAGES = ("/admin", "/pay", "/static")
NOTHING = ("nothing", "not ", "only POST ")


def is_described(endpoint: str, rule: str) -> bool:
    """Tell whether a route has to stand in the description."""
    name = endpoint.rpartition(".")[2]
    return not (rule.startswith(PAGES) or name.startswith(NOTHING))


def template(rule: str) -> str:
    """Spell a rule of Flask's as OpenAPI does.

    >>> template("/v1/change/<uuid:request_id>")
    '/v1/change/{request_id}'
    """
    return re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", rule)


@cache
def operations() -> dict[tuple[str, str], Any]:
    """Return every operation by its method and path."""
    paths = document(ABOUT)["paths"]
    return {
        (method, path): told
        for path, methods in paths.items()
        for method, told in methods.items()
    }


@cache
def _validator(method: str, path: str, status: str, kind: str) -> Draft202012Validator | None:
    answers = operations()[method, path]["responses"]
    content = answers.get(status, answers["default"])["content"]
    kind = kind if kind in content else "*/*"
    if kind not in content:
        return None
    components = document(ABOUT)["components"]
    return Draft202012Validator({**content[kind]["schema"], "components": components})


def faults(answer: Response) -> list[str]:
    """Return what in the answer to the current request is not as described."""
    rule, endpoint = request.url_rule, request.endpoint
    if rule is None or endpoint is None or not is_described(endpoint, rule.rule):
        return []
    method, path = request.method.lower(), template(rule.rule)
    is_asked = method in METHODS and answer.status_code != NO_CONTENT
    return _faults(method, path, answer) if is_asked else []


def _faults(method: str, path: str, answer: Response) -> list[str]:
    place = f"{method} {path} {answer.status_code}"
    if (method, path) not in operations():
        return [f"{place}: nothing is said of it"]
    validator = _validator(method, path, str(answer.status_code), answer.mimetype)
    if validator is None:
        return [f"{place}: {answer.mimetype} is not among what it answers"]
    if answer.mimetype != "application/json":
        return []
    document = answer.get_json(silent=True)
    if document is None and operations()[method, path]["tags"] == ["sold"]:
        # An upstream's own, which is passed on as it is.
        return []
    found = validator.iter_errors(document)
    return [f"{place}: {error.message} at {error.instance_path}" for error in found]


def watch(app: Flask) -> list[str]:
    """Return a list that fills with whatever `app` answers otherwise than described."""
    seen: list[str] = []

    def look(answer: Response) -> Response:
        seen.extend(faults(answer))
        return answer

    app.after_request(look)
    return seen
