"""The mints this house trusts, each with its wallet."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import requests

from app.gateways.mint.client import MintClient
from app.gateways.mint.errors import TokenError
from app.gateways.mint.gate import Gate
from app.gateways.mint.keysets import KeysetBook, KeysetOwners
from app.gateways.mint.wallet import Wallet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from app.gateways.mint.crypto import Seed
    from app.gateways.mint.gate import GateLimits

ANSWER_BYTES_MAX = 4 * 1024 * 1024


class UntrustedMintError(TokenError):
    """The token is from a mint that this house does not trust."""


class Mints:
    """Wallets by mint URL: an exact allow-list, so that no token decides whom we call."""

    def __init__(
        self,
        urls: Iterable[str],
        seed: Seed,
        *,
        connect_timeout_s: float,
        timeout_s: float,
        limits: GateLimits | None = None,
        session: Callable[[], requests.Session] = requests.Session,
        clock: Callable[[], float] = time.monotonic,
        count: Callable[[str, str], None] = lambda _url, _kind: None,
    ) -> None:
        owners = KeysetOwners()
        self._wallets: dict[str, Wallet] = {}
        for url in urls:
            client = MintClient(
                url,
                session(),
                connect_timeout_s=connect_timeout_s,
                read_timeout_s=timeout_s,
                answer_bytes_max=ANSWER_BYTES_MAX,
                gate=Gate(url, limits, clock, partial(count, url)),
            )
            keysets = KeysetBook(client, owners, clock=clock)
            self._wallets[client.url] = Wallet(client, keysets, seed)

    def get(self, url: str) -> Wallet:
        """Return the wallet at the mint with this normalised URL, or `UntrustedMintError`."""
        wallet = self._wallets.get(url)
        if wallet is None:
            raise UntrustedMintError("The token is from a mint that is not accepted here.")
        return wallet

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(self._wallets)

    def close(self) -> None:
        """Let go of the connections; those who serve keep them as long as they live."""
        for wallet in self:
            wallet.client.close()

    def __iter__(self) -> Iterator[Wallet]:
        return iter(self._wallets.values())
