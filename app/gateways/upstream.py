"""The door to the upstream: the API whose answers are sold here."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from app.gateways.errors import OutcomeUnknownError, RefusedError
from app.gateways.http1 import READ_BYTES, NotHttpError
from app.gateways.keeping import Keeper, NoConnectionError
from app.gateways.unpacking import UnpackError, Unpacking
from app.gateways.way_out import DIRECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.gateways.http1 import Answer, Connection
    from app.gateways.way_out import WayOut

HEADER_CHARACTERS_MAX = 1024
# Printable ASCII only: a line break in a value would begin another header.
SAFE_VALUE = re.compile(r"[\x20-\x7e]*")
SAFE_PATH = re.compile(r"/[A-Za-z0-9._~/:@!$&'()*+,;=%-]*(\?[A-Za-z0-9._~/:@!$&'()*+,;=%?-]*)?")
PLAIN = frozenset({"", "identity"})
PACKED = frozenset({"gzip", "x-gzip", "deflate"})
PORTS = {"http": 80, "https": 443}

ANTHROPIC, MESSAGES = ".anthropic.com", "/messages"
# Only there the newer models want the newer name; elsewhere some do not know it, and would
# write without a bound.
OPENAI = (".openai.com", ".openai.azure.com")

# Everything else a client sends stays here: its credentials and its money above all.
REQUEST_HEADERS = frozenset(
    {
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "content-type",
        "openai-beta",
        "traceparent",
        "tracestate",
        "user-agent",
    }
)
# Everything else the upstream says stays here: its cookies and the operator's name there.
ANSWER_HEADERS = frozenset(
    {
        "cache-control",
        "content-type",
        "retry-after",
        "retry-after-ms",
        *(
            f"x-ratelimit-{what}-{of}"
            for what in ("limit", "remaining", "reset")
            for of in ("requests", "tokens")
        ),
    }
)


class UpstreamPathError(RefusedError):
    """The path cannot be one of the upstream's; nothing was sent to it."""


class UpstreamUnreachableError(RefusedError):
    """The upstream could not be reached; nothing was sent to it."""


class UpstreamsRestingError(RefusedError):
    """No provider of the model is asked just now; nothing was sent to any.

    `retry_after_s` is when the first of them is asked again.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("No upstream serves this model just now. Nothing was charged.")
        self.retry_after_s = retry_after_s


class UpstreamsExhaustedError(UpstreamsRestingError):
    """Every provider of the model has asked to be left alone for a while."""


class UpstreamBrokenError(OutcomeUnknownError):
    """The upstream was reached, but its answer was late, cut off or unreadable."""


class AnswerTooLongError(UpstreamBrokenError):
    """The upstream's answer is longer than was allowed for."""


class Upstream:
    """A pool of connections to one OpenAI-compatible API, all requests with our own key.

    `base_url` is what paths are added to, as in `https://api.openai.com/v1`. Nothing is
    taken from the environment: no proxy, no netrc, no certificates. Nothing is retried and
    no redirect is followed: whether to ask a second time is for those who count the money.
    `connections_max` requests run at once; one more waits for at most `connect_timeout_s`.
    `read_timeout_s` is the longest silence that is borne, not the length of an answer.
    `way` is how its host is reached.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
        connections_max: int,
        way: WayOut = DIRECT,
        ca_file: str | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in PORTS or not parts.hostname or parts.username:
            raise ValueError("The upstream's address must be http:// or https:// and a host.")
        self._keeper = Keeper(
            parts.hostname,
            parts.port or PORTS[parts.scheme],
            is_tls=parts.scheme == "https",
            connect_timeout_s=connect_timeout_s,
            read_timeout_s=read_timeout_s,
            connections_max=connections_max,
            way=way,
            ca_file=ca_file,
        )
        self._base_path = parts.path.rstrip("/")
        self._host = parts.netloc
        self._api_key = api_key
        # Anthropic itself wants its key elsewhere; its look-alikes take it as any other.
        self._is_anthropic = f".{parts.hostname}".endswith(ANTHROPIC)
        is_openai = f".{parts.hostname}".endswith(OPENAI)
        self.limit_name = "max_completion_tokens" if is_openai else "max_tokens"
        """What a chat's bound is called there."""

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> UpstreamAnswer:
        """Send `body` to `path`; return the answer as soon as its head has arrived.

        Of the client's `headers` only the harmless ones go along. Raises
        `UpstreamUnreachableError` or `UpstreamPathError` if nothing was sent, and
        `UpstreamBrokenError` if the request may have been executed.
        """
        return self._ask("POST", path, body, headers)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> UpstreamAnswer:
        """Ask for `path`; errors are those of `post`."""
        return self._ask("GET", path, None, headers or {})

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._keeper.close()

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> UpstreamAnswer:
        request = self._request(method, _safe(path), body, headers)
        try:
            connection = self._keeper.take()
        except NoConnectionError as error:
            raise UpstreamUnreachableError(f"The upstream failed: {error}.") from error
        answer = None
        try:
            answer = connection.ask(request)
            return UpstreamAnswer(answer, self._keeper)
        except (NotHttpError, OSError) as error:
            raise UpstreamBrokenError(_reason(error)) from error
        finally:
            if answer is None:
                self._keeper.give_back(connection, None)

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> bytes:
        lines = [f"{method} {self._base_path}{path} HTTP/1.1", f"host: {self._host}"]
        sent = self._request_headers(path, headers)
        lines += [f"{name}: {value}" for name, value in sent.items()]
        if body is not None:
            lines.append(f"content-length: {len(body)}")
        return "\r\n".join((*lines, "", "")).encode("latin-1") + (body or b"")

    def _request_headers(self, path: str, headers: Mapping[str, str]) -> dict[str, str]:
        sent = {"user-agent": "tallystick", **_kept(headers, REQUEST_HEADERS)}
        sent["accept-encoding"] = "identity"
        if self._api_key and self._is_anthropic and path.startswith(MESSAGES):
            sent["x-api-key"] = self._api_key
        elif self._api_key:
            sent["authorization"] = f"Bearer {self._api_key}"
        return sent


class UpstreamAnswer:
    """An answer as it arrives: `status`, the harmless `headers`, then its decoded body.

    Whoever holds one closes it. Read to its end, the connection serves again; closed
    earlier, it is cut, which tells the upstream to stop.
    """

    def __init__(self, answer: Answer, keeper: Keeper) -> None:
        self._answer = answer
        self._keeper = keeper
        self._connection: Connection | None = answer.connection
        self._first = b""
        self.status = answer.head.status
        fields = answer.head.fields
        self.headers = _kept(fields, ANSWER_HEADERS)
        encoding = fields.get("content-encoding", "").lower()
        self._unpacking = Unpacking(READ_BYTES) if encoding in PACKED else None
        if encoding not in PACKED | PLAIN:
            self.close()
            raise UpstreamBrokenError(
                "The upstream's answer is in an encoding nobody asked for."
            )

    def wait(self) -> None:
        """Wait until the body has begun, and keep that piece; raises as `read_some` does."""
        self._first = self._read()

    def read_some(self) -> bytes:
        """Return what has arrived, at most 64 KiB; wait only if nothing has. b"" is the end.

        Compressed bodies come out decompressed, piece by piece, whatever their size. Raises
        `UpstreamBrokenError` if the connection is lost, falls silent or sends nonsense.
        """
        if self._first:
            first, self._first = self._first, b""
            return first
        return self._read()

    def _read(self) -> bytes:
        try:
            if self._unpacking is None:
                return self._arrived()
            while not (piece := self._unpacking.take()):
                data = self._arrived()
                if not data:
                    return b""
                self._unpacking.give(data)
        except (NotHttpError, UnpackError, OSError) as error:
            self._let_go()
            raise UpstreamBrokenError(_reason(error)) from error
        return piece

    def _arrived(self) -> bytes:
        if self._connection is None:
            return b""
        data = self._answer.read()
        if self._answer.is_over:
            self._let_go()
        return data

    def read_all(self, limit_bytes: int) -> bytes:
        """Return the whole body, or raise `AnswerTooLongError` beyond `limit_bytes`."""
        pieces, size = [], 0
        while piece := self.read_some():
            size += len(piece)
            if size > limit_bytes:
                self.close()
                raise AnswerTooLongError(f"The answer is longer than {limit_bytes} bytes.")
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Give the connection back; may be called more than once."""
        if self._connection is not None:
            with suppress(NotHttpError):
                self._answer.skip()
            self._let_go()

    def __del__(self) -> None:
        # Whoever forgets to close it must not keep its connection from all others.
        self._let_go()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._keeper.give_back(connection, self._answer)


def _safe(path: str) -> str:
    """Return `path` if it cannot lead out of the base address."""
    if SAFE_PATH.fullmatch(path) is None or ".." in unquote(path).split("?")[0].split("/"):
        raise UpstreamPathError("The path is not one that an API can have.")
    return path


def _kept(headers: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower() in names
        and len(value) <= HEADER_CHARACTERS_MAX
        and SAFE_VALUE.fullmatch(value)
    }


def _reason(error: Exception) -> str:
    """Name the kind of error only: its text may show addresses."""
    return f"The upstream failed: {type(error).__name__}."
