"""Who is signed in: a signed cookie that ends by itself, or when its operator changes."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.staff.operators import Operator

LASTS_S, IDLE_S = 8 * 3600, 30 * 60
FRESH_S = 5 * 60
"""For so long after a password was given, what moves money does not ask for it again."""

COOKIE = re.compile(
    r"([0-9a-f]{32})\.([a-z0-9_-]{0,40})\.(\d{1,12})\.(\d{1,12})\.(\d{1,12})\.(\d{1,12})"
    r"\.([0-9a-f]{64})",
    re.ASCII,
)


class Session(NamedTuple):
    """A browser: `began_s` is when it signed in or first came, `seen_s` when it last asked.

    It is that of the operator of this name at this `version`, nobody's while the name is
    empty; at `proved_s` the password was last given.
    """

    name: str
    operator: str
    version: int
    began_s: int
    seen_s: int
    proved_s: int


class Sessions:
    """Makes sessions, and reads them back from cookies that nobody else can make.

    `key` are 32 bytes of the seed; with the `password` of the settings mixed in, a new one
    ends all sessions of the old. The server remembers no session: signing out takes the
    cookie from the browser, and a copy of it lives on until it is idle or old, or until its
    operator has changed or signed out everywhere.
    """

    def __init__(
        self, key: bytes, password: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._key = hmac.digest(key, password.encode(), "sha256")
        self._clock = clock

    def begin(self, operator: Operator | None = None) -> Session:
        """Return a new session; signing in always makes one (no fixation)."""
        now_s = int(self._clock())
        name, version = (operator.name, operator.version) if operator else ("", 0)
        return Session(secrets.token_hex(16), name, version, now_s, now_s, now_s)

    def proved(self, session: Session) -> Session:
        """Return the session whose password was given just now."""
        return session._replace(proved_s=int(self._clock()))

    def is_fresh(self, session: Session) -> bool:
        """Tell whether the password was given so lately that money may be moved."""
        return self._clock() < session.proved_s + FRESH_S

    def write(self, session: Session) -> str:
        """Return the cookie of `session`, seen just now."""
        fields = session._replace(seen_s=int(self._clock()))
        text = ".".join(map(str, fields))
        return f"{text}.{self._mac('cookie', text)}"

    def read(self, cookie: str) -> Session | None:
        """Return the session of `cookie`; `None` if it is not ours, too old or idle."""
        found = COOKIE.fullmatch(cookie)
        if found is None:
            return None
        text, mac = cookie.rpartition(".")[0], found[7]
        if not hmac.compare_digest(self._mac("cookie", text), mac):
            return None
        name, operator, *numbers = found.groups()[:6]
        session = Session(name, operator, *map(int, numbers))
        now_s = self._clock()
        lasts = now_s < session.began_s + LASTS_S and now_s < session.seen_s + IDLE_S
        return session if lasts else None

    def form_token(self, session: Session) -> str:
        """Return what every form of this session carries (CSRF)."""
        return self._mac("form", session.name)

    def is_form_token(self, session: Session, token: str) -> bool:
        return hmac.compare_digest(self.form_token(session).encode(), token.encode())

    def _mac(self, purpose: str, text: str) -> str:
        return hmac.digest(self._key, f"{purpose}:{text}".encode(), "sha256").hex()
