"""The lines of a simulation: what is asked of a mint, and every way it goes astray."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

import urllib3

from app.gateways.errors import FetchBrokenError, UnreachableError
from app.gateways.guarded import Fetched
from tests.doubles.recipient import METADATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.mint import SimMint
    from tests.simulation.stage import Process, Stage

ASTRAY, REFUSED = 0.2, 0.04
LATE_S_MAX = 900.0
ADDRESS = "bob@bank.example"


class Raw:
    """The body of an answer, read once."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read1(self, _size: int, *, decode_content: bool) -> bytes:
        del decode_content
        content, self._content = self._content, b""
        return content


class Response:
    """As much of an answer of `requests` as the mint's client looks at."""

    def __init__(self, status: int, content: bytes) -> None:
        self.status_code = status
        self.headers = {"Retry-After": "1"}
        self.raw = Raw(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None: ...


class Session:
    """A session of one process with the mints; it stands where `requests.Session` does.

    Before the mint hears of a request, and after it has acted, others may go on, and the
    process may die. A request that is late acts when nobody waits for its answer any more.
    """

    trust_env = False

    def __init__(self, stage: Stage, process: Process, mints: dict[str, SimMint]) -> None:
        self._stage = stage
        self._process = process
        self._mints = mints

    def request(self, method: str, url: str, *, json: Any = None, **_: Any) -> Response:
        parts = urlsplit(url)
        mint = self._mints[f"{parts.scheme}://{parts.netloc}"]
        path = parts.path.removeprefix("/v1/")
        stage, what = self._stage, f"{mint.name} {path.partition('/')[0]}"
        moves = method == "POST" and path not in {"checkstate", "restore"}
        stage.cross(self._process, f"asks {what}")
        if not mint.is_up or stage.happens(REFUSED):
            stage.told.count("unreachable")
            raise urllib3.exceptions.ConnectTimeoutError
        astray = stage.happens(ASTRAY)
        kind = stage.chance.choice(("lost", "late", "unanswered", "500", "429", "html"))
        if astray and kind in {"lost", "late"}:
            if kind == "late" and moves:
                self._act_later(mint, method, path, json)
            stage.told.count(kind)
            raise urllib3.exceptions.ProtocolError(kind)
        if astray and kind in {"500", "429"}:
            stage.told.count(kind)
            return Response(int(kind), b"{}")
        if path == "melt/bolt11":
            mint.choose_payment()
        status, answer = mint.answer(method, path, json or {})
        stage.note(mint.name, f"{path} {status} {answer.get('detail', '')}")
        stage.cross(self._process, f"hears of {what}")
        if astray:
            stage.told.count(kind)
            if kind == "html":
                return Response(200, b"<html>")
            raise urllib3.exceptions.ReadTimeoutError(None, url, kind)  # type: ignore[arg-type]  # no pool is behind it
        return Response(status, _encoded(answer))

    def close(self) -> None: ...

    def _act_later(self, mint: SimMint, method: str, path: str, body: Any) -> None:
        stage = self._stage

        def act() -> None:
            status, answer = mint.answer(method, path, body)
            stage.note(mint.name, f"LATE {path} {status} {answer.get('detail', '')}")

        stage.later(stage.chance.uniform(0.0, LATE_S_MAX), f"late {path}", act)


class Guard:
    """Stands where the guard of foreign addresses does; every line leads to our mints."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @contextmanager
    def errand(self, _seconds: float) -> Iterator[Session]:
        yield self._session

    def check(self, _url: str) -> None: ...

    def scheme_for(self, _netloc: str) -> str:
        return "https"


class Fetch:
    """The way to Bob's Lightning address (LUD-16); his invoices are a mint's."""

    def __init__(self, stage: Stage, process: Process, bank: SimMint, guard: Guard) -> None:
        self._stage = stage
        self._process = process
        self._bank = bank
        self.guard = guard

    def get(self, url: str) -> Fetched:
        self._stage.cross(self._process, "asks bob")
        if self._stage.happens(REFUSED):
            raise UnreachableError("bob")
        parts = urlsplit(url)
        if parts.path.startswith("/.well-known"):
            answer: dict[str, object] = {
                "tag": "payRequest",
                "callback": "https://bank.example/pay",
                "minSendable": 1_000,
                "maxSendable": 100_000_000,
                "metadata": METADATA,
            }
        else:
            amount_msat = int(parse_qs(parts.query)["amount"][0])
            answer = {"pr": self._bank.new_invoice(amount_msat), "routes": []}
        if self._stage.happens(ASTRAY):
            raise FetchBrokenError("breaks off")
        return Fetched(200, "application/json", _encoded(answer))


def _encoded(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode()
