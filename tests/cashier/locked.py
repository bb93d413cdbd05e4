"""Tokens locked to a house's key, and what has become of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.gateways.mint import crypto
from app.gateways.mint.tokens import Token, encode
from domain.msat import Msat
from projections.books import Books
from tests.doubles.mint import _signature
from tests.gateways.outputs import Prepared

if TYPE_CHECKING:
    from domain.guards import ExposureRow
    from tests.cashier.house import House, MoodyMint

LIMIT = Msat(1_000_000)
SWAP = "swap"


def fund(house: House, mint: MoodyMint, sat: int, unit: str = "sat") -> str:
    return mint.fund(sat, unit, lock_to=house.opener.pubkey)


def locked_with(mint: MoodyMint, sat: int, secret: str) -> str:
    """Return a token of one proof over a power of two, with a secret of its own."""
    keyset = mint.active("sat")
    blinding = crypto.random_key()
    signed = mint.sign(crypto.blind(secret, blinding), sat, keyset.id)
    (proof,) = Prepared([], [secret], [blinding]).proofs([_signature(signed)], keyset.keys)
    return encode(Token(mint.url, "sat", (proof,)))


def balances(house: House) -> dict[str, int]:
    books = Books()
    for event in house.log():
        books.post(event)
    return dict(books.balances_msat)


def exposure(house: House, mint: MoodyMint) -> ExposureRow | None:
    return house.store.kept()[1].exposures.get(mint.url)
