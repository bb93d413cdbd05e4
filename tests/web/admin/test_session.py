from __future__ import annotations

import pytest

from app.staff.operators import Operator
from app.web.admin.session import FRESH_S, Sessions
from tests.web.admin.conftest import Clock

KEY = b"k" * 32
ANN = Operator("ann", 3, ("audit",))


def test_a_session_is_read_back_from_its_cookie() -> None:
    sessions = Sessions(KEY, "password", Clock())
    session = sessions.begin(ANN)

    assert sessions.read(sessions.write(session)) == session
    assert (session.operator, session.version) == ("ann", 3)


def test_another_password_ends_all_sessions() -> None:
    before, after = (Sessions(KEY, password, Clock()) for password in ("old", "new"))

    assert after.read(before.write(before.begin(ANN))) is None


@pytest.mark.parametrize("place", range(0, 130, 7))
def test_no_character_of_a_cookie_can_be_changed(place: int) -> None:
    sessions = Sessions(KEY, "password", Clock())
    cookie = sessions.write(sessions.begin())

    other = "1" if cookie[place] != "1" else "2"

    assert sessions.read(cookie[:place] + other + cookie[place + 1 :]) is None


def test_the_token_of_a_form_is_no_cookie() -> None:
    sessions = Sessions(KEY, "password", Clock())
    session = sessions.begin(ANN)

    assert sessions.form_token(session) not in sessions.write(session)


def test_a_password_is_fresh_for_some_minutes() -> None:
    clock = Clock()
    sessions = Sessions(KEY, "", clock)
    session = sessions.begin(ANN)

    clock.now_s += FRESH_S - 1
    before = sessions.is_fresh(session)
    clock.now_s += 1
    after = sessions.is_fresh(session)

    assert (before, after) == (True, False)
    assert sessions.is_fresh(sessions.proved(session))
