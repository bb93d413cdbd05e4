"""How gunicorn runs the house: its workers, its limits, its log."""

from __future__ import annotations

import signal

from app.logs import log_config
from app.settings import SettingsError, load_settings

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
worker_class = "gevent"
workers = settings.workers
worker_connections = 2000

# A worker is only killed when its hub has stood still this long: the heartbeat is a greenlet
# of its own, so the length of a stream does not count.
timeout = 120
# On SIGTERM running streams end and are charged. A model may reason for the better part of an
# hour, and a stream cut short is money that must be estimated instead of known.
graceful_timeout = 3600
# Never 0: gunicorn cuts off slow headers only while it waits for a next request.
keepalive = 75

# A token of 100 proofs with DLEQ is a header of some 30,000 bytes; X-Cashu may carry two.
limit_request_field_size = 65_000
limit_request_line = 8190

# One canonical line a request is written by the application, which knows what it cost.
accesslog = None
logconfig_dict = log_config(settings.log_level)
# Nothing steers the workers but signals: no socket in the home directory.
control_socket_disable = True


def post_fork(_server: object, _worker: object) -> None:
    """Let SIGTERM end a worker that is not ready yet.

    Until it sets its own handlers it has the master's, which put the signal into a queue that
    nobody in the worker reads; and it is sent once. The service would never stop.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
