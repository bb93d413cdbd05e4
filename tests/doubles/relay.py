"""A Nostr relay in memory that keeps to NIP-01 or, on request, to nothing at all."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from websockets.sync.server import ServerConnection


class RelayDouble:
    """Keeps events as a relay does: of each author, kind and `d` the newest.

    `says` are frames sent as they are in answer to the first word of every visitor, in place
    of what a relay would say; with `forever` the last of them is repeated without end.
    `refusal` is what it says to every event it is given. `asked` are the filters it was sent.
    """

    def __init__(
        self,
        *,
        says: Iterable[str | bytes] | None = None,
        forever: bool = False,
        refusal: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._says = None if says is None else list(says)
        self._forever = forever
        self._refusal = refusal
        self.events: list[dict[str, Any]] = []
        self.given: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.visits = 0
        self._server = serve(self._serve, "127.0.0.1", 0, ssl_context=context, compression=None)
        self._thread = threading.Thread(target=self._wait)
        self.port: int = self._server.socket.getsockname()[1]
        self._scheme = "wss" if context else "ws"
        self.host = "127.0.0.1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.host}:{self.port}"

    def _wait(self) -> None:
        # Where nobody ever came it may be shut before it has begun to wait.
        with suppress(OSError, ValueError):
            self._server.serve_forever()

    def _serve(self, line: ServerConnection) -> None:
        self.visits += 1
        try:
            for received in line:
                self._answer(line, json.loads(received))
        except ConnectionClosed:
            return

    def _answer(self, line: ServerConnection, frame: list[Any]) -> None:
        if self._says is not None:
            for said in self._says:
                line.send(said)
            while self._forever:
                line.send(self._says[-1])
        elif frame[0] == "REQ":
            self.asked += frame[2:]
            for event in self.events:
                if any(_fits(event, wanted) for wanted in frame[2:]):
                    line.send(json.dumps(["EVENT", frame[1], event]))
            line.send(json.dumps(["EOSE", frame[1]]))
        elif frame[0] == "EVENT":
            self.given.append(frame[1])
            if self._refusal is None:
                self._keep(frame[1])
            is_taken, message = self._refusal is None, self._refusal or ""
            line.send(json.dumps(["OK", frame[1]["id"], is_taken, message]))

    def _keep(self, event: dict[str, Any]) -> None:
        self.events = [each for each in self.events if _name(each) != _name(event)]
        self.events.append(event)


def _fits(event: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return event["kind"] in wanted.get("kinds", [event["kind"]]) and event["pubkey"] in (
        wanted.get("authors", [event["pubkey"]])
    )


def _name(event: dict[str, Any]) -> tuple[Any, ...]:
    named = next((tag[1] for tag in event["tags"] if tag[0] == "d"), "")
    return event["pubkey"], event["kind"], named
