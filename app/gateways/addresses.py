"""Tells which names and addresses on the internet a stranger may have us connect to.

Everything is refused that is not plainly a name in the public DNS and a public unicast
address: what is forgotten in a list of the forbidden would be an open door.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from app.gateways.errors import AddressBarredError

if TYPE_CHECKING:
    from collections.abc import Iterable

URL_CHARS_MAX = 2_048
HTTPS_PORT: Final = 443
PORT_OF_SCHEME: Final = {"http": 80, "https": HTTPS_PORT}
ONION = ".onion"

# The last label begins with a letter, so that no way to write an address as a number fits:
# 127.1, 2130706433, 0x7f000001, 0177.0.0.1. Nor does a dot at the end, nor any letter that
# another library may turn into one of these.
_NAME = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])"
)
_NAME_CHARS_MAX = 253
_VISIBLE = re.compile(r"[!-~]+")
# Names that are no one's in the public DNS, and somebody's in a house (RFC 6761, RFC 6762,
# RFC 8375, RFC 9476, and what ICANN keeps out for good).
_PRIVATE_TOPS: Final = frozenset(
    {
        "alt", "arpa", "corp", "home", "internal", "intranet", "invalid", "lan", "local",
        "localdomain", "localhost", "mail", "onion", "private",
    }
)  # fmt: skip

# RFC 6890 and the IANA registries; 168.63.129.16 is public by its number, and the inside of
# a cloud by its use.
_BARRED_V4: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32",
            "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
            "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24", "224.0.0.0/3",
        ),
    )
)  # fmt: skip
_UNICAST_V6: Final = ip_network("2000::/3")
# Teredo, ORCHID and their like; documentation; 6to4. IPv4 in IPv6 in any other form, NAT64
# too, is outside 2000::/3.
_BARRED_V6: Final = tuple(
    map(ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads: the scheme, the host in lower case, and the port."""

    scheme: str
    host: str
    port: int


def place_of(url: str) -> Place:
    """Return where `url` leads. Raises `AddressBarredError` if two readers might disagree."""
    if len(url) > URL_CHARS_MAX or _VISIBLE.fullmatch(url) is None or "\\" in url:
        raise AddressBarredError("it is no plain URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressBarredError("it is no plain URL") from None
    if parts.scheme not in PORT_OF_SCHEME or not parts.hostname:
        raise AddressBarredError("it is no https URL")
    if "@" in parts.netloc:
        raise AddressBarredError("it names a user")
    return Place(parts.scheme, parts.hostname, port or PORT_OF_SCHEME[parts.scheme])


def check_name(host: str) -> None:
    """Raise `AddressBarredError` unless `host` is a name as the public DNS has them.

    >>> check_name("pay.example.com")
    """
    if len(host) > _NAME_CHARS_MAX or _NAME.fullmatch(host) is None:
        raise AddressBarredError("its host is no name in the public DNS")
    if host.rpartition(".")[2] in _PRIVATE_TOPS:
        raise AddressBarredError("its host is a name of private networks")


def check_addresses(addresses: Iterable[str]) -> None:
    """Raise `AddressBarredError` unless there are some and every one is public.

    One that is not spoils the answer: it would be where the next connection goes.
    """
    found = list(addresses)
    if not found:
        raise AddressBarredError("its host has no address")
    if not all(map(is_public, found)):
        raise AddressBarredError("its host has an address that is not public")


def is_public(address: str) -> bool:
    """Tell whether a numeric address is one of a single machine on the public internet.

    >>> is_public("1.1.1.1"), is_public("169.254.169.254"), is_public("::ffff:1.1.1.1")
    (True, False, False)
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _BARRED_V4)
    return _is_public_v6(ip)


def is_of_own_network(host: str) -> bool:
    """Tell whether `host` names this machine or one of its own network.

    >>> is_of_own_network("mint"), is_of_own_network("10.0.0.7"), is_of_own_network("a.onion")
    (True, True, False)
    """
    name = host.lower().strip("[]")
    try:
        ip_address(name)
    except ValueError:
        top = name.rpartition(".")[2]
        return "." not in name or (top in _PRIVATE_TOPS and not name.endswith(ONION))
    return not is_public(name)


def _is_public_v6(ip: IPv6Address) -> bool:
    return (
        ip.scope_id is None
        and ip in _UNICAST_V6
        and not any(ip in network for network in _BARRED_V6)
    )
