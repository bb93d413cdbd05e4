"""A mint in memory, with every fault a network can have, for tests that need many of both.

It keeps to the contract of `tests/gateways/test_mint_contract.py`, as a real nutshell does.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from app.gateways.mint.keysets import split
from app.gateways.mint.tokens import Token, encode
from app.gateways.mint.wire import BlindSignature, SignatureDleq
from tests.doubles.mint_books import MintBooks
from tests.gateways.outputs import prepare

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment


class Fault(StrEnum):
    """What may happen to a request on its way."""

    DROP_REQUEST = "the connection breaks before the mint reads"
    DROP_RESPONSE = "the mint acts, the connection breaks before it answers"
    DELAY = "the mint acts, the answer is late"
    SERVER_ERROR = "500, without acting"
    RATE_LIMIT = "429, without acting"
    GARBAGE = "the mint acts, the answer is no JSON"
    OTHER_AMOUNT = "the mint acts, and says it signed another amount"


STATUS_OF_FAULT = {Fault.SERVER_ERROR: 500, Fault.RATE_LIMIT: 429}


class FakeMint(MintBooks):
    """A mint on a free port of 127.0.0.1 while the `with` block lasts.

    `calls` counts the requests by path below /v1/, `bodies` keeps what was posted.
    """

    def __init__(
        self,
        key: str = "fake",
        *,
        fee_ppk: int = 100,
        units: Iterable[str] = ("sat", "msat"),
        keyset_version: int = 2,
        pays_invoices: bool = True,
    ) -> None:
        super().__init__(
            key,
            fee_ppk=fee_ppk,
            units=units,
            keyset_version=keyset_version,
            pays_invoices=pays_invoices,
        )
        self.calls: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self._faults: list[tuple[str, Fault, float]] = []
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._server = make_server(
            "127.0.0.1", 0, self._application, threaded=True, request_handler=_Quiet
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    def fault(self, path: str, fault: Fault, *, times: int = 1, delay_s: float = 0.0) -> None:
        """Let `fault` befall the next calls of `/v1/<path>`, as often as said."""
        with self._lock:
            self._faults += [(path, fault, delay_s)] * times

    def fund(self, amount: int, unit: str = "sat", *, lock_to: str | None = None) -> str:
        """Return a token of fresh ecash, as if somebody had paid for it."""
        with self._lock:
            keyset = self.active(unit)
            prepared = prepare(keyset.id, split(amount), lock_to)
            signed = [self.sign(out.b, out.amount, out.keyset_id) for out in prepared.outputs]
        proofs = prepared.proofs([_signature(table) for table in signed], keyset.keys)
        return encode(Token(self.url, unit, tuple(proofs)))

    def _application(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        request = Request(environ)
        path = request.path.removeprefix("/v1/")
        fault, delay_s = self._next_fault(path)
        if fault is Fault.DROP_REQUEST:
            _hang_up(environ)
        status, answer = self._acted(request, path, fault)
        if fault is Fault.DROP_RESPONSE:
            _hang_up(environ)
        if fault is Fault.DELAY:
            time.sleep(delay_s)
        if fault is Fault.OTHER_AMOUNT:
            first = answer["signatures"][0]
            answer["signatures"][0] = first | {"amount": 2 * first["amount"]}
        text = "<html>" if fault is Fault.GARBAGE else json.dumps(answer)
        return Response(text, status, mimetype="application/json")(environ, start_response)

    def _next_fault(self, path: str) -> tuple[Fault | None, float]:
        with self._lock:
            self.calls[path] += 1
            for place, (wanted, fault, delay_s) in enumerate(self._faults):
                if wanted == path:
                    del self._faults[place]
                    return fault, delay_s
        return None, 0.0

    def _acted(
        self, request: Request, path: str, fault: Fault | None
    ) -> tuple[int, dict[str, Any]]:
        if fault in STATUS_OF_FAULT:
            return STATUS_OF_FAULT[fault], {"detail": str(fault)}
        body = request.get_json() if request.method == "POST" else {}
        self.bodies.append(body)
        return self.answer(request.method, path, body)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  # werkzeug's name
        pass


def _signature(table: dict[str, Any]) -> BlindSignature:
    dleq = SignatureDleq(**table["dleq"])
    return BlindSignature(table["amount"], table["id"], table["C_"], dleq)


def _hang_up(environ: WSGIEnvironment) -> None:
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError
