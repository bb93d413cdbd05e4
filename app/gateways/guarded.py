"""The one way to fetch from a URL that a stranger chose: the public internet and no further.

A name is resolved where its connection is made, every address that comes of it is checked,
and those addresses are connected to: a name that changes its mind between check and use
(DNS rebinding) gains nothing. TLS goes on to verify the name.
"""

from __future__ import annotations

import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import certifi
import requests
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import ConnectTimeoutError, HTTPError
from urllib3.util.connection import create_connection

from app.gateways.addresses import (
    HTTPS_PORT,
    ONION,
    PORT_OF_SCHEME,
    check_addresses,
    check_name,
    place_of,
)
from app.gateways.deadline import Deadline
from app.gateways.errors import AddressBarredError, FetchBrokenError, UnreachableError
from app.gateways.pools import BarredConnectionError, PoolAdapter, Pools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from urllib3.response import BaseHTTPResponse

    from app.gateways.addresses import Place

    Connect: TypeAlias = Callable[[tuple[str, int], float], socket.socket]
    Resolve: TypeAlias = Callable[[str, int], Sequence[str]]

CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 5.0, 10.0
BODY_BYTES_MAX = 256 * 1024
READ_BYTES = 16 * 1024
LOOKUPS_MAX = 8
ADDRESSES_MAX = 4
HEADERS: Final = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "connection": "close",
    "user-agent": "tallystick",
}


def look_up(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name in the DNS; raises `OSError`.

    The dot at the end keeps the machine's search list out: `pay.example` of a stranger
    shall not become `pay.example.our-office.lan`.
    """
    found = socket.getaddrinfo(f"{host}.", port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Guard:
    """Decides where a connection may go, and makes it.

    `allow` names hosts with their ports, as in `127.0.0.1:3338`, which the operator answers
    for: there everything goes, http too. All others are https on one of `ports`. With
    `through`, which takes a name and a port, every other host that `goes_through` is reached
    by that door, as by Tor's SOCKS proxy: nothing is resolved here, and .onion names are
    known, with http too. Which address such a name has is then that proxy's to check.
    """

    def __init__(
        self,
        allow: Iterable[str] = (),
        *,
        ports: Iterable[int] = (HTTPS_PORT,),
        resolve: Resolve = look_up,
        connect: Connect = create_connection,
        through: Connect | None = None,
        goes_through: Callable[[str], bool] = lambda _host: True,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        ca_file: str | None = None,
    ) -> None:
        self._allow = frozenset(map(_plain, allow))
        self._ports = frozenset(ports)
        self._resolve = resolve
        self._connect = connect
        self._through = through
        self._goes_through = goes_through
        # Looked up on a thread of its own, for a lookup cannot be told how long it may take.
        self._lookups = ThreadPoolExecutor(LOOKUPS_MAX, "lookup")
        self.connect_timeout_s = connect_timeout_s
        self.ca_file = ca_file or certifi.where()

    def check(self, url: str) -> None:
        """Raise `AddressBarredError` if `url` leads where no stranger may send us."""
        place = place_of(url)
        self._check(place.host, place.port, is_tls=place.scheme == "https")

    def scheme_for(self, netloc: str) -> str:
        """Return what an address without a scheme is fetched with: a host, maybe its port."""
        name, _, port = netloc.lower().partition(":")
        plain = _plain(netloc) in self._allow and port != str(HTTPS_PORT)
        return "http" if plain or name.endswith(ONION) else "https"

    def connect(self, host: str, port: int, *, is_tls: bool) -> socket.socket:
        """Return a connection, or raise `AddressBarredError`, `OSError`."""
        self._check(host, port, is_tls=is_tls)
        if _plain(f"{host}:{port}") in self._allow:
            return self._connect((host, port), self.connect_timeout_s)
        if self._through is not None and self._goes_through(host):
            return self._through((host, port), self.connect_timeout_s)
        deadline_s = time.monotonic() + self.connect_timeout_s
        addresses = self._addresses(host, port)
        check_addresses(addresses)
        return self._to_one_of(addresses, port, deadline_s)

    def session(self, watch: Callable[[socket.socket], None] | None = None) -> requests.Session:
        """Return a session that goes nowhere else, for clients that need one.

        It takes nothing from the environment. How long and how much is read is for those
        to bound who use it; each connection is shown to `watch`.
        """
        session = requests.Session()
        session.trust_env = False
        session.verify = self.ca_file
        for scheme in PORT_OF_SCHEME:
            session.mount(f"{scheme}://", PoolAdapter(self.connect, self.ca_file, watch))
        return session

    @contextmanager
    def errand(self, seconds: float) -> Iterator[requests.Session]:
        """Open such a session for some seconds: then all its connections are shut.

        So a server that drips cannot hold up who asks it, whatever it drips.
        """
        with Deadline(seconds) as deadline, self.session(deadline.watch) as session:
            yield session

    def _check(self, host: str, port: int, *, is_tls: bool) -> None:
        if _plain(f"{host}:{port}") in self._allow:
            return
        if self._through is not None and host.endswith(ONION):
            return
        if not is_tls:
            raise AddressBarredError("it is no https URL")
        if port not in self._ports:
            raise AddressBarredError("its port is an odd one")
        check_name(host)

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        pending = self._lookups.submit(self._resolve, host, port)
        return pending.result(self.connect_timeout_s)

    def _to_one_of(
        self, addresses: Sequence[str], port: int, deadline_s: float
    ) -> socket.socket:
        failure: OSError = TimeoutError()
        for address in list(dict.fromkeys(addresses))[:ADDRESSES_MAX]:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            try:
                return self._connect((address, port), left_s)
            except OSError as error:
                failure = error
        raise failure


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, whole; `media_type` is its content type in lower case, without parameters."""

    status: int
    media_type: str
    body: bytes = field(repr=False)


class Fetch:
    """GETs from addresses that strangers choose, within limits of size and of time.

    `total_timeout_s` is for all of it, by default 10 seconds more than the guard may take to
    connect: a server that drips is cut off. `body_bytes_max` holds for what arrives and for
    what it is unpacked to. No redirect is followed: it is an answer like any other. No cookie
    is kept, no proxy of the environment used.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        total_timeout_s: float | None = None,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self.guard = guard
        self._total_timeout_s = total_timeout_s or guard.connect_timeout_s + ANSWER_TIMEOUT_S
        self._body_bytes_max = body_bytes_max

    def get(self, url: str) -> Fetched:
        """Return the answer of `url`, whatever its status.

        Raises `AddressBarredError` or `UnreachableError` if nothing was sent, and
        `FetchBrokenError` if the server was asked and gave no whole answer.
        """
        place = place_of(url)
        self.guard.check(url)
        with (
            Deadline(self._total_timeout_s) as deadline,
            Pools(self.guard.connect, self.guard.ca_file, deadline.watch) as pools,
        ):
            try:
                answer = self._answer(pools, url)
            except (HTTPError, OSError) as error:
                raise _translated(error, place, is_late=deadline.is_over) from error
            if deadline.is_over:
                # Cut off, an answer may look whole that is not.
                raise FetchBrokenError("does not end")
            return answer

    def _answer(self, pools: PoolManager, url: str) -> Fetched:
        response = pools.request(
            "GET",
            url,
            headers=HEADERS,
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=Timeout(connect=self.guard.connect_timeout_s, read=self._total_timeout_s),
        )
        try:
            media_type = response.headers.get("content-type", "").partition(";")[0]
            return Fetched(response.status, media_type.strip().lower(), self._body(response))
        finally:
            response.close()

    def _body(self, response: BaseHTTPResponse) -> bytes:
        body = bytearray()
        while piece := response.read1(READ_BYTES, decode_content=True):
            body += piece
            if len(body) > self._body_bytes_max:
                raise FetchBrokenError("is too long")
        return bytes(body)


def _plain(netloc: str) -> str:
    """Write a host and port as they are compared: an IPv6 address without its brackets."""
    return netloc.lower().replace("[", "").replace("]", "")


def _translated(
    error: Exception, place: Place, *, is_late: bool
) -> AddressBarredError | FetchBrokenError | UnreachableError:
    if isinstance(error, BarredConnectionError):
        return error.barred
    if is_late:
        return FetchBrokenError("does not end")
    # A certificate that is another's ends the handshake before anything is sent.
    refused = any(isinstance(part, ssl.SSLCertVerificationError) for part in error.args)
    if refused or isinstance(error, ConnectTimeoutError):
        return UnreachableError(place.host)
    return FetchBrokenError(f"breaks off: {type(error).__name__}")
