"""A customer's wallet: fresh ecash out of a mint, and a refund's token counted there."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.gateways.mint import crypto
from app.gateways.mint.keysets import Keyset, KeysetBook, split
from app.gateways.mint.tokens import Dleq, Proof, Token, decode
from app.gateways.mint.wire import BlindedMessage, QuoteState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from app.gateways.mint.client import MintClient
    from app.gateways.mint.wire import BlindSignature, SignatureDleq

PAID_TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.1
SECRET_BYTES = 32


class InvoiceUnpaidError(Exception):
    """The mint's invoice was not paid in time."""


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a token came to: `face` was written on it, `received` the mint gave for it."""

    unit: str
    face: int
    received: int
    proofs: int


class Purse:
    """A wallet at the mint behind `client`: random secrets, and nothing kept on disk."""

    def __init__(self, client: MintClient) -> None:
        self._client = client
        self._keysets = KeysetBook(client)

    def fee_ppk(self, unit: str) -> int:
        """Return what the mint takes for a thousand inputs of its active keyset, in `unit`."""
        return self._keysets.active(unit).fee_ppk

    def fresh(
        self, amount: int, unit: str = "sat", *, secret: Callable[[], str] | None = None
    ) -> Token:
        """Return `amount` of new ecash, for an invoice that somebody else pays.

        Raises `InvoiceUnpaidError`, or a `GatewayError` of the mint.
        """
        keyset = self._keysets.active(unit)
        key = crypto.random_key()
        quote = self._client.mint_quote(amount, unit, crypto.public_key(key)).quote
        self._wait_until_paid(quote)
        outputs = [_Output.of(keyset.id, part, secret) for part in split(amount)]
        messages = [output.message for output in outputs]
        signature = crypto.sign(key, crypto.mint_message(quote, (each.b for each in messages)))
        signatures = self._client.mint(quote, messages, signature)
        return Token(self._client.url, unit, tuple(_proofs(outputs, signatures, keyset)))

    def redeem(self, text: str) -> Redeemed:
        """Swap a token for ecash of our own, so that nobody else can, and count both.

        Raises a `TokenError`, or a `GatewayError` of the mint.
        """
        token = decode(text)
        keyset = self._keysets.active(token.unit)
        amount = token.amount - self._keysets.fee_for(token.proofs)
        outputs = [_Output.of(keyset.id, part) for part in split(amount)]
        signatures = self._client.swap(token.proofs, [output.message for output in outputs])
        received = sum(proof.amount for proof in _proofs(outputs, signatures, keyset))
        return Redeemed(token.unit, token.amount, received, len(token.proofs))

    def _wait_until_paid(self, quote: str) -> None:
        until_s = time.monotonic() + PAID_TIMEOUT_S
        while self._client.mint_quote_state(quote).state is not QuoteState.PAID:
            if time.monotonic() > until_s:
                raise InvoiceUnpaidError
            time.sleep(LOOK_EVERY_S)


@dataclass(frozen=True, slots=True)
class _Output:
    """What the mint is to sign, and what makes a proof of its signature."""

    message: BlindedMessage
    secret: str = field(repr=False)
    blinding: bytes = field(repr=False)

    @classmethod
    def of(
        cls, keyset_id: str, amount: int, secret: Callable[[], str] | None = None
    ) -> _Output:
        text = secret() if secret else secrets.token_hex(SECRET_BYTES)
        blinding = crypto.random_key()
        message = BlindedMessage(amount, keyset_id, crypto.blind(text, blinding))
        return cls(message, text, blinding)


def _proofs(
    outputs: Sequence[_Output], signatures: Iterable[BlindSignature], keyset: Keyset
) -> list[Proof]:
    return [
        Proof(
            keyset_id=keyset.id,
            amount=signature.amount,
            secret=output.secret,
            c=crypto.unblind(signature.c, output.blinding, keyset.key(signature.amount)),
            dleq=_dleq(signature.dleq, output.blinding),
        )
        for output, signature in zip(outputs, signatures, strict=True)
    ]


def _dleq(dleq: SignatureDleq | None, blinding: bytes) -> Dleq | None:
    return None if dleq is None else Dleq(dleq.e, dleq.s, blinding.hex())
