"""A Lightning address's server on localhost: honest unless it is told otherwise."""

from __future__ import annotations

import json
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.gateways.invoices import invoice_msat

if TYPE_CHECKING:
    from collections.abc import Callable

METADATA = json.dumps([["text/plain", "Satoshis for Bob"], ["text/identifier", "bob@house"]])
METADATA_HASH = sha256(METADATA.encode()).hexdigest()
TERMS, CALLBACK = "/.well-known/lnurlp/bob", "/pay/bob"


def signed_invoice(amount_msat: int) -> str:
    """Return an invoice as LUD-06 wants it, that nobody has been told of."""
    return invoice_msat(amount_msat, description_hash=METADATA_HASH)


class RecipientServer:
    """LNURL-pay for `bob` (LUD-06); `terms` and `bill` are what it is asked for, and lies."""

    def __init__(self, make_invoice: Callable[[int], str] = signed_invoice) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._make_invoice = make_invoice
        self.netloc = f"127.0.0.1:{self._server.server_port}"
        self.address = f"bob@{self.netloc}"
        self.asked: list[str] = []
        self.invoices: list[str] = []
        self.terms: dict[str, Any] = {}
        self.bill: dict[str, Any] = {}
        self.instead: dict[str, tuple[int, str, bytes]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, target: str) -> tuple[int, str, bytes]:
        self.asked.append(target)
        parts = urlsplit(target)
        if parts.path in self.instead:
            return self.instead[parts.path]
        if parts.path == TERMS:
            return 200, "application/json", json.dumps(self._terms()).encode()
        if parts.path != CALLBACK:
            return 404, "text/html", b"<h1>Not found</h1>"
        amount_msat = int(parse_qs(parts.query)["amount"][0])
        if not self.bill:
            self.invoices.append(self._make_invoice(amount_msat))
        bill = self.bill or {"pr": self.invoices[-1], "routes": []}
        return 200, "application/json; charset=utf-8", json.dumps(bill).encode()

    def _terms(self) -> dict[str, Any]:
        terms = {
            "tag": "payRequest",
            "callback": f"http://{self.netloc}{CALLBACK}?id=1",
            "minSendable": 1_000,
            "maxSendable": 1_000_000_000,
            "metadata": METADATA,
            **self.terms,
        }
        return {name: value for name, value in terms.items() if value is not None}


def _handler(recipient: RecipientServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content_type, body = recipient.answer(self.path)
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("location", "http://127.0.0.1:1/")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                return  # whoever asked has lost their patience, as they should

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
            """Say nothing."""

    return Handler
