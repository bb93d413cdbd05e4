"""The worker: gunicorn's own on gevent, that waits for nobody longer than he deserves."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from gunicorn.http.wsgi import base_environ
from gunicorn.workers.ggevent import GeventWorker

from app.web.express import Body, Express, environ_of, peer_of
from app.web.line import Line, Load, Patience
from app.web.refusals import CrowdedError
from app.web.wire import told

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gevent.socket import socket

    from app.web.common import Common

logger = logging.getLogger(__name__)


class PatientWorker(GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Gives each connection a `Line`, and takes on no more than it can carry.

    `worker_connections` is how many may be open; beyond `connections_max` of them the line
    that has been idle for longest makes room, else the new one is told to come back.
    `requests_max` are answered at once. What is refused has reached no application.
    """

    patience: ClassVar[Patience]
    connections_max: ClassVar[int]
    requests_max: ClassVar[int]
    bodies_bytes_max: ClassVar[int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load = Load(self.bodies_bytes_max)

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Time nothing here: the line does, and knows what it waits for."""
        return nullcontext()

    def notify(self) -> None:
        """Show the master once a second that we live; let idle lines go once we must end."""
        super().notify()
        if not self.alive:
            for line in list(self._load.idle):
                line.end_idle()

    def run(self) -> None:
        self._express = Express(self.wsgi, environ_of(base_environ(self.cfg)))
        super().run()

    def handle(self, listener: socket, client: socket, addr: Any) -> None:
        load = self._load
        line = Line(client, self.patience, load)
        load.connections += 1
        try:
            if load.connections > self.connections_max and not self._made_room():
                self._refuse(line, CrowdedError())
            elif self._goes_on(line, peer_of(addr, listener.getsockname())):
                super().handle(listener, line, addr)
        finally:
            line.close()
            load.connections -= 1

    def handle_request(self, listener_name: Any, req: Any, sock: Line, addr: Any) -> None:
        load = self._load
        if load.requests >= self.requests_max:
            self._refuse(sock, CrowdedError())
            raise StopIteration
        load.requests += 1
        sock.await_body(req.force_close)
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            load.requests -= 1
            sock.await_request(self._idle_s())

    def handle_error(self, _req: Any, client: Line, _addr: Any, exc: BaseException) -> None:
        """Answer as everybody is answered here; gunicorn would, with a page of HTML."""
        self._answer(client, exc)

    def _goes_on(self, line: Line, peer: dict[str, str]) -> bool:
        """Serve common requests as long as they come; tell whether gunicorn is to go on."""
        try:
            while (found := self._express.next(line)) is not None:
                if self._load.requests >= self.requests_max:
                    self._answer(line, CrowdedError())
                    line.hurry()
                    return False
                if not self._serve(line, *found, peer):
                    return False
        except OSError:
            return False  # the client has gone
        except Exception as error:  # noqa: BLE001  (the outermost loop: each has its answer)
            self._answer(line, error)
            return False
        return True

    def _serve(self, line: Line, request: Common, data: bytes, peer: dict[str, str]) -> bool:
        """Serve a common request; tell whether there can be another one on its line."""
        load = self._load
        body = Body(line, data, request.length)
        reply = self._express.reply(line, body)
        if not self.alive:
            reply.be_last()
        load.requests += 1
        try:
            line.await_body(reply.be_last, min(len(data), request.length))
            self._express.serve(request, body, reply, peer)
        except OSError:
            raise
        except Exception:
            if not reply.is_begun:
                raise
            # Another answer would look like a part of this one.
            logger.exception("an answer broke off")
            return False
        finally:
            load.requests -= 1
            line.await_request(self._idle_s())
        return not reply.is_last

    def _idle_s(self) -> float:
        is_crowded = self._load.connections * 2 > self.connections_max
        return self.patience.crowded_idle_s if is_crowded else self.patience.idle_s

    def _made_room(self) -> bool:
        oldest = next(iter(self._load.idle), None)
        if oldest is not None:
            oldest.end_idle()
        return oldest is not None

    def _refuse(self, line: Line, error: Exception) -> None:
        self._answer(line, error)
        line.hurry()
        line.close()

    def _answer(self, line: Line, error: BaseException) -> None:
        answer = told(error)
        try:
            line.sendall(answer)
        except OSError:
            return  # nobody is there to be told
