"""The guarded fetch against servers with certificates of a house authority."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from app.gateways.errors import UnreachableError
from app.gateways.guarded import Fetch, Guard
from tests.gateways.authority import Authority
from tests.gateways.traps import PUBLIC, NameService, Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

NAME = "pay.example"


class Greeting(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.headers["host"] + self.path)
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Say nothing."""


class Patient(HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Bear clients that hang up at the certificate."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def serving(context: ssl.SSLContext) -> Iterator[tuple[int, list[str]]]:
    handler = type("Handler", (Greeting,), {"asked": []})
    with Patient(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port, handler.asked  # type: ignore[attr-defined]  # it has
        server.shutdown()
        thread.join()


def test_the_address_is_pinned_and_the_name_is_verified(authority: Authority) -> None:
    names = NameService([PUBLIC])
    with serving(authority.context(NAME)) as (port, asked):
        wire = Wire(port)
        guard = Guard(resolve=names, connect=wire, ca_file=authority.file)

        fetched = Fetch(guard).get(f"https://{NAME}/x")

    assert (fetched.status, fetched.media_type, fetched.body) == (200, "text/plain", b"hello")
    assert asked == [f"{NAME}/x"]
    assert wire.gone_to == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    ("host", "is_trusted"), [("evil.example", True), (NAME, False), ("*.example", True)]
)
def test_a_certificate_for_another_name_or_of_another_authority_is_none(
    authority: Authority, host: str, *, is_trusted: bool
) -> None:
    with serving(authority.context(host)) as (port, asked):
        guard = Guard(
            resolve=NameService([PUBLIC]),
            connect=Wire(port),
            ca_file=authority.file if is_trusted else None,
        )
        url = f"https://{NAME if host != '*.example' else 'a.b.example'}/"

        with pytest.raises(UnreachableError):
            Fetch(guard).get(url)
        with guard.session() as session, suppress(OSError):
            session.get(url, timeout=5)

    assert asked == []


def test_a_session_pins_and_verifies_as_well(authority: Authority) -> None:
    with serving(authority.context(NAME)) as (port, _asked):
        wire = Wire(port)
        guard = Guard(resolve=NameService([PUBLIC]), connect=wire, ca_file=authority.file)

        with guard.session() as session:
            assert session.get(f"https://{NAME}/", timeout=5).content == b"hello"

    assert wire.gone_to == [(PUBLIC, 443)]
