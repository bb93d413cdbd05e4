"""Where a process of the house is to die: at once, unannounced, as with its plug pulled."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

from app.gateways.guarded import Guard
from app.gateways.upstream import Upstream, UpstreamAnswer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    import requests

    from domain.command import Command
    from domain.event import Entry
    from domain.foreign_ledger import Record

REPLY = "before the reply"
"""All is done and recorded, and nobody has been told."""

UPSTREAM_ASKED = "before the upstream is asked"
UPSTREAM_HEAD = "after the upstream's head"
UPSTREAM_DATA = "after a piece of the upstream's answer"
UPSTREAM_END = "after the upstream's end"


class Fuse:
    """Kills the process the `count`-th time that it comes by `place`; never, without one."""

    def __init__(self, place: str = "", count: int = 1) -> None:
        self._place = place
        self._left = count

    def reach(self, place: str) -> None:
        """Come by `place`, perhaps for the last time."""
        if place != self._place:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def recording(self, record: Record) -> Record:
        """Return `record` with a place before and one after each kind of command."""

        def recorded(command: Command) -> Entry:
            kind = type(command).__name__
            self.reach(before(kind))
            entry = record(command)
            self.reach(after(kind))
            return entry

        return recorded


def before(step: str) -> str:
    """Name the place before a command is recorded, or before a mint is asked."""
    return f"before {step}"


def after(step: str) -> str:
    """Name the place after a command is durable, or when a mint's answer has come in."""
    return f"after {step}"


class FusedAdapter(HTTPAdapter):
    """The way to a mint: a place before each request, and one when its answer has come in."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self._fuse = fuse

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        call = (request.path_url or "").rpartition("/")[2]
        self._fuse.reach(before(call))
        response = super().send(request, *args, **kwargs)
        self._fuse.reach(after(call))
        return response


class FusedGuard(Guard):
    """The way to one mint on this machine that is not trusted, with the same places."""

    def __init__(self, url: str, fuse: Fuse) -> None:
        super().__init__([url.removeprefix("http://")])
        self._fuse = fuse

    def session(self, watch: Callable[[socket.socket], None] | None = None) -> requests.Session:
        session = super().session(watch)
        session.mount("http://", FusedAdapter(self._fuse))
        return session


class FusedUpstream(Upstream):
    """The real way to the upstream, with places all along it."""

    def __init__(self, base_url: str, fuse: Fuse) -> None:
        super().__init__(
            base_url, "", connect_timeout_s=5.0, read_timeout_s=20.0, connections_max=4
        )
        self._fuse = fuse

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> UpstreamAnswer:
        self._fuse.reach(UPSTREAM_ASKED)
        answer = super().post(path, body, headers)
        self._fuse.reach(UPSTREAM_HEAD)
        return _FusedAnswer(answer, self._fuse)


class _FusedAnswer(UpstreamAnswer):
    def __init__(self, answer: UpstreamAnswer, fuse: Fuse) -> None:
        super().__init__(answer._answer, answer._keeper)
        # It is this one's to give back.
        answer._connection = None
        self._fuse = fuse

    def read_some(self) -> bytes:
        data = super().read_some()
        self._fuse.reach(UPSTREAM_DATA)
        if not data or b"[DONE]" in data:
            self._fuse.reach(UPSTREAM_END)
        return data
