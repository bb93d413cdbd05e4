"""The worker: gunicorn's own on gevent, that waits for nobody longer than he deserves."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import gevent
from gunicorn.http.wsgi import base_environ
from gunicorn.workers.ggevent import GeventWorker

from app.web.door import MANY, Door
from app.web.express import Body, Express, environ_of, peer_of
from app.web.line import Line, Load, Patience
from app.web.pace import PACE, Pace
from app.web.wire import crowded, told

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gevent.pool import Pool
    from gevent.socket import socket

    from app.web.common import Common

logger = logging.getLogger(__name__)

BOOT_PAUSE_S = 2.0


class PatientWorker(GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Gives each connection a `Line`, and takes on no more than it can carry.

    `worker_connections` is how many may be open; beyond `connections_max` of them the line
    that has been idle for longest makes room, else the new one is told to come back.
    `requests_max` are answered at once, and no more while each turn of theirs takes longer
    than `late_s` (`Pace`). What is refused has reached no application.
    One that cannot start for an error in `outages` ends, and gunicorn starts the next.
    """

    patience: ClassVar[Patience]
    connections_max: ClassVar[int]
    requests_max: ClassVar[int]
    late_s: ClassVar[float]
    outages: ClassVar[tuple[type[Exception], ...]] = ()
    wsgi: Any
    bodies_bytes_max: ClassVar[int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load = Load(self.bodies_bytes_max)
        self._pace = Pace(self.late_s)

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Time nothing here: the line does, and knows what it waits for."""
        return nullcontext()

    def notify(self) -> None:
        """Show the master once a second that we live; let idle lines go once we must end."""
        super().notify()
        if not self.alive:
            for line in list(self._load.idle):
                line.end_idle()

    def load_wsgi(self) -> None:
        try:
            super().load_wsgi()
        except self.outages as error:
            # For any other end than this one gunicorn would end the whole service.
            logger.error("cannot start yet: %s", error)  # noqa: TRY400  (an outage, no fault)
            time.sleep(BOOT_PAUSE_S)
            sys.exit(1)
        application, found = self.wsgi, {PACE: self._pace}

        def paced(environ: dict[str, Any], start_response: Any) -> Any:
            environ.update(found)
            return application(environ, start_response)

        self.wsgi = paced

    def run(self) -> None:
        gevent.spawn(self._pace.run)
        # What gunicorn makes in place of a server of its own.
        self.server_class = self._door
        self._express = Express(self.wsgi, environ_of(base_environ(self.cfg)))
        super().run()

    def _door(self, listener: socket, *, spawn: Pool, **_its_own: object) -> Door:
        at_a_time = 1 if self.cfg.workers > 1 else MANY
        handle = partial(self.handle, listener)
        return Door(listener, handle, spawn, at_a_time, lambda: self._is_full, self._refusal)

    def _refusal(self) -> bytes:
        self._count_refused()
        return crowded(is_last=True)

    def handle(self, listener: socket, client: socket, addr: Any) -> None:
        load = self._load
        line = Line(client, self.patience, load)
        load.connections += 1
        try:
            if load.connections > self.connections_max and not self._made_room():
                self._turn_away(line)
            elif self._goes_on(line, peer_of(addr, listener.getsockname())):
                super().handle(listener, line, addr)
        finally:
            line.close()
            load.connections -= 1

    def handle_request(self, listener_name: Any, req: Any, sock: Line, addr: Any) -> None:
        load = self._load
        if self._is_full:
            self._turn_away(sock)
            sock.close()
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
                if self._is_full:
                    if not self._put_off(line, *found):
                        return False
                    continue
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

    @property
    def _is_full(self) -> bool:
        requests = self._load.requests
        return requests >= self.requests_max or self._pace.is_behind(requests)

    def _idle_s(self) -> float:
        is_crowded = self._load.connections * 2 > self.connections_max
        return self.patience.crowded_idle_s if is_crowded else self.patience.idle_s

    def _made_room(self) -> bool:
        oldest = next(iter(self._load.idle), None)
        if oldest is not None:
            oldest.end_idle()
        return oldest is not None

    def _put_off(self, line: Line, request: Common, data: bytes) -> bool:
        """Refuse a common request; tell whether its line can be kept, which is cheapest."""
        rest = data[request.length :]
        is_whole = len(data) >= request.length and self.alive
        if is_whole:
            line.unread(rest)
        self._turn_away(line, is_last=not is_whole)
        line.await_request(self._idle_s())
        return is_whole

    def _turn_away(self, line: Line, *, is_last: bool = True) -> None:
        """Tell a client to come back, in as little time as can be: there is none to spare."""
        self._send(line, crowded(is_last=is_last))
        if is_last:
            line.hurry()
        self._count_refused()

    def _count_refused(self) -> None:
        if (refused := self._pace.turned_away()) is not None:
            # One line for all of a second: to write one for each costs what is missing.
            fields = {"requests": refused}
            logger.warning("requests refused: no room", extra={"fields": fields})

    def _answer(self, line: Line, error: BaseException) -> None:
        self._send(line, told(error))

    @staticmethod
    def _send(line: Line, answer: bytes) -> None:
        try:
            line.sendall(answer)
        except OSError:
            return  # nobody is there to be told
