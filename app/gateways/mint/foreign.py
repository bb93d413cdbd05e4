"""Mints that strangers name: asked behind the guard, and trusted with nothing of ours."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.gateways.mint.client import MintClient
from app.gateways.mint.crypto import Seed
from app.gateways.mint.keysets import KeysetBook
from app.gateways.mint.mints import UntrustedMintError
from app.gateways.mint.wallet import Wallet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from uuid import UUID

    from app.gateways.guarded import Guard

ANSWER_BYTES_MAX = 512 * 1024
CONNECT_TIMEOUT_S = 5.0


class ForeignMints:
    """A wallet at a foreign mint for one movement, and nothing of it is kept.

    `allowed` are normalised URLs, None is any. Secrets are derived from the movement alone,
    and each movement believes in the keysets it sees only for itself: whatever a mint shows,
    it shows to nobody else. `timeout_s` is for all calls of one errand together.
    """

    def __init__(
        self, allowed: Collection[str] | None, guard: Guard, seed: Seed, *, timeout_s: float
    ) -> None:
        self._allowed = allowed
        self._guard = guard
        self._seed = seed
        self._timeout_s = timeout_s

    def takes(self, url: str) -> bool:
        """Tell whether tokens of this mint may be melted."""
        return self._allowed is None or url in self._allowed

    @contextmanager
    def at(self, url: str, movement: UUID) -> Iterator[Wallet]:
        """Open the wallet of one movement at a mint, for one errand.

        Raises `UntrustedMintError`.
        """
        if not self.takes(url):
            raise UntrustedMintError("The token is from a mint that is not accepted here.")
        with self._guard.errand(self._timeout_s) as session:
            client = MintClient(
                url,
                session,
                connect_timeout_s=CONNECT_TIMEOUT_S,
                read_timeout_s=self._timeout_s,
                answer_bytes_max=ANSWER_BYTES_MAX,
            )
            seed = Seed(self._seed.subkey(b"foreign:" + movement.bytes))
            yield Wallet(client, KeysetBook(client), seed)
