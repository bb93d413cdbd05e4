"""The seed and the wallet of a simulation: the real ones, which remember what they work out.

Every run has the same seed and the same mints, so that the same counters make the same
points again and again. They are worked out once for all runs of a process.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from app.gateways.mint.crypto import Seed
from app.gateways.mint.mints import Mints
from app.gateways.mint.wallet import Wallet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.gateways.mint.crypto import Derived
    from app.gateways.mint.tokens import Proof
    from app.gateways.mint.wallet import _Output
    from domain.deposit import Plan, Signed

_PROOFS: dict[Signed, Proof] = {}
_OUTPUTS: dict[Plan, list[_Output]] = {}


class SimSeed(Seed):
    """A seed that remembers what it was asked for."""

    @cache  # noqa: B019  # there is one, for as long as the process lives
    def derive(self, keyset_id: str, counter: int) -> Derived:
        return super().derive(keyset_id, counter)

    @cache  # noqa: B019
    def subkey(self, info: bytes) -> bytes:
        return super().subkey(info)


class SimWallet(Wallet):
    def proof(self, signed: Signed) -> Proof:
        if signed in _PROOFS:
            # Whom the real one asks for its keys is asked, though they are known.
            self.keysets.find(signed.keyset_id).key(signed.amount)
        else:
            _PROOFS[signed] = super().proof(signed)
        return _PROOFS[signed]

    def _outputs(self, plan: Plan) -> list[_Output]:
        if plan not in _OUTPUTS:
            _OUTPUTS[plan] = super()._outputs(plan)
        return list(_OUTPUTS[plan])


class SimMints(Mints):
    """The mints, each with a wallet that remembers."""

    def __init__(self, urls: Iterable[str], seed: Seed, **parts: Any) -> None:
        super().__init__(urls, seed, **parts)
        self._wallets = {
            wallet.url: SimWallet(wallet.client, wallet.keysets, seed) for wallet in self
        }
