"""The mint of a simulation: the double's books, with its own chance, time and reckoning.

What is the same in every run (keys, signatures, funds, invoices) is worked out once for all
runs of a process: it is cheap to ask for, and changes nothing.
"""

from __future__ import annotations

import copy
import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from cashu.core.crypto import b_dhke
from coincurve import PrivateKey, PublicKey

from app.gateways.mint import crypto
from app.gateways.mint.keysets import split
from app.gateways.mint.tokens import Dleq, Proof, Token, decode, encode
from tests.doubles.mint_books import MintBooks
from tests.doubles.mint_items import FakeKeyset, Payment
from tests.gateways.invoices import invoice_msat
from tests.simulation.stage import START

if TYPE_CHECKING:
    from tests.simulation.stage import Stage

AMOUNTS = tuple(2**bit for bit in range(13))
FEE_PPK = 100
INVOICE_S = 60 * 86_400


class SimMint(MintBooks):
    """A mint at `url`; `issued` and `redeemed` are all it has ever signed and seen again.

    `paid` are the invoices that its node has paid, in order.
    """

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self.name = name
        self.url = f"https://{name}.example"
        self.issued = self.redeemed = 0
        self.paid: list[str] = []
        self._counts: dict[tuple[str, int], int] = {}
        super().__init__(
            name, fee_ppk=FEE_PPK, units=("sat",), keyset_version=2, pays_invoices=False
        )
        self.expiry = int(START.timestamp()) + INVOICE_S
        self.is_up = True

    def rotate(self, unit: str, fee_ppk: int = FEE_PPK) -> str:
        for keyset in self.keysets.values():
            keyset.active = False
        keyset = copy.copy(_keyset(self._key, unit, len(self.keysets), fee_ppk))
        self.keysets[keyset.id] = keyset
        return keyset.id

    def y(self, secret: str) -> str:
        return hashed(secret)

    def new_name(self) -> str:
        return f"{self._stage.chance.getrandbits(64):016x}"

    def new_invoice(self, amount_msat: int) -> str:
        return _invoice(self._key, amount_msat, self._next("invoice", amount_msat))

    def fund(self, amount: int, lock_to: str | None = None) -> str:
        """Return a token of fresh ecash, as if somebody had paid for it."""
        keyset = self.active("sat")
        amounts = split(amount)
        proofs = tuple(
            _proof(self._key, keyset.id, each, self._next("proof", each), lock_to or "")
            for each in amounts
        )
        self.issued += amount
        return encode(Token(self.url, "sat", proofs))

    def redeem(self, token: Token) -> bool:
        """Take a client's token out of the world, as its next owner would; once."""
        ys = {hashed(proof.secret) for proof in token.proofs}
        if ys & (self.spent | self.pending):
            return False
        for proof in token.proofs:
            written = {"amount": proof.amount, "C": proof.c, "secret": proof.secret}
            self.check_proof(written, self.keysets[proof.keyset_id])
        self.spent |= ys
        self.redeemed += token.amount
        return True

    def unspent_sat(self, token: Token) -> int:
        """Return what of a token can still be spent."""
        return sum(
            proof.amount for proof in token.proofs if hashed(proof.secret) not in self.spent
        )

    def sign(self, b: str, amount: int, keyset_id: str) -> dict[str, Any]:
        signed = _signature(b, amount, keyset_id)
        self.signed[b] = {"amount": amount, "id": keyset_id, "C_": signed}
        self.issued += amount
        return self.signed[b]

    def check_proof(self, proof: dict[str, Any], keyset: FakeKeyset) -> None:
        if "witness" in proof or not _is_signed(
            keyset.id, proof["amount"], proof["C"], proof["secret"]
        ):
            super().check_proof(proof, keyset)

    def answer(
        self, method: str, path: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        before = len(self.spent)
        status, answer = super().answer(method, path, body)
        if len(self.spent) > before:
            self.redeemed += sum(proof["amount"] for proof in body["inputs"])
        return status, answer

    def settle(self, *, paid: bool) -> None:
        """End the payments that are pending, well or not."""
        for quote in self.melt_quotes.values():
            if quote.state == "PENDING":
                self._settle(quote, paid=paid)
                if paid:
                    self.redeemed += sum(proof["amount"] for proof in quote.inputs)

    def _settle(self, quote: Any, *, paid: bool) -> None:
        super()._settle(quote, paid=paid)
        if paid:
            self.paid.append(quote.request)

    def choose_payment(self) -> None:
        """Decide by chance what becomes of the next payment."""
        if self._stage.is_wild:
            kinds = [*[Payment.SETTLED] * 4, Payment.PENDING, Payment.FAILED, Payment.UNKNOWN]
            self.payment = self._stage.chance.choice(kinds)
        else:
            self.payment = Payment.SETTLED

    def _next(self, kind: str, amount: int) -> int:
        number = self._counts.get((kind, amount), 0)
        self._counts[kind, amount] = number + 1
        return number


_KEYSETS: dict[str, FakeKeyset] = {}


@cache
def read_token(text: str) -> Token:
    return decode(text)


@cache
def _keyset(key: str, unit: str, number: int, fee_ppk: int) -> FakeKeyset:
    secret_keys = {
        amount: PrivateKey(hashlib.sha256(f"{key}/{unit}/{number}/{amount}".encode()).digest())
        for amount in AMOUNTS
    }
    keyset = FakeKeyset(unit, fee_ppk, secret_keys, version=2)
    _KEYSETS[keyset.id] = keyset
    return keyset


@cache
def _invoice(key: str, amount_msat: int, number: int) -> str:
    """Make one invoice; `key` and `number` only tell it from others over the same amount."""
    del key, number
    made_at_s = int(START.timestamp())
    return invoice_msat(amount_msat, expiry_s=INVOICE_S, made_at_s=made_at_s)


@cache
def hashed(secret: str) -> str:
    return crypto.hash_to_curve(secret)


@cache
def _signature(b: str, amount: int, keyset_id: str) -> str:
    key = _KEYSETS[keyset_id].secret_keys[amount]
    signed: str = PublicKey(bytes.fromhex(b)).multiply(key.secret).format().hex()
    return signed


@cache
def _is_signed(keyset_id: str, amount: int, c: str, secret: str) -> bool:
    key = _KEYSETS[keyset_id].secret_keys.get(amount)
    if key is None or secret.startswith("["):
        return False
    return bool(b_dhke.verify(key, PublicKey(bytes.fromhex(c)), secret))


@cache
def _proof(key: str, keyset_id: str, amount: int, number: int, lock_to: str) -> Proof:
    digest = hashlib.sha256(f"{key}/{keyset_id}/{amount}/{number}/{lock_to}".encode())
    secret = digest.hexdigest()
    if lock_to:
        locked = {"nonce": secret[:32], "data": lock_to, "tags": []}
        secret = json.dumps(["P2PK", locked], separators=(",", ":"))
    factor, keyset = digest.digest(), _KEYSETS[keyset_id]
    blinded = crypto.blind(secret, factor)
    c, e, s = b_dhke.step2_bob(PublicKey(bytes.fromhex(blinded)), keyset.secret_keys[amount])
    return Proof(
        keyset_id=keyset_id,
        amount=amount,
        secret=secret,
        c=crypto.unblind(c.format().hex(), factor, keyset.keys[amount]),
        dleq=Dleq(e.to_hex(), s.to_hex(), factor.hex()) if lock_to else None,
    )
