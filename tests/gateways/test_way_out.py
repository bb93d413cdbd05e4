"""Where connections are made that leave the house: directly, or through a SOCKS proxy."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest

from app.gateways.errors import AddressBarredError, UnreachableError
from app.gateways.exchange import Exchange, Source
from app.gateways.guarded import Fetch, Guard
from app.gateways.mint.crypto import Seed
from app.gateways.mint.mints import Mints
from app.gateways.upstream import Upstream, UpstreamUnreachableError
from app.gateways.way_out import DIRECT, WayOut
from tests.doubles.mint import FakeMint
from tests.doubles.socks import SocksDouble
from tests.doubles.upstream import UpstreamDouble
from tests.gateways.canned import CannedServer, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

ONION = "x" * 55 + "d.onion"
SEED = Seed.from_mnemonic("abandon " * 11 + "about")


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name that this machine is asked to look up meanwhile."""
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def noted(host: str, *args: object, **options: object) -> object:
        asked.append(host)
        return look_up(host, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    return asked


@pytest.fixture
def upstream_double() -> Iterator[UpstreamDouble]:
    with UpstreamDouble() as double:
        yield double


def port_of(url: str) -> int:
    return int(url.split(":")[2].partition("/")[0])


def upstream_at(base_url: str, way: WayOut) -> Upstream:
    return Upstream(
        base_url, "key", connect_timeout_s=2, read_timeout_s=2, connections_max=1, way=way
    )


@pytest.mark.parametrize("host", [ONION, "api.example.com"])
def test_an_upstream_is_asked_through_the_proxy_by_its_name(
    upstream_double: UpstreamDouble, lookups: list[str], host: str
) -> None:
    with SocksDouble(port_of(upstream_double.base_url)) as proxy:
        upstream = upstream_at(f"http://{host}/v1", WayOut(proxy.url))

        asked = upstream.get("/models")
        asked.close()
        upstream.close()

    assert asked.status == 200
    assert proxy.asked == [(host, 80)]
    assert set(lookups) <= {"127.0.0.1"}


def test_a_mint_is_asked_through_the_proxy_by_its_name(lookups: list[str]) -> None:
    with FakeMint() as mint, SocksDouble(port_of(mint.url)) as proxy:
        session = partial(WayOut(proxy.url).session, 2)
        mints = Mints(
            [f"http://{ONION}"], SEED, connect_timeout_s=2, timeout_s=2, session=session
        )

        keysets = mints.get(f"http://{ONION}").client.keysets()
        mints.close()

    assert keysets
    assert proxy.asked == [(ONION, 80)]
    assert set(lookups) <= {"127.0.0.1"}


def test_an_exchange_is_asked_through_the_proxy(lookups: list[str]) -> None:
    source = Source("one", "http://rates.example.com/", ("price",))
    with (
        CannedServer(answer(b'{"price": "100000"}')) as server,
        SocksDouble(port_of(server.url)) as proxy,
        WayOut(proxy.url).session(2) as session,
    ):
        observed = Exchange(session, [source], sources_min=1).observe()

    assert observed.btc_usd == 100_000
    assert proxy.asked == [("rates.example.com", 80)]
    assert set(lookups) <= {"127.0.0.1"}


def test_what_a_stranger_names_is_fetched_through_the_proxy_and_still_guarded(
    lookups: list[str],
) -> None:
    with CannedServer(answer(b"{}")) as server, SocksDouble(port_of(server.url)) as proxy:
        way = WayOut(proxy.url)
        fetch = Fetch(Guard(through=way.through, goes_through=way.goes_through))

        body = fetch.get(f"http://{ONION}/").body
        for url in ("http://pay.example.com/", "https://10.0.0.1/", "https://printer.lan/"):
            with pytest.raises(AddressBarredError):
                fetch.get(url)

    assert body == b"{}"
    assert proxy.asked == [(ONION, 80)]
    assert set(lookups) <= {"127.0.0.1"}


def test_a_proxy_for_onion_services_alone_leaves_the_rest_to_the_guard() -> None:
    way = WayOut("socks5h://127.0.0.1:1", only_onion=True)
    guard = Guard(
        resolve=lambda _host, _port: ["127.0.0.1"],
        through=way.through,
        goes_through=way.goes_through,
    )

    with pytest.raises(AddressBarredError, match="not public"):
        Fetch(guard).get("https://pay.example.com/")
    with pytest.raises(UnreachableError):
        Fetch(guard).get(f"https://{ONION}/")


@pytest.mark.parametrize(
    ("host", "is_proxied", "is_proxied_for_onion"),
    [
        (ONION, True, True),
        (ONION.upper(), True, True),
        ("api.example.com", True, False),
        ("1.1.1.1", True, False),
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("10.1.2.3", False, False),
        ("localhost", False, False),
        ("mint", False, False),
        ("printer.local", False, False),
    ],
)
def test_the_house_and_its_network_are_reached_directly(
    host: str, *, is_proxied: bool, is_proxied_for_onion: bool
) -> None:
    assert WayOut("socks5h://127.0.0.1:9050").goes_through(host) is is_proxied
    only_onion = WayOut("socks5h://127.0.0.1:9050", only_onion=True)
    assert only_onion.goes_through(host) is is_proxied_for_onion


def test_a_provider_on_this_machine_needs_no_proxy(upstream_double: UpstreamDouble) -> None:
    with SocksDouble() as proxy:
        upstream = upstream_at(upstream_double.base_url, WayOut(proxy.url))

        asked = upstream.get("/models")
        asked.close()
        upstream.close()

    assert asked.status == 200
    assert proxy.asked == []


def test_without_a_proxy_an_onion_service_is_not_even_looked_up(lookups: list[str]) -> None:
    with pytest.raises(UpstreamUnreachableError):
        upstream_at(f"http://{ONION}/v1", DIRECT).get("/models")

    assert lookups == []


def test_what_the_proxy_cannot_reach_was_sent_nothing() -> None:
    with SocksDouble() as proxy, pytest.raises(UpstreamUnreachableError):
        upstream_at(f"http://{ONION}/v1", WayOut(proxy.url)).get("/models")


def test_a_name_that_the_dns_cannot_have_is_not_asked_for() -> None:
    with SocksDouble() as proxy, pytest.raises(ConnectionError):
        WayOut(proxy.url).connect(("a" * 64 + ".example.com", 443), 2)

    assert proxy.asked == []


def test_a_proxy_that_is_not_there_is_an_upstream_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(UpstreamUnreachableError):
        upstream_at(f"http://{ONION}/v1", WayOut(f"socks5h://127.0.0.1:{port}")).get("/models")


def test_a_proxy_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        way = WayOut(f"socks5h://127.0.0.1:{listener.getsockname()[1]}")

        with pytest.raises(TimeoutError):
            way.connect((ONION, 80), 0.1)


def test_the_proxy_is_told_the_name_and_password_of_its_url(
    upstream_double: UpstreamDouble,
) -> None:
    port = port_of(upstream_double.base_url)
    with SocksDouble(port, user=("house", "secret")) as proxy:
        upstream = upstream_at(f"http://{ONION}/v1", WayOut(proxy.url))

        upstream.get("/models").close()
        upstream.close()

    assert proxy.users == [("house", "secret")]
