"""A Lightning network between two mints whose nodes only pretend: what one pays, the other has.

Nutshell's FakeWallet pays invoices to nobody. This reads in the books of the mint that pays
which invoices it has paid, and writes it into the books of the mint that made them.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

LOOK_EVERY_S = 0.05
BUSY_TIMEOUT_S = 5.0


class Network:
    """Carries payments from `payer` to `payee`, directories of two mints, while it is open.

    `carries` says whether payments arrive; what is held up arrives when it does again.
    """

    def __init__(self, payer: Path, payee: Path) -> None:
        self._payer, self._payee = payer / "db" / "mint.sqlite3", payee / "db" / "mint.sqlite3"
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.carries = True
        self.carried: set[str] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(LOOK_EVERY_S):
            # A mint that is killed or busy just now is looked at again.
            with suppress(sqlite3.OperationalError):
                if self.carries:
                    self._carry()

    def _carry(self) -> None:
        with closing(sqlite3.connect(self._payer, timeout=BUSY_TIMEOUT_S)) as payer:
            paid = payer.execute("SELECT request FROM melt_quotes WHERE state = 'PAID'")
            requests = {request for (request,) in paid} - self.carried
        if not requests:
            return
        with closing(sqlite3.connect(self._payee, timeout=BUSY_TIMEOUT_S)) as payee:
            payee.executemany(
                "UPDATE mint_quotes SET state = 'PAID' WHERE request = ? AND state = 'UNPAID'",
                [(request,) for request in requests],
            )
            payee.commit()
        self.carried |= requests
