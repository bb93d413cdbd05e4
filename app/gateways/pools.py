"""Pools of connections that somebody else makes: urllib3's, with the way out handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from app.gateways.errors import AddressBarredError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping


class Connect(Protocol):
    """Returns a connection, or raises `AddressBarredError` or `OSError`."""

    def __call__(self, host: str, port: int, *, is_tls: bool) -> socket.socket: ...


class BarredConnectionError(NewConnectionError):
    """Tells urllib3 that there is no connection, and us by `barred` why."""

    def __init__(self, connection: HTTPConnection, barred: AddressBarredError) -> None:
        super().__init__(connection, str(barred))
        self.barred = barred


class _Connection(HTTPConnection):
    is_tls = False

    def __init__(
        self,
        *args: Any,
        make: Connect,
        watch: Callable[[socket.socket], None] | None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._make = make
        self._watch = watch

    def _new_conn(self) -> socket.socket:
        try:
            connection = self._make(self._dns_host, self.port, is_tls=self.is_tls)
        except AddressBarredError as error:
            raise BarredConnectionError(self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "no connection in time") from error
        except OSError as error:
            raise NewConnectionError(self, type(error).__name__) from error
        if self._watch is not None:
            self._watch(connection)
        return connection


class _TlsConnection(_Connection, HTTPSConnection):
    is_tls = True


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Pools(PoolManager):
    """Makes each connection by `make`, and shows it to `watch`; TLS verifies the name."""

    def __init__(
        self,
        make: Connect,
        ca_file: str,
        watch: Callable[[socket.socket], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(cert_reqs="CERT_REQUIRED", ca_certs=ca_file, **options)
        self._added: Mapping[str, Any] = {"make": make, "watch": watch}
        self.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def _new_pool(
        self,
        scheme: str,
        host: str,
        port: int,
        request_context: dict[str, Any] | None = None,
    ) -> HTTPConnectionPool:
        context = {**(request_context or self.connection_pool_kw), **self._added}
        return super()._new_pool(scheme, host, port, context)


class PoolAdapter(HTTPAdapter):
    """The same for a session of requests."""

    def __init__(
        self,
        make: Connect,
        ca_file: str,
        watch: Callable[[socket.socket], None] | None = None,
    ) -> None:
        self._make = make
        self._ca_file = ca_file
        self._watch = watch
        super().__init__()

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        connections, each = sizes
        self.poolmanager = Pools(
            self._make,
            self._ca_file,
            self._watch,
            num_pools=connections,
            maxsize=each,
            **options,
        )
