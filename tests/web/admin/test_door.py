from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from app.web.admin.auditor import COOKIE
from app.web.admin.door import REFUSED
from app.web.admin.session import IDLE_S, LASTS_S
from domain.operators import OperatorSignedOut
from tests.staff.desk import events_in, operators_of
from tests.web.admin.conftest import PASSWORD, TOKEN, View

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

READ = (
    "/admin/",
    "/admin",
    "/admin/events/",
    "/admin/events/3",
    "/admin/accounts/",
    "/admin/accounts/?id=00000000-0000-4000-8000-000000000001",
    "/admin/statement/?account=house:earned",
    "/admin/balances/",
    "/admin/unfinished/",
    "/admin/mints/",
    "/admin/prices/",
    "/admin/providers/",
)
ABSOLUTELY_OUTSIDE = "//evil.example/"


def is_sent_to_the_door(answer: TestResponse) -> bool:
    return answer.status_code == 303 and answer.headers["Location"] == "/admin/sign-in/"


def cookie_of(view: View) -> str:
    found = view.browser.get_cookie(COOKIE, path="/admin")
    assert found
    return str(found.value)


def set_cookie(view: View, value: str) -> None:
    view.browser.set_cookie(COOKIE, value, path="/admin")


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize(
    "cookie",
    ["", "1", "a.b.c", f"{'0' * 32}.admin.1.1800000000.1800000000.1800000000.{'0' * 64}"],
)
def test_a_cookie_that_is_not_ours_is_none(stranger: View, path: str, cookie: str) -> None:
    set_cookie(stranger, cookie)

    assert is_sent_to_the_door(stranger.get(path))


def test_a_session_before_signing_in_cannot_be_made_one_after_it(stranger: View) -> None:
    stranger.get("/admin/sign-in/")
    name, operator, version, *rest = cookie_of(stranger).split(".")
    assert (operator, version) == ("", "0")

    set_cookie(stranger, ".".join([name, "admin", "1", *rest]))

    assert is_sent_to_the_door(stranger.get("/admin/"))


def test_the_right_password_opens(stranger: View) -> None:
    answer = stranger.sign_in()

    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/")
    assert stranger.get("/admin/").status_code == 200


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " ", "x" * 5000, "\x00", "é"])
def test_a_wrong_password_does_not_open(stranger: View, password: str) -> None:
    answer = stranger.sign_in(password)

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert REFUSED in answer.text
    assert password == "" or password not in answer.text
    assert is_sent_to_the_door(stranger.get("/admin/"))


def test_every_refusal_has_the_same_words(stranger: View) -> None:
    token = stranger.form_token()
    forms = [{}, {"form_token": "0"}, {"name": "admin", "password": PASSWORD}]
    forms += [{"form_token": token, "name": "nobody", "password": PASSWORD}] * 3
    forms += [{"form_token": token, "name": "admin", "password": "wrong"}] * 5

    answers = [stranger.browser.post("/admin/sign-in/", data=form) for form in forms]

    assert {answer.status_code for answer in answers} == {403, 429}
    assert len({answer.text for answer in answers}) == 1


def test_a_form_from_elsewhere_is_refused(stranger: View) -> None:
    form = {"name": "admin", "password": PASSWORD, "form_token": stranger.form_token()}

    for site in ("cross-site", "same-site"):
        answer = stranger.browser.post(
            "/admin/sign-in/", data=form, headers={"Sec-Fetch-Site": site}
        )

        assert answer.status_code == HTTPStatus.FORBIDDEN


def test_the_token_of_one_session_is_worth_nothing_in_another(stranger: View) -> None:
    theirs = stranger.form_token()
    stranger.browser.delete_cookie(COOKIE, path="/admin")

    stranger.get("/admin/sign-in/")

    assert stranger.sign_in(token=theirs).status_code == HTTPStatus.FORBIDDEN


def test_signing_in_gives_a_new_session(stranger: View) -> None:
    stranger.get("/admin/sign-in/")
    before = cookie_of(stranger).partition(".")[0]

    stranger.sign_in()

    assert cookie_of(stranger).partition(".")[0] != before


def test_who_works_is_not_idle_but_ends_after_eight_hours(view: View) -> None:
    worked_s = 0
    while worked_s + IDLE_S - 1 < LASTS_S:
        worked_s += IDLE_S - 1
        view.clock.now_s += IDLE_S - 1
        assert view.get("/admin/prices/").status_code == 200

    view.clock.now_s += LASTS_S - worked_s

    assert is_sent_to_the_door(view.get("/admin/"))


def test_signing_out_takes_the_cookie(view: View) -> None:
    token = view.page("/admin/prices/").partition('name="form_token" value="')[2][:64]

    answer = view.browser.post("/admin/sign-out", data={"form_token": token})

    assert is_sent_to_the_door(answer)
    assert view.browser.get_cookie(COOKIE, path="/admin") is None


def test_guessing_becomes_slow(stranger: View) -> None:
    token = stranger.form_token()
    for _ in range(5):
        assert stranger.sign_in("wrong", token).status_code == HTTPStatus.FORBIDDEN
    stranger.clock.now_s += 1
    assert stranger.sign_in("wrong", token).status_code == HTTPStatus.FORBIDDEN

    refused = stranger.sign_in(PASSWORD, token)

    assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert refused.headers["Retry-After"] == "2"
    stranger.clock.now_s += 2
    assert stranger.sign_in(PASSWORD, token).status_code == HTTPStatus.SEE_OTHER


def test_the_cookie_is_for_this_view_alone(stranger: View) -> None:
    answer = stranger.browser.get("/admin/sign-in/")
    over_tls = stranger.browser.get("/admin/sign-in/", base_url="https://house.example")

    words = set(answer.headers["Set-Cookie"].partition("; ")[2].split("; "))
    assert words == {"HttpOnly", "Path=/admin", "SameSite=Strict"}
    assert "Secure" in over_tls.headers["Set-Cookie"]


def test_nobody_is_led_elsewhere(stranger: View) -> None:
    path = f"/admin/sign-in/?next={ABSOLUTELY_OUTSIDE}"
    form = {"name": "admin", "password": PASSWORD, "form_token": stranger.form_token()}

    answer = stranger.browser.post(path, data=form)

    assert answer.headers["Location"] == "/admin/"


@pytest.mark.parametrize("path", [*READ, "/admin/sign-in/", "/admin/static/auditor.css"])
def test_every_answer_is_guarded(view: View, path: str) -> None:
    answer = view.get(path)
    answer.close()
    found = answer.headers

    assert found["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert "frame-ancestors 'none'" in found["Content-Security-Policy"]
    assert "unsafe" not in found["Content-Security-Policy"]
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["Referrer-Policy"] == "no-referrer"
    assert found["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in found


def test_no_page_has_anything_that_the_policy_forbids(view: View) -> None:
    for path in READ:
        text = view.browser.get(path, follow_redirects=True).text.lower()

        assert not [
            word
            for word in ("<script", " style=", "<style", " onclick", "javascript:")
            if word in text
        ], path


def test_a_body_that_is_too_large_is_refused(stranger: View) -> None:
    form = {"name": "admin", "password": "x" * 100_000, "form_token": stranger.form_token()}

    answer = stranger.browser.post("/admin/sign-in/", data=form)

    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def test_nothing_of_flask_admins_own_files_is_served(view: View) -> None:
    path = "/admin/static/bootstrap/bootstrap4/js/bootstrap.min.js"

    assert view.get(path).status_code == HTTPStatus.NOT_FOUND


def last_of(view: View) -> Any:
    return events_in(view.desk)[-1]


def test_who_signs_in_is_an_event(stranger: View) -> None:
    stranger.sign_in()

    assert (last_of(stranger).who, last_of(stranger).act) == ("admin", "signed in")


def test_that_guessing_was_stopped_is_one_event(stranger: View) -> None:
    """M48: it names neither the address nor what was typed."""
    token = stranger.form_token()

    for _ in range(9):
        stranger.sign_in("wrong", token, "typed-by-mistake")

    acts = [getattr(event, "act", "") for event in events_in(stranger.desk)][-9:]
    assert acts.count("kept out") == 1
    assert last_of(stranger).who == "nobody"
    assert "typed" not in repr(events_in(stranger.desk))


def test_signing_out_everywhere_ends_every_session(view: View) -> None:
    elsewhere = cookie_of(view)
    token = TOKEN.search(view.page("/admin/"))
    assert token

    view.browser.post("/admin/sign-out", data={"form_token": token[1], "everywhere": "on"})
    set_cookie(view, elsewhere)

    assert is_sent_to_the_door(view.get("/admin/"))
    assert isinstance(last_of(view), OperatorSignedOut)


@pytest.mark.parametrize("change", ["scopes", "password", "removed"])
def test_a_change_of_an_operator_ends_their_sessions(stranger: View, change: str) -> None:
    operators = operators_of(stranger.desk)
    ann = f"ann-{change}"
    operators.add(ann, PASSWORD, ["audit"], "a test")
    stranger.sign_in(name=ann)
    assert stranger.get("/admin/").status_code == 200

    if change == "scopes":
        operators.set_scopes(ann, ["audit", "export"], "a test")
    elif change == "password":
        operators.set_password(ann, PASSWORD + "!", "a test")
    else:
        operators.remove(ann, "a test")

    assert is_sent_to_the_door(stranger.get("/admin/"))


def test_over_tls_browsers_are_told_to_stay_there(stranger: View) -> None:
    answer = stranger.browser.get("/admin/sign-in/", base_url="https://house.example")

    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "Strict-Transport-Security" not in stranger.get("/admin/sign-in/").headers
