from __future__ import annotations

import gzip
import os
import socket
import threading
import zlib
from typing import TYPE_CHECKING

import pytest
import requests

from app.gateways.errors import (
    AddressBarredError,
    FetchBrokenError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
)
from app.gateways.guarded import BODY_BYTES_MAX, Fetch, Guard, look_up
from app.gateways.mint.client import MintClient
from tests.gateways.canned import CannedServer, answer
from tests.gateways.traps import PUBLIC, NameService, Trap, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = "Content-Type: application/json; charset=utf-8"
FORMS = [
    "https://127.0.0.1:{port}/", "https://127.1:{port}/", "https://2130706433:{port}/",
    "https://0x7f000001:{port}/", "https://0177.0.0.1:{port}/", "https://0:{port}/",
    "https://[::1]:{port}/", "https://[::ffff:127.0.0.1]:{port}/", "https://[::]:{port}/",
    "https://localhost:{port}/", "https://localhost.:{port}/", "https://127.0.0.1.:{port}/",
    "https://pay.example:443@127.0.0.1:{port}/", "http://127.0.0.1:{port}/",
    "http://pay.example:{port}/", "https://pay.example:22/", "https://169.254.169.254/",
    "https://\uff11\uff12\uff17.0.0.1:{port}/",
]  # fmt: skip


@pytest.fixture
def trap() -> Iterator[Trap]:
    with Trap() as trap:
        yield trap


def fetch_from(server: CannedServer, total_timeout_s: float = 5.0) -> Fetch:
    return Fetch(
        Guard([server.url.removeprefix("http://")], connect_timeout_s=2.0),
        total_timeout_s=total_timeout_s,
    )


@pytest.mark.parametrize("form", FORMS)
def test_no_way_to_write_a_private_address_is_connected_to(trap: Trap, form: str) -> None:
    names = NameService([PUBLIC])
    fetch = Fetch(Guard(ports=[trap.port, 443], resolve=names, connect=Wire()))

    with pytest.raises(AddressBarredError) as raised:
        fetch.get(form.format(port=trap.port))

    assert isinstance(raised.value, RefusedError)
    assert names.asked == []
    assert trap.visitors == 0


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], [PUBLIC, "127.0.0.1"], ["::ffff:127.0.0.1"], ["10.0.0.1", PUBLIC]],
)
def test_a_name_that_leads_home_is_not_followed(trap: Trap, addresses: list[str]) -> None:
    guard = Guard(ports=[trap.port], resolve=NameService(addresses))

    with pytest.raises(AddressBarredError, match="not public"):
        Fetch(guard).get(f"https://pay.example:{trap.port}/")

    assert trap.visitors == 0


def test_a_name_that_changes_its_mind_is_asked_once(trap: Trap) -> None:
    names, wire = NameService([PUBLIC], ["127.0.0.1"]), Wire()
    guard = Guard(ports=[trap.port], resolve=names, connect=wire)

    with pytest.raises(UnreachableError):
        Fetch(guard).get(f"https://rebinds.example:{trap.port}/")

    assert names.asked == [("rebinds.example", trap.port)]
    assert wire.gone_to == [(PUBLIC, trap.port)]
    assert trap.visitors == 0


def test_every_public_address_of_a_name_is_tried_up_to_four() -> None:
    wire = Wire()
    names = NameService(["1.1.1.1", "1.1.1.1", *(f"1.1.1.{last}" for last in range(2, 9))])

    with pytest.raises(UnreachableError):
        Fetch(Guard(resolve=names, connect=wire)).get("https://pay.example/")

    assert wire.gone_to == [(f"1.1.1.{last}", 443) for last in (1, 2, 3, 4)]


def test_a_name_that_is_not_found_is_unreachable() -> None:
    def not_found(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    with pytest.raises(UnreachableError, match=r"pay\.example"):
        Fetch(Guard(resolve=not_found)).get("https://pay.example/")


def test_a_lookup_that_does_not_end_is_not_waited_for() -> None:
    ends = threading.Event()

    def hangs(host: str, port: int) -> list[str]:
        ends.wait(60)
        return [PUBLIC]

    with pytest.raises(UnreachableError):
        Fetch(Guard(resolve=hangs, connect_timeout_s=0.1)).get("https://pay.example/")
    ends.set()


def test_a_name_is_looked_up_as_it_is_and_not_in_the_houses_own_domain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def getaddrinfo(host: str, port: int, **options: object) -> list[object]:
        asked.append((host, port))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    assert look_up("pay.example", 443) == [PUBLIC]
    assert asked == [("pay.example.", 443)]


def test_what_the_operator_allows_is_fetched_and_nothing_beside_it(trap: Trap) -> None:
    with CannedServer(answer(b'{"a": 1}', "200 OK", JSON)) as server:
        fetch = fetch_from(server)
        fetched = fetch.get(f"{server.url}/x?y=1")

        with pytest.raises(AddressBarredError):
            fetch.get(f"http://127.0.0.1:{trap.port}/")

    assert (fetched.status, fetched.media_type) == (200, "application/json")
    assert fetched.body == b'{"a": 1}'
    head = server.requests[0].decode().lower()
    assert head.startswith("get /x?y=1 http/1.1\r\n")
    assert "authorization" not in head
    assert "cookie" not in head
    assert trap.visitors == 0


def test_the_allow_list_knows_ipv6_and_whether_to_speak_tls() -> None:
    guard = Guard(["[::1]:3338", "Mint.lan:443", "btcpay.lan:8443"], through=Wire())

    guard.check("http://[::1]:3338/")
    guard.check("https://mint.lan/")
    assert guard.scheme_for("[::1]:3338") == "http"
    assert guard.scheme_for("btcpay.LAN:8443") == "http"
    assert guard.scheme_for("mint.lan:443") == "https"
    assert guard.scheme_for("pay.example") == "https"
    assert guard.scheme_for("pay.onion") == "http"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_an_answer_and_not_an_order(trap: Trap, status: str) -> None:
    home = f"Location: http://127.0.0.1:{trap.port}/"
    with CannedServer(answer(b"", status, home)) as server:
        fetched = fetch_from(server).get(server.url)

    assert str(fetched.status) == status[:3]
    assert trap.visitors == 0


def test_a_proxy_of_the_environment_is_not_used(trap: Trap) -> None:
    proxies = dict.fromkeys(
        ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"),
        f"http://127.0.0.1:{trap.port}",
    )
    before = dict(os.environ)
    os.environ.update(proxies)
    try:
        with CannedServer(answer(b"{}")) as server:
            assert fetch_from(server).get(server.url).body == b"{}"
            with Guard([server.url.removeprefix("http://")]).session() as session:
                assert session.get(server.url, timeout=5).content == b"{}"
    finally:
        os.environ.clear()
        os.environ.update(before)

    assert trap.visitors == 0


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([JSON], b"1" * (BODY_BYTES_MAX + 1)),
        ([f"Content-Length: {10**9}"], b"1" * (BODY_BYTES_MAX + 1)),
        (["Content-Encoding: gzip"], gzip.compress(b"0" * 10_000_000)),
        (["Content-Encoding: deflate"], zlib.compress(b"0" * 10_000_000)),
        (["Content-Encoding: gzip, gzip"], gzip.compress(gzip.compress(b"0" * 10_000_000))),
    ],
)
def test_a_body_is_read_no_further_than_its_limit(headers: list[str], body: bytes) -> None:
    with (
        CannedServer(answer(body, "200 OK", *headers)) as server,
        pytest.raises(FetchBrokenError, match="is too long"),
    ):
        fetch_from(server).get(server.url)


@pytest.mark.parametrize(
    "parts",
    [
        [answer(b""), *[b" "] * 1_000],
        [b"HTTP/1.1 200 OK\r\n", *[b"X-Drip: 1\r\n"] * 1_000],
        [b"H"] * 1_000,
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"0"] * 1_000],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b" "] * 999],
    ],
    ids=["body", "headers", "status", "chunk size", "counted body"],
)
def test_a_server_that_drips_is_cut_off(parts: list[bytes]) -> None:
    with (
        CannedServer(*parts, pause_s=0.05) as server,
        pytest.raises(FetchBrokenError, match="does not end") as raised,
    ):
        fetch_from(server, total_timeout_s=0.3).get(server.url)

    assert isinstance(raised.value, OutcomeUnknownError)


def test_a_server_that_says_nothing_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        netloc = f"127.0.0.1:{listener.getsockname()[1]}"

        with pytest.raises(FetchBrokenError):
            Fetch(Guard([netloc]), total_timeout_s=0.2).get(f"http://{netloc}/")


@pytest.mark.parametrize(
    "sent",
    [b"", b"\x00\x01\x02", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123"],
)
def test_an_answer_that_breaks_off_is_none(sent: bytes) -> None:
    with CannedServer(sent) as server, pytest.raises(FetchBrokenError, match="breaks off"):
        fetch_from(server).get(server.url)


def test_nobody_at_home_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        netloc = f"127.0.0.1:{listener.getsockname()[1]}"

    with pytest.raises(UnreachableError):
        Fetch(Guard([netloc])).get(f"http://{netloc}/")


def test_another_door_is_given_names_and_resolves_them_itself() -> None:
    names, onion = NameService(["127.0.0.1"]), "x" * 56 + ".onion"
    with CannedServer(answer(b"{}")) as server:
        wire = Wire(int(server.url.rpartition(":")[2]))
        guard = Guard(resolve=names, through=wire)

        fetched = Fetch(guard).get(f"http://{onion}/")
        with pytest.raises(AddressBarredError):
            Fetch(guard).get("http://pay.example/")
        with pytest.raises(AddressBarredError):
            Fetch(guard).get("https://127.0.0.1/")

    assert fetched.body == b"{}"
    assert wire.gone_to == [(onion, 80)]
    assert names.asked == []


@pytest.mark.parametrize(
    "url", ["https://mint.example/Bitcoin", "https://10.0.0.1", "http://127.0.0.1:{port}"]
)
def test_a_mint_of_a_strangers_choice_is_asked_through_the_guard(trap: Trap, url: str) -> None:
    guard = Guard(ports=[443, trap.port], resolve=NameService(["127.0.0.1"]))
    with guard.session() as session:
        mint = MintClient(
            url.format(port=trap.port),
            session,
            connect_timeout_s=1.0,
            read_timeout_s=1.0,
            answer_bytes_max=1_000,
        )

        with pytest.raises(AddressBarredError):
            mint.info()

    assert trap.visitors == 0


def test_a_session_does_not_follow_a_redirect_home(trap: Trap) -> None:
    home = f"Location: http://127.0.0.1:{trap.port}/"
    with (
        CannedServer(answer(b"", "302 Found", home)) as server,
        Guard([server.url.removeprefix("http://")]).session() as session,
        pytest.raises(requests.ConnectionError),
    ):
        session.get(server.url, timeout=5)

    assert trap.visitors == 0
