from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Flask

from app.store.errors import StoreUnavailableError
from app.web import headers, health, problems
from app.web.health import OK, Health

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask.testing import FlaskClient


def well() -> str:
    return OK


def broken() -> str:
    raise StoreUnavailableError


def client(*, store: str = OK, mints: str = OK, token: str = "") -> FlaskClient:
    app = Flask(__name__)
    headers.attach(app)
    app.register_error_handler(Exception, problems.answer)
    parts = {OK: well, "broken": broken}
    told = Health(
        {"store": parts.get(store, lambda: store)},
        {"mints": parts.get(mints, lambda: mints)},
        lambda: b"earned 7\n",
        token,
    )
    app.register_blueprint(health.blueprint(told))
    return app.test_client()


def test_a_house_that_can_serve_is_ready() -> None:
    answer = client().get("/readyz")

    assert answer.status_code == 200
    assert answer.get_json() == {"status": "ready", "store": "ok", "mints": "ok"}
    assert answer.headers["Cache-Control"] == "no-store"


def test_without_what_every_request_needs_it_is_not() -> None:
    stale, down = client(store="stale").get("/readyz"), client(store="broken").get("/readyz")

    assert stale.status_code == down.status_code == 503
    assert stale.get_json()["store"] == "stale"
    assert down.get_json()["store"] == "StoreUnavailableError"


def test_a_silent_mint_does_not_stop_those_who_have_paid_before() -> None:
    answer = client(mints="silent: https://m.example").get("/readyz")

    assert answer.status_code == 200
    assert answer.get_json()["mints"] == "silent: https://m.example"


@pytest.mark.parametrize(
    ("token", "sent", "address", "may"),
    [
        ("", {}, "127.0.0.1", True),
        ("", {}, "::1", True),
        ("", {}, "10.0.0.1", False),
        ("", {}, "", False),
        ("", {"X-Forwarded-For": "127.0.0.1"}, "127.0.0.1", False),
        ("", {"Forwarded": "for=127.0.0.1"}, "127.0.0.1", False),
        ("secret", {"Authorization": "Bearer secret"}, "10.0.0.1", True),
        ("secret", {"Authorization": "Bearer other"}, "127.0.0.1", False),
        ("secret", {"Authorization": "Bearer sécret"}, "127.0.0.1", False),
        ("secret", {}, "127.0.0.1", False),
    ],
)
def test_figures_are_for_this_machine_or_for_who_has_the_token(
    token: str, sent: Mapping[str, str], address: str, *, may: bool
) -> None:
    answer = client(token=token).get(
        "/metrics", headers=dict(sent), environ_base={"REMOTE_ADDR": address}
    )

    assert answer.status_code == (200 if may else 404)
    assert (b"earned" in answer.data) == may
