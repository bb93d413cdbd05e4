"""Runs a real mint on this machine: nutshell, with a Lightning wallet that only pretends."""

from __future__ import annotations

import sys
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from app.processes import Child

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST = "127.0.0.1"
FEE_PPK = 100
LOOK_TIMEOUT_S = 5.0
UNIT_NUMBERS = {"sat": 0, "msat": 1, "usd": 2, "eur": 3}


class Nutshell:
    """Nutshell's own `mint` of this environment, on `port`, with its books in `directory`.

    Invoices it makes are paid at once, invoices it is to pay are paid. `fee_ppk` is what it
    takes for a thousand inputs, in the unit of each keyset.
    """

    def __init__(
        self,
        port: int,
        directory: Path,
        *,
        fee_ppk: int = FEE_PPK,
        units: Sequence[str] = ("sat", "msat"),
        private_key: str,
    ) -> None:
        self.url = f"http://{HOST}:{port}"
        self.child = Child(
            name="mint",
            argv=[str(Path(sys.executable).parent / "mint")],
            environment=_environment(port, directory, fee_ppk, units, private_key),
            log_path=directory / "mint.log",
            directory=directory,
            # What the shell exports is the operator's own mint, if it is any mint's.
            inherited=("PATH",),
        )
        self._directory = directory

    def start(self) -> Child:
        """Start the mint; it needs some seconds until it answers."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self.child.start()
        return self.child

    def answers(self) -> bool:
        """Tell whether the mint is ready."""
        return answers(f"{self.url}/v1/info")


def answers(url: str) -> bool:
    """Tell whether somebody on this machine answers at `url` as he should."""
    return status_of(url) == HTTPStatus.OK


def status_of(url: str) -> int | None:
    """Return what is answered at `url`, a place on this machine; `None` if nobody does."""
    with requests.Session() as session:
        # No proxy of the environment has business here.
        session.trust_env = False
        try:
            response = session.get(url, timeout=LOOK_TIMEOUT_S, allow_redirects=False)
        except requests.RequestException:
            return None
        return response.status_code


def _environment(
    port: int, directory: Path, fee_ppk: int, units: Sequence[str], private_key: str
) -> dict[str, str]:
    """Return what nutshell reads.

    Its home directory is its own, as is the one it runs in: a `.env` in the one or a
    `.cashu/.env` in the other would go before this.
    """
    paths = ",".join(f"\"m/0'/{UNIT_NUMBERS[unit]}'/0'\"" for unit in units)
    backends = {f"MINT_BACKEND_BOLT11_{unit.upper()}": "FakeWallet" for unit in units}
    return backends | {
        "HOME": str(directory),
        "CASHU_DIR": str(directory / "cashu"),
        "MINT_PRIVATE_KEY": private_key,
        "MINT_LISTEN_HOST": HOST,
        "MINT_LISTEN_PORT": str(port),
        "MINT_DATABASE": str(directory / "db"),
        "MINT_DERIVATION_PATH_LIST": f"[{paths}]",
        "MINT_INPUT_FEE_PPK": str(fee_ppk),
        "MINT_RATE_LIMIT": "false",
        "FAKEWALLET_BRR": "true",
        "FAKEWALLET_DELAY_INCOMING_PAYMENT": "0",
        "FAKEWALLET_DELAY_OUTGOING_PAYMENT": "0",
    }
