"""The auditor's view served to a real browser, over a story or a sample of any length."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

from werkzeug.serving import make_server

from tests.store.places import SqlitePlace
from tests.web.admin.conftest import PASSWORD, open_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.clients.devtools import Chromium
    from tests.store.places import Store

ENDED_S = 15.0


@contextmanager
def served(home: Path, fill: Callable[[Store], None], **parts: Any) -> Iterator[str]:
    """Fill a store, open the view over it, and yield the address it is served at."""
    place = SqlitePlace(home)
    store = place.open()
    fill(store)
    app = open_view(store, store, time.time, **parts)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    serving = Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        serving.join(ENDED_S)
        server.server_close()
        place.close()


def sign_in(page: Chromium, house: str, name: str = "admin") -> None:
    page.go(f"{house}/admin/")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click(".sign-in button")
