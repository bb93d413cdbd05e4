"""The guarded fetch against servers with certificates of a house authority."""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from app.gateways.errors import UnreachableError
from app.gateways.guarded import Fetch, Guard
from tests.gateways.traps import PUBLIC, NameService, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


class Authority:
    """Issues certificates; `file` holds its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "house authority")])
        own = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = str(directory / "authority.pem")
        (directory / "authority.pem").write_bytes(self._signed(own))

    def context(self, host: str) -> ssl.SSLContext:
        """Return a server's context with a certificate for `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        wanted = self._builder(name, key.public_key()).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
        )
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = self._directory / f"{host}.pem"
        path.write_bytes(secret + self._signed(wanted))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


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
