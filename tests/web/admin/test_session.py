from __future__ import annotations

import pytest

from app.web.admin.session import Sessions
from tests.web.admin.conftest import Clock

KEY = b"k" * 32


def test_a_session_is_read_back_from_its_cookie() -> None:
    sessions = Sessions(KEY, "password", Clock())
    session = sessions.begin(signed_in=True)

    assert sessions.read(sessions.write(session)) == session


def test_another_password_ends_all_sessions() -> None:
    before, after = (Sessions(KEY, password, Clock()) for password in ("old", "new"))

    assert after.read(before.write(before.begin(signed_in=True))) is None


@pytest.mark.parametrize("place", range(0, 120, 7))
def test_no_character_of_a_cookie_can_be_changed(place: int) -> None:
    sessions = Sessions(KEY, "password", Clock())
    cookie = sessions.write(sessions.begin(signed_in=False))

    other = "1" if cookie[place] != "1" else "2"

    assert sessions.read(cookie[:place] + other + cookie[place + 1 :]) is None


def test_the_token_of_a_form_is_no_cookie() -> None:
    sessions = Sessions(KEY, "password", Clock())
    session = sessions.begin(signed_in=True)

    assert sessions.form_token(session) not in sessions.write(session)
