"""Every route of the auditor's view, and everybody who is to be refused there.

The routes come from the application itself: one that is new is refused here until it is
said which scope it wants.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from app.web.admin.session import IDLE_S, LASTS_S
from domain.rights import AUDIT, EXPORT, SCOPES, SETTINGS, WITHDRAW
from tests.web.admin.conftest import PASSWORD, View, open_view

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from werkzeug.test import TestResponse

ANYBODY = "anybody"
EVERYBODY_SIGNED_IN = "everybody who is signed in"
WANTS = {
    "static": ANYBODY,
    "auditor.static": ANYBODY,
    "admin-sign-in.index": ANYBODY,
    "admin.sign_out": EVERYBODY_SIGNED_IN,
    "admin.index": AUDIT,
    "admin-events.index": AUDIT,
    "admin-events.event": AUDIT,
    "admin-events.export": EXPORT,
    "admin-accounts.index": AUDIT,
    "admin-statement.index": AUDIT,
    "admin-balances.index": AUDIT,
    "admin-unfinished.index": AUDIT,
    "admin-mints.index": AUDIT,
    "admin-prices.index": AUDIT,
    "admin-unfinished.ask": SETTINGS,
    "admin-reconciliation.index": AUDIT,
    "admin-reconciliation.proofs": AUDIT,
    "admin-reconciliation.compare": SETTINGS,
    "admin-jobs.index": AUDIT,
    "admin-models.index": AUDIT,
    "admin-settings.index": AUDIT,
    "admin-settings.set": SETTINGS,
    "admin-settings.unset": SETTINGS,
    "admin-nostr.index": AUDIT,
    "admin-payouts.index": AUDIT,
    "admin-payouts.plan": WITHDRAW,
    "admin-payouts.withdraw": WITHDRAW,
    "admin-payouts.token": WITHDRAW,
    "admin-feed.index": AUDIT,
    "admin-providers.index": AUDIT,
    "admin-providers.add": SETTINGS,
    "admin-providers.change": SETTINGS,
    "admin-providers.refresh": SETTINGS,
    "admin-providers.remove": SETTINGS,
}
VALUES = {"position": 3}
NUMBERS = count()


def routes() -> Iterator[tuple[str, str, str]]:
    """Every endpoint with a method and an address that are its own."""
    app = open_view(NoStore(), NoStore(), lambda: 0.0)  # type: ignore[arg-type]
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        path = adapter.build(rule.endpoint, VALUES | {"filename": "x"})
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule.endpoint, method, path


class NoStore:
    """What a store is asked before anybody comes: nothing."""

    engine, position = "sqlite", "rowid"

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any) -> Any:
        return self


ROUTES = list(routes())
INSIDE = [each for each in ROUTES if WANTS.get(each[0]) != ANYBODY]
CHANGING = [each for each in INSIDE if each[1] == "POST"]
EACH = pytest.mark.parametrize(("endpoint", "method", "path"), INSIDE)


def ask(view: View, method: str, path: str, **form: str) -> TestResponse:
    answer = view.browser.open(path, method=method, data=form or None, buffered=False)
    answer.close()
    return answer


def is_kept_out(method: str, answer: TestResponse) -> bool:
    if method == "GET":
        found = (answer.status_code, answer.headers.get("Location"))
        return found == (303, "/admin/sign-in/")
    return answer.status_code == 403


def with_scopes(view: View, *scopes: str) -> View:
    """A browser in which an operator with just these scopes has signed in."""
    name = f"one-{next(NUMBERS)}"
    auditor_app(view.app).add(name, PASSWORD, scopes, "a test")
    assert view.sign_in(name=name).status_code == 303
    return view


def auditor_app(app: Flask) -> Any:
    return app.extensions["admin"][0].index_view.auditor.operators


def test_it_is_said_of_every_route_which_scope_it_wants() -> None:
    assert {endpoint for endpoint, *_ in ROUTES} == set(WANTS)


@EACH
def test_without_a_session_nobody_comes_in(
    stranger: View, endpoint: str, method: str, path: str
) -> None:
    assert is_kept_out(method, ask(stranger, method, path))
    assert is_kept_out(method, ask(stranger, method, path, form_token=stranger.form_token()))


@EACH
@pytest.mark.parametrize("after_s", [IDLE_S, LASTS_S])
def test_an_expired_session_is_none(
    view: View, endpoint: str, method: str, path: str, after_s: int
) -> None:
    token = token_of(view)
    view.clock.now_s += after_s

    assert is_kept_out(method, ask(view, method, path, form_token=token))


@pytest.mark.parametrize(
    ("endpoint", "method", "path"),
    [each for each in INSIDE if WANTS.get(each[0]) != EVERYBODY_SIGNED_IN],
)
def test_without_its_scope_a_route_is_refused_with_a_plain_sentence(
    stranger: View, endpoint: str, method: str, path: str
) -> None:
    wanted = WANTS[endpoint]
    view = with_scopes(stranger, *(scope for scope in SCOPES if scope != wanted))

    answer = view.browser.open(path, method=method, data={"form_token": token_of(view)})

    assert answer.status_code == 403
    assert f"This needs the scope &#39;{wanted}&#39;" in answer.text


@pytest.mark.parametrize(("endpoint", "method", "path"), CHANGING)
@pytest.mark.parametrize("token", [None, "", "0" * 64, "é"])
def test_nothing_is_changed_without_the_token_of_the_form(
    view: View, endpoint: str, method: str, path: str, token: str | None
) -> None:
    form = {} if token is None else {"form_token": token}

    answer = view.browser.post(path, data=form)

    assert answer.status_code == 403
    assert view.get("/admin/").status_code == 200


@pytest.mark.parametrize(("endpoint", "method", "path"), CHANGING)
def test_a_form_that_another_site_sent_is_refused(
    view: View, endpoint: str, method: str, path: str
) -> None:
    answer = view.browser.post(
        path, data={"form_token": token_of(view)}, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert answer.status_code == 403


@EACH
def test_with_its_scope_alone_a_route_lets_in(
    stranger: View, endpoint: str, method: str, path: str
) -> None:
    wanted = WANTS[endpoint]
    view = with_scopes(stranger, AUDIT if wanted == EVERYBODY_SIGNED_IN else wanted)

    answer = ask(view, method, path, form_token=token_of(view))

    assert not is_kept_out(method, answer) or endpoint.startswith("admin-providers")


@EACH
def test_other_methods_are_not_taken(view: View, endpoint: str, method: str, path: str) -> None:
    taken = {each[1] for each in ROUTES if each[2] == path}

    for other in {"GET", "POST", "PUT", "DELETE", "PATCH"} - taken:
        assert ask(view, other, path).status_code in {404, 405}


def token_of(view: View) -> str:
    """The token of the forms on a page that everybody who is signed in may see."""
    auditor = view.app.extensions["admin"][0].index_view.auditor
    cookie = view.browser.get_cookie("tallystick_auditor", path="/admin")
    assert cookie
    session = auditor.sessions.read(cookie.value)
    return str(auditor.sessions.form_token(session))
