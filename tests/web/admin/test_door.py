from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from app.web.admin.door import REFUSED
from app.web.admin.room import COOKIE
from app.web.admin.session import IDLE_S, LASTS_S
from tests.web.admin.conftest import PASSWORD, View

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
CHANGE = (
    "/admin/sign-out",
    "/admin/providers/add",
    "/admin/providers/change",
    "/admin/providers/refresh",
    "/admin/providers/remove",
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


def test_the_table_of_routes_is_complete(stranger: View) -> None:
    public = {"/admin/static/<path:filename>", "/admin/sign-in/", "/static/<path:filename>"}
    rules = {rule.rule for rule in stranger.app.url_map.iter_rules()}

    known = {path.partition("?")[0].replace("/3", "/<int:position>") for path in READ + CHANGE}
    # A stream, which has tests of its own.
    known.add("/admin/feed/")

    assert rules - public <= known


@pytest.mark.parametrize("path", READ)
def test_without_a_session_every_page_leads_to_the_door(stranger: View, path: str) -> None:
    answer = stranger.get(path)

    assert is_sent_to_the_door(answer)
    assert "sat" not in answer.text


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("after_s", [IDLE_S, LASTS_S])
def test_an_expired_session_is_none(view: View, path: str, after_s: int) -> None:
    view.clock.now_s += after_s

    assert is_sent_to_the_door(view.get(path))


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize(
    "cookie",
    ["", "1", "a.1.1800000000.1800000000.b", f"{'0' * 32}.1.1800000000.1800000000.{'0' * 64}"],
)
def test_a_cookie_that_is_not_ours_is_none(stranger: View, path: str, cookie: str) -> None:
    set_cookie(stranger, cookie)

    assert is_sent_to_the_door(stranger.get(path))


def test_a_session_before_signing_in_cannot_be_made_one_after_it(stranger: View) -> None:
    stranger.get("/admin/sign-in/")
    name, signed_in, *rest = cookie_of(stranger).split(".")
    assert signed_in == "0"

    set_cookie(stranger, ".".join([name, "1", *rest]))

    assert is_sent_to_the_door(stranger.get("/admin/"))


@pytest.mark.parametrize("path", CHANGE)
@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_nothing_is_changed_without_the_token_of_the_form(
    view: View, path: str, token: str
) -> None:
    answer = view.browser.post(path, data={"form_token": token})

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert view.get("/admin/").status_code == 200


@pytest.mark.parametrize("path", CHANGE)
def test_nothing_is_changed_without_a_session(stranger: View, path: str) -> None:
    token = stranger.form_token()

    answer = stranger.browser.post(path, data={"form_token": token})

    assert answer.status_code == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("path", READ)
def test_pages_that_are_read_take_no_post(view: View, path: str) -> None:
    assert view.browser.post(path).status_code in {404, 405}


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
    forms = [{}, {"form_token": "0"}, {"password": PASSWORD}]
    forms += [{"form_token": token, "password": "wrong"}] * 8

    answers = [stranger.browser.post("/admin/sign-in/", data=form) for form in forms]

    assert {answer.status_code for answer in answers} == {403, 429}
    assert len({answer.text for answer in answers}) == 1


def test_a_form_from_elsewhere_is_refused(stranger: View) -> None:
    form = {"password": PASSWORD, "form_token": stranger.form_token()}

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
    form = {"password": PASSWORD, "form_token": stranger.form_token()}

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
    form = {"password": "x" * 100_000, "form_token": stranger.form_token()}

    answer = stranger.browser.post("/admin/sign-in/", data=form)

    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def test_nothing_of_flask_admins_own_files_is_served(view: View) -> None:
    path = "/admin/static/bootstrap/bootstrap4/js/bootstrap.min.js"

    assert view.get(path).status_code == HTTPStatus.NOT_FOUND
