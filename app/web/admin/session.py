"""Who is signed in: a signed cookie that names nobody and ends by itself."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

LASTS_S, IDLE_S = 8 * 3600, 30 * 60
COOKIE = re.compile(r"([0-9a-f]{32})\.([01])\.(\d{1,12})\.(\d{1,12})\.([0-9a-f]{64})", re.ASCII)


class Session(NamedTuple):
    """A browser: `began_s` is when it signed in or first came, `seen_s` when it last asked."""

    name: str
    signed_in: bool
    began_s: int
    seen_s: int


class Sessions:
    """Makes sessions, and reads them back from cookies that nobody else can make.

    `key` are 32 bytes of the seed; with `password` mixed in, a new password ends all
    sessions of the old one. The server remembers no session: signing out takes the cookie
    from the browser, and a copy of it would live on until it is idle or old.
    """

    def __init__(
        self, key: bytes, password: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._key = hmac.digest(key, password.encode(), "sha256")
        self._clock = clock

    def begin(self, *, signed_in: bool) -> Session:
        """Return a new session; signing in always makes one (no fixation)."""
        now_s = int(self._clock())
        return Session(secrets.token_hex(16), signed_in, now_s, now_s)

    def write(self, session: Session) -> str:
        """Return the cookie of `session`, seen just now."""
        name, signed_in, began_s, _ = session
        text = f"{name}.{int(signed_in)}.{began_s}.{int(self._clock())}"
        return f"{text}.{self._mac('cookie', text)}"

    def read(self, cookie: str) -> Session | None:
        """Return the session of `cookie`; `None` if it is not ours, too old or idle."""
        found = COOKIE.fullmatch(cookie)
        if found is None:
            return None
        text, mac = cookie.rpartition(".")[0], found[5]
        if not hmac.compare_digest(self._mac("cookie", text), mac):
            return None
        session = Session(found[1], found[2] == "1", int(found[3]), int(found[4]))
        now_s = self._clock()
        fresh = now_s < session.began_s + LASTS_S and now_s < session.seen_s + IDLE_S
        return session if fresh else None

    def form_token(self, session: Session) -> str:
        """Return what every form of this session carries (CSRF)."""
        return self._mac("form", session.name)

    def is_form_token(self, session: Session, token: str) -> bool:
        return hmac.compare_digest(self.form_token(session).encode(), token.encode())

    def _mac(self, purpose: str, text: str) -> str:
        return hmac.digest(self._key, f"{purpose}:{text}".encode(), "sha256").hex()
