"""The one place where it is decided by which way a connection leaves the house.

Without a proxy every connection is made directly. With one, as Tor's, the names of the
internet are handed to it: none is looked up here, so that no name server learns of them.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import certifi
import requests
from python_socks import ProxyError, ProxyType
from python_socks.sync import Proxy
from urllib3.util.connection import create_connection

from app.gateways.addresses import ONION, PORT_OF_SCHEME, is_of_own_network
from app.gateways.pools import PoolAdapter

if TYPE_CHECKING:
    from app.gateways.pools import Connect

# What urllib3 sets on its own connections: small pieces of an answer are sent at once.
SOCKET_OPTIONS: Final[list[tuple[int, int, int | bytes]]] = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
]


@dataclass(frozen=True, slots=True)
class WayOut:
    """Makes connections to machines that the operator has named.

    `proxy_url` is a SOCKS5 proxy, as in `socks5h://127.0.0.1:9050`. Every host is reached
    through it but those of this machine and its own network; with `only_onion`, onion
    services alone. An onion service is never looked up in the DNS (RFC 7686): without a
    proxy there is no way to it.
    """

    proxy_url: str | None = None
    only_onion: bool = False

    def goes_through(self, host: str) -> bool:
        """Tell whether `host` is reached through the proxy, if there is one."""
        if host.lower().endswith(ONION):
            return True
        return not self.only_onion and not is_of_own_network(host)

    def connect(self, address: tuple[str, int], timeout_s: float) -> socket.socket:
        """Return a connection to a host and its port; raises `OSError`."""
        host, port = address
        if self.proxy_url is not None and self.goes_through(host):
            return self.through(address, timeout_s)
        if host.lower().endswith(ONION):
            raise ConnectionError("an onion service, and no proxy to reach it by")
        return create_connection((host, port), timeout_s, socket_options=SOCKET_OPTIONS)

    def through(self, address: tuple[str, int], timeout_s: float) -> socket.socket:
        """Return a connection made by the proxy, which looks the name up; raises `OSError`."""
        try:
            made = self._proxy().connect(*address, timeout=timeout_s)
        except (ProxyError, ValueError) as error:
            # The second is a name that cannot be written as the DNS has them.
            raise ConnectionError(f"the proxy makes no connection: {error}") from error
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def within(self, timeout_s: float) -> Connect:
        """Return what makes the connections of a pool, each in at most `timeout_s`."""

        def connect(host: str, port: int, *, is_tls: bool) -> socket.socket:  # noqa: ARG001
            return self.connect((host, port), timeout_s)

        return connect

    def session(self, connect_timeout_s: float) -> requests.Session:
        """Return a session whose connections go this way; nothing is of the environment."""
        session = requests.Session()
        session.trust_env = False
        session.verify = certifi.where()
        connect = self.within(connect_timeout_s)
        for scheme in PORT_OF_SCHEME:
            session.mount(f"{scheme}://", PoolAdapter(connect, certifi.where()))
        return session

    def _proxy(self) -> Proxy:
        parts = urlsplit(self.proxy_url or "")
        return Proxy(
            ProxyType.SOCKS5,
            parts.hostname or "",
            parts.port or 0,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            rdns=True,
        )


DIRECT: Final = WayOut()
