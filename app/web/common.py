"""The common request: a paid one, written as every client writes it, and nothing else.

Whatever could be read in two ways, and whatever is merely rare, is not common: gunicorn's own
parser, which knows all of HTTP, reads that and judges it. So this one never has to refuse.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from app.cashier.paths import PATHS

RULES = {rule.encode() for path in PATHS for rule in (f"/v1{path}", path)}
LINE = re.compile(rb"POST (/[a-z0-9_/]{1,80}) HTTP/1\.1\r\n")
# Narrower than what HTTP allows: no empty values, no bytes beyond ASCII, and no underscores,
# which become one with hyphens in an environment.
FIELD = re.compile(rb"([A-Za-z0-9-]{1,64}+):[ \t]*+([\x21-\x7e][\t\x20-\x7e]*+)\r\n")
FIELDS = re.compile(rb"(?:[A-Za-z0-9-]{1,64}+:[ \t]*+[\x21-\x7e][\t\x20-\x7e]*+\r\n){1,64}")
LENGTH = re.compile(r"[0-9]{1,8}")
# These change how the request is framed, or what becomes of the connection.
RARE = frozenset(
    {"HTTP_CONNECTION", "HTTP_EXPECT", "HTTP_TE", "HTTP_TRANSFER_ENCODING", "HTTP_UPGRADE"}
)
# A proxy's word on the scheme; gunicorn sees to it that two of them agree.
SCHEMES = frozenset(
    {"HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_PROTOCOL", "HTTP_X_FORWARDED_SSL"}
)
KEEP_ALIVE = "keep-alive"
WHOLE = "tallystick.whole"
"""Where an application finds the body, if all of it has come together with the head."""
BARE = {"HTTP_CONTENT_TYPE": "CONTENT_TYPE", "HTTP_CONTENT_LENGTH": "CONTENT_LENGTH"}


class Common(NamedTuple):
    """A common request's head: what a WSGI environment says of it, and its body's length."""

    environ: dict[str, str]
    length: int


def common(head: bytes) -> Common | None:
    r"""Return what `head` says, without its empty line, or None if that is not common.

    >>> head = b"POST /v1/embeddings HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
    >>> common(head).environ["PATH_INFO"], common(head).length
    ('/v1/embeddings', 2)
    >>> common(head + b"Transfer-Encoding: chunked\r\n")
    """
    line = LINE.match(head)
    if line is None or line[1] not in RULES or not FIELDS.fullmatch(head, line.end()):
        return None
    found = FIELD.findall(head, line.end())
    environ = {key_of(name): value.rstrip(b" \t").decode("ascii") for name, value in found}
    if len(environ) != len(found) or "HTTP_HOST" not in environ or not _is_plain(environ):
        return None
    length = environ.get("CONTENT_LENGTH", "")
    if not LENGTH.fullmatch(length):
        return None
    path = line[1].decode("ascii")
    environ |= {"PATH_INFO": path, "RAW_URI": path}
    return Common(environ, int(length))


def _is_plain(environ: dict[str, str]) -> bool:
    rare = RARE & environ.keys()
    if rare and (len(rare) > 1 or environ.get("HTTP_CONNECTION", "").lower() != KEEP_ALIVE):
        return False
    return len(SCHEMES & environ.keys()) <= 1


@lru_cache(maxsize=1024)
def key_of(name: bytes) -> str:
    """Return what a header field is called in a WSGI environment (PEP 3333)."""
    key = "HTTP_" + name.decode("ascii").upper().replace("-", "_")
    return BARE.get(key, key)
