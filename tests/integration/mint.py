"""A real nutshell mint with a pretended Lightning wallet, on localhost."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Self

import requests

from app.demo.nutshell import FEE_PPK, Nutshell
from app.demo.purse import Purse
from app.gateways.mint.client import MintClient
from app.gateways.mint.tokens import encode
from tests.doubles.mint_items import Payment
from tests.gateways.outputs import locked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
SIGNED_FOR_IT = "SELECT 1 FROM promises WHERE mint_quote = quote AND c_ IS NOT NULL"
# Killed in the middle of a swap or of minting, nutshell calls what went in pending for ever.
MEND = f"""
DELETE FROM proofs_pending WHERE melt_quote IS NULL;
UPDATE mint_quotes SET state = CASE WHEN EXISTS ({SIGNED_FOR_IT}) THEN 'ISSUED' ELSE 'PAID' END
    WHERE state = 'PENDING';
DELETE FROM promises WHERE c_ IS NULL AND mint_quote IS NOT NULL;
"""  # noqa: S608  # of our own names


class MintNotReadyError(Exception):
    """The mint did not do in time what it was started for."""


class RealMint:
    """Nutshell's own `mint` of this environment, on `port`, with its books in `directory`.

    It runs while the `with` block lasts, or from `start` to `kill`; books outlive a kill.
    """

    def __init__(
        self,
        port: int,
        directory: Path,
        *,
        fee_ppk: int = FEE_PPK,
        units: Sequence[str] = ("sat", "msat"),
        private_key: str = "a mint for tests",
        pays_invoices: bool = True,
    ) -> None:
        self._nutshell = Nutshell(
            port, directory, fee_ppk=fee_ppk, units=units, private_key=private_key
        )
        child = self._nutshell.child
        paid = {"FAKEWALLET_BRR": str(pays_invoices).lower()}
        child.environment = {**child.environment, **paid}
        self.url = self._nutshell.url
        self._log_path = directory / "mint.log"
        self._books = directory / "db" / "mint.sqlite3"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the mint, and wait until it answers."""
        child = self._nutshell.start()
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._nutshell.answers():
            if time.monotonic() > deadline:
                self.kill()
                raise MintNotReadyError(self._log_path.read_text()[-2_000:])
            if child.code is not None:
                # Somebody's connection has had its port since it was killed.
                time.sleep(0.5)
                child = self._nutshell.start()
            time.sleep(0.1)

    def kill(self) -> None:
        """End the mint at once, as SIGKILL does."""
        process = self._nutshell.child.process
        if process is not None:
            process.kill()
            process.wait(STOP_TIMEOUT_S)
            self._nutshell.child.process = None

    def mend(self) -> None:
        """Do what its operator would, after it was killed: end what nobody else ever will."""
        self.kill()
        with closing(sqlite3.connect(self._books)) as books:
            books.executescript(MEND)
        self.start()

    def pays(self, payment: Payment, *, after_s: float = 0.0) -> None:
        """Start again, as a mint whose payments end that way, `after_s` after the request."""
        self._restart(
            FAKEWALLET_PAY_INVOICE_STATE=payment,
            FAKEWALLET_PAYMENT_STATE=payment,
            FAKEWALLET_DELAY_OUTGOING_PAYMENT=str(after_s),
        )

    def rotate(self, generation: int) -> None:
        """Start again with fresh keysets; those there were are signed with no more."""
        paths = ",".join(f"\"m/0'/{number}'/{generation}'\"" for number in (0, 1))
        self._restart(MINT_DERIVATION_PATH_LIST=f"[{paths}]")

    def limit(self, per_minute: int) -> None:
        """Start again as a mint that bears so many transactions a minute of one address."""
        self._restart(
            MINT_RATE_LIMIT="true",
            # It limits nobody on its own machine, and a proxy may tell of others.
            MINT_RATE_LIMIT_PROXY_TRUST="true",
            MINT_TRANSACTION_RATE_LIMIT_PER_MINUTE=str(per_minute),
            MINT_GLOBAL_RATE_LIMIT_PER_MINUTE="1000",
        )

    def settle_pending(self, *, paid: bool) -> None:
        """Start again, as a mint that learns how its pending payments ended."""
        payment = Payment.SETTLED if paid else Payment.FAILED
        self._restart(FAKEWALLET_PAYMENT_STATE=payment)

    def _restart(self, **environment: str) -> None:
        self.kill()
        child = self._nutshell.child
        child.environment = {**child.environment, **environment}
        self.start()

    def fund(self, amount: int, unit: str = "sat", *, lock_to: str | None = None) -> str:
        """Return a token of fresh ecash, minted by an invoice that is paid."""
        with requests.Session() as session:
            client = MintClient(
                self.url,
                session,
                connect_timeout_s=5.0,
                read_timeout_s=30.0,
                answer_bytes_max=1_000_000,
            )
            secret = None if lock_to is None else (lambda: locked(lock_to))
            return encode(Purse(client).fresh(amount, unit, secret=secret))
