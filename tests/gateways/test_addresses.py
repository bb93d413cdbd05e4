from __future__ import annotations

import pytest

from app.gateways.addresses import Place, check_addresses, check_name, is_public, place_of
from app.gateways.errors import AddressBarredError

BARRED_HOSTS = [
    "localhost", "a.localhost", "pay", "10", "127.0.0.1", "127.1", "2130706433", "0x7f000001",
    "0x7f.0.0.1", "0x7f.0.0.0x1", "0177.0.0.1", "017700000001", "127.0.0.1.", "pay.example.",
    "1.1.1.1", "0", "0.0.0.0",  # noqa: S104  # nothing is bound
    "169.254.169.254", "[::1]", "::1", "[::ffff:127.0.0.1]",
    "[fe80::1%25eth0]", "fe80::1%eth0", "printer.local", "nas.lan", "router.home.arpa",
    "metadata.google.internal", "db.corp", "x.onion", "xn--", "-a.example", "a-.example",
    "a..example", ".example", "pay.example.1", "pay.0x7f", "a_b.example", "pay example.com",
    "\uff11\uff12\uff17.0.0.1", "\u24db\u24de\u24d2\u24d0\u24db.example", "pay\u3002example",
    "a" * 64 + ".example", "a." * 130 + "example", "*.example", "pay.example:443",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1",
    "223.255.255.254", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e",
]  # fmt: skip
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104  # nothing is bound
    "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255",
    "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:1.1.1.1", "::ffff:0:1.1.1.1",
    "64:ff9b::7f00:1", "64:ff9b::101:101", "64:ff9b:1::a00:1", "100::1", "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1", "2001:db8::1",
    "2002:7f00:1::", "2002:a9fe:a9fe::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254",
    "fe80::1", "fe80::1%eth0", "2606:4700::1%1", "fec0::1", "ff02::1", "", "localhost", "1.1",
]  # fmt: skip
BARRED_URLS = [
    "", "pay.example", "//pay.example/", "ftp://pay.example/", "file:///etc/passwd",
    "gopher://pay.example/", "https://", "https:///x", "https://bob@pay.example/",
    "https://pay.example:pw@evil.example/", "https://@pay.example/", "https://pay.example\\@x/",
    "https://pay.example/\r\nHost: x", "https://pay.example/a b", "https://pay.example/\x00",
    "https://pay.example:99999/", "https://pay.example:http/", "https://[::1/",
    "https://p\u00e4y.example/", "https://pay.example/" + "a" * 2_048,
]  # fmt: skip


@pytest.mark.parametrize("host", BARRED_HOSTS)
def test_a_host_that_is_no_public_name_is_barred(host: str) -> None:
    with pytest.raises(AddressBarredError, match="no connection is made there: its host"):
        check_name(host)


@pytest.mark.parametrize(
    "host", ["pay.example", "a.b-c.d0.xn--p1ai", "1.2.3.example", "x.co", "0x7f.example"]
)
def test_a_public_name_is_not(host: str) -> None:
    check_name(host)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_every_other_address_is_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("url", BARRED_URLS)
def test_a_url_that_two_readers_might_read_in_two_ways_is_barred(url: str) -> None:
    with pytest.raises(AddressBarredError):
        place_of(url)


def test_a_url_leads_to_a_host_and_a_port() -> None:
    assert place_of("https://Pay.Example/x?y#z") == Place("https", "pay.example", 443)
    assert place_of("HTTP://pay.example:8080") == Place("http", "pay.example", 8080)


def test_one_address_that_is_not_public_spoils_the_answer() -> None:
    check_addresses(["1.1.1.1", "2606:4700:4700::1111"])

    for addresses in (["1.1.1.1", "10.0.0.1"], ["::1", "2606:4700:4700::1111"], []):
        with pytest.raises(AddressBarredError):
            check_addresses(addresses)


def test_a_reason_repeats_nothing_of_the_address() -> None:
    with pytest.raises(AddressBarredError) as raised:
        place_of("https://secret@pay.example/secret")

    assert "secret" not in str(raised.value)
    assert "pay" not in str(raised.value)
