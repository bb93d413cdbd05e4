from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
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

from app.gateways.upstream import Upstream, UpstreamBrokenError, UpstreamUnreachableError
from tests.doubles.upstream import UpstreamDouble
from tests.gateways.authority import Authority

if TYPE_CHECKING:
    from pathlib import Path


def door_to(base_url: str) -> Upstream:
    return Upstream(
        base_url, "key", connect_timeout_s=0.5, read_timeout_s=0.5, connections_max=1
    )


def test_a_server_that_does_not_speak_tls_is_not_spoken_to() -> None:
    with UpstreamDouble() as double:
        upstream = door_to(double.base_url.replace("http:", "https:"))

        with pytest.raises((UpstreamBrokenError, UpstreamUnreachableError)):
            upstream.get("/models")

        assert double.requests == []


def test_a_wrong_certificate_means_nothing_was_sent(self_signed: ssl.SSLContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=_shake_hands, args=(listener, self_signed))
        server.start()
        upstream = door_to(f"https://127.0.0.1:{listener.getsockname()[1]}")

        with pytest.raises(UpstreamUnreachableError):
            upstream.get("/models")

        server.join()


def test_a_certificate_for_the_name_is_taken_and_its_connection_serves_again(
    tmp_path: Path,
) -> None:
    authority, double = Authority(tmp_path), UpstreamDouble()
    double._server.socket = authority.context("localhost").wrap_socket(
        double._server.socket, server_side=True
    )
    with double:
        upstream = Upstream(
            double.base_url.replace("http://127.0.0.1", "https://localhost"),
            "key",
            connect_timeout_s=5,
            read_timeout_s=5,
            connections_max=1,
            ca_file=authority.file,
        )

        for _ in range(3):
            assert b"gpt-4o-mini" in upstream.get("/models").read_all(10_000)
        upstream.close()

    assert double.connections == 1


def test_a_certificate_for_another_name_means_nothing_was_sent(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = authority.context("api.example")
        server = threading.Thread(target=_shake_hands, args=(listener, context))
        server.start()
        upstream = Upstream(
            f"https://localhost:{listener.getsockname()[1]}",
            "key",
            connect_timeout_s=5,
            read_timeout_s=5,
            connections_max=1,
            ca_file=authority.file,
        )

        with pytest.raises(UpstreamUnreachableError):
            upstream.get("/models")

        server.join()


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            return  # the client hung up, as it should


@pytest.fixture
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Return a server's context with a certificate that nobody vouches for."""
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    path.write_bytes(_self_signed_certificate())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def _self_signed_certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ) + certificate.public_bytes(Encoding.PEM)
