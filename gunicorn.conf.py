"""How gunicorn runs the house: its workers, its limits, its log."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING

from prometheus_client.multiprocess import mark_process_dead

from app.environment import SettingsError, load_settings
from app.logs import log_config
from app.metrics import SHARED
from app.store.errors import StoreUnavailableError
from app.web.line import Patience
from app.web.worker import PatientWorker

if TYPE_CHECKING:
    from gunicorn.workers.base import Worker as Base

try:
    settings = load_settings()
except SettingsError as error:
    # One line for each fault and no traceback, before any port opens.
    raise SystemExit(str(error)) from None

wsgi_app = "app.main:create_app()"
bind = [f"{settings.host}:{settings.port}"]
backlog = 4096

# One worker holds a thousand streams; the others are there for the second core, and so that
# one can be restarted while another serves.
workers = settings.workers

# Never 0: clients that ask often would pay for a connection each time.
keepalive = 75


class Worker(PatientWorker):
    """Bears what the operator has set, and no client that is slower than any modem."""

    patience = Patience(
        idle_s=keepalive,
        crowded_idle_s=5,
        head_s=settings.head_timeout_s,
        body_s=settings.body_timeout_s,
        grace_s=min(10, settings.body_timeout_s),
        bytes_per_s_min=1000,
        send_s=settings.send_timeout_s,
    )
    connections_max = settings.connections_max
    requests_max = settings.requests_max
    late_s = settings.late_max_ms / 1000
    bodies_bytes_max = settings.bodies_bytes_max
    # A worker that is started while the database is away waits for it.
    outages = (StoreUnavailableError,)


worker_class = Worker
# Some to spare, for being told that there is no room.
worker_connections = settings.connections_max + 500
# Files are few and small; by this way no slow reader would be noticed.
sendfile = False

# A worker is only killed when its hub has stood still this long: the heartbeat is a greenlet
# of its own, so the length of a stream does not count.
timeout = 120
# On SIGTERM running streams end and are charged. A model may reason for the better part of an
# hour, and a stream cut short is money that must be estimated instead of known.
graceful_timeout = 3600

# A token of 100 proofs with DLEQ is a header of some 30,000 bytes; X-Cashu may carry two.
limit_request_field_size = 65_000
limit_request_line = 8190

# One canonical line a request is written by the application, which knows what it cost.
accesslog = None
logconfig_dict = log_config(settings.log_level)
# Nothing steers the workers but signals: no socket in the home directory.
control_socket_disable = True


def post_fork(_server: object, _worker: object) -> None:
    """Let SIGTERM end a worker that is not ready yet, and let it be ready soon.

    Until it sets its own handlers it has the master's, which put the signal into a queue that
    nobody in the worker reads; and it is sent once. The service would never stop.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # What is imported stays: to look for garbage in it meanwhile takes a tenth of a second.
    gc.disable()


def post_worker_init(_worker: object) -> None:
    """Never look for garbage in what is there before the first request.

    To look through 100,000 things takes a tenth of a second, in which nobody is served.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


def child_exit(_server: object, worker: Base) -> None:
    """Let the gauges of a worker end with it; what it has counted stays counted."""
    if SHARED in os.environ:
        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
